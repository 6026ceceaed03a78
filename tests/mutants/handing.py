# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of pins that change hands: at a fork, which test_lease_forks shows, and between cells and rows while an evictor
looks at them, which the models show."""

from __future__ import annotations

from core import Mutant
from inplace import bug
from order import Order

FORKS = [
    bug(
        "child-without-a-place",
        "what a parent reads in place is closed to its child",
        "forks.c",
        "if (h->leases != 0) {",
        "if (false) {",
        "test_lease_forks",
    ),
    bug(
        "parent-keeps-the-proof",
        "a dead child's place is held for as long as its parent lives",
        "forks.c",
        "                os_close(h->child_fd);\n",
        "",
        "test_lease_forks",
    ),
    bug(
        "pins-not-handed-over",
        "a child's views show what came to lie there later",
        "place.c",
        "parent != NULL ? word_rlx(&parent->counted[i]) : 0",
        "0",
        "test_lease_forks",
    ),
    bug(
        "pins-high-not-handed-over",
        "the same: its cells are not looked at",
        "place.c",
        "parent != NULL ? word_rlx(&parent->pins_high) : 0",
        "0",
        "test_lease_forks",
    ),
    bug(
        "place-kept-by-the-parent",
        "a child can never move into the place that was made for it",
        "place.c",
        "if (!in || who->child != NULL) {",
        "if (!in) {",
        "test_lease_forks",
    ),
    bug(
        "child-for-ever",
        "a child that has called is asked after by a byte that it has given back",
        "place.c",
        "    word_put_rel(&row->child, 0);\n",
        "",
        "test_lease_forks",
    ),
    bug(
        "child-held-to-be-dead",
        "a child that has not called yet is held to be dead",
        "process.c",
        "return !held && child_dead(c, slot);",
        "return !held;",
        "test_lease_forks",
    ),
    bug(
        "child-dead-while-it-moves-in",
        "a child that takes its place while it is asked after is held to be dead",
        "process.c",
        "    return still;\n",
        "    return still || true;\n",
        "test_lease_forks",
    ),
    bug(
        "old-tickets-count",
        "a view of before a fork gives back what was leased after it",
        "holding.h",
        "(uint32_t)(ticket >> 32) == h->epoch && ",
        "",
        "test_lease_forks",
    ),
]

PASSING = [
    Order(
        "no-fence-behind-the-cell",
        "in place: a lease is stored behind the next call's pin, and an evictor sees neither",
        "lease.c",
        "    word_put_rel(&row->counted[cell], pin_make(head, 0));\n    fence_full();",
        "lease",
        "unfenced-to-the-next-pin",
    ),
    Order(
        "let-go-by-a-relaxed-store",
        "in place: a run is freed before what its reader read has come in",
        "lease.c",
        "    word_put_rel(&k->row->counted[cell], 0);\n    if (c->holding->used",
        "lease",
        "left-by-a-relaxed-store",
    ),
    Order(
        "no-fence-in-leave_run",
        "in place: a run is in limbo for ever, because evictor and last reader have passed each other",
        "lease.c",
        "    fence_full();\n    uint64_t w = word_acq(page_word(c, head));",
        "leave",
        "no-fence-in-leave_run",
    ),
    Order(
        "counted-cells-first",
        "in place: a pin passes from a call's cell to a lease's behind an evictor's back",
        "pinned.c",
        "        if (pin_head(word_acq(&row->transient[i])) == head) {\n            return true;\n        }\n    }\n"
        "    uint64_t high",
        "lease",
        "counted-first-and-not-rechecked",
    ),
    Order(
        "handovers-not-looked-at",
        "in place: a pin passes from row to row, at a fork, behind an evictor's back",
        "pinned.c",
        "        if (word_acq(handovers) == seen) {",
        "handover",
        "no-handovers",
    ),
    Order(
        "handovers-raised-too-early",
        "in place: the same, because the count is seen before the row is alive",
        "place.c",
        "        fence_release();\n        word_add_rlx(&c->super->handovers, 1);",
        "handover",
        "no-fence-before-handovers",
    ),
    Order(
        "child-read-last",
        "G2: a living child is held to be dead: nobody's name, and no child's any more",
        "process.c",
        "    t.child = word_acq(&row->child); /* first:",
        "inherit",
        "child-read-last",
    ),
    Order(
        "held-behind-the-seal",
        "in place: a filler looks at a run that was freed before it was held",
        "reserve.c",
        "        plc_status s = lease_own(k, &r->fill, &r->ticket);",
        "seal",
        "held-behind-the-seal",
    ),
    Order(
        "alive-read-before-the-lock",
        "in place: a region is never unmapped, because closer and last reader have passed each other",
        "region_open.c",
        "    registry_lock();\n    if (c->references == 0 && c->closings == closing && c->base != NULL) {\n"
        "        c->lingers =",
        "linger",
        "alive-read-before-the-lock",
    ),
    Order(
        "lingers-not-asked",
        "G5: a region is unmapped under a call by who gives the last view back",
        "region_open.c",
        "    if (c->lingers && c->references == 0 &&",
        "linger-call",
        "lingers-not-asked",
    ),
]

HANDED_ON: list[Mutant | Order] = [*FORKS, *PASSING]
