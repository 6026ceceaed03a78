# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of values in place that show when processes die: what is read changes, or is never free."""

from __future__ import annotations

from core import Mutant

HOLDERS = [
    Mutant(
        "leases-not-looked-at",
        "a run is freed though somebody reads it in place",
        "pinned.c",
        "if (pin_head(word_acq(&row->counted[i])) == head) {",
        "if (pin_head(word_acq(&row->counted[i])) == head && false) {",
        "test_death",
        only="evict-leased",
    ),
    Mutant(
        "last-cell-not-looked-at",
        "a run is freed under the lease that a process took last",
        "lease.c",
        "if (word_rlx(&row->pins_high) <= cell) {",
        "if (word_rlx(&row->pins_high) < cell) {",
        "test_holders",
    ),
    Mutant(
        "filler-let-go",
        "what its filler goes on reading is freed",
        "lease.c",
        "    name_run(k, (uint32_t)cell, f->head);\n",
        "",
        "test_holders",
    ),
    Mutant(
        "leased-by-the-dead",
        "what a dead one read is never free again",
        "pinned.c",
        "if ((word_acq(&row->inc) & 1u) != 0 && row_pins(c, row, head)) {",
        "if (row_pins(c, row, head)) {",
        "test_death",
        only="lease",
    ),
    Mutant(
        "child-without-pins",
        "what a fork child reads is freed when its parent lets go",
        "place.c",
        "word_put_rlx(&row->counted[i], parent != NULL ? word_rlx(&parent->counted[i]) : 0);",
        "word_put_rlx(&row->counted[i], 0);",
        "test_death",
        only="first-call",
    ),
    Mutant(
        "child-not-asked-after",
        "a fork child that has not called yet is held to be dead",
        "process.c",
        "process_folder_byte(c, slot), &held) != 0 || held) {",
        "process_folder_byte(c, slot), &held) != 0) {",
        "test_death",
        only="first-call",
    ),
    Mutant(
        "limbo-left-behind",
        "the last to let go of a run that is in limbo leaves it there",
        "lease.c",
        "if (page_state(w) == PAGE_LIMBO && page_gen(w) == gen) {",
        "if (page_state(w) == PAGE_LIMBO && page_gen(w) != gen) {",
        "test_lease",
    ),
    Mutant(
        "half-named-values-found",
        "a value that is being filled is published before it is sealed",
        "reserve.c",
        "    if (!lease_room(k, 0, 0)) {",
        "    struct store early = *st;\n    early.build = NULL;\n    early.placed = true;\n    (void)verb_seal(&early);\n"
        "    if (!lease_room(k, 0, 0)) {",
        "test_death",
        only="reserve",
    ),
]
