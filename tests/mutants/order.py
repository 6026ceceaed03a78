# SPDX-License-Identifier: BSD-3-Clause
"""Bugs in the order of shared accesses: the text of the core that prevents each, and the model that must find it.

The text is what would be left out or changed; it is looked for, so that nobody takes it away unnoticed.
"""

from __future__ import annotations

from typing import NamedTuple


class Order(NamedTuple):
    name: str
    breaks: str
    """The guarantee, and in which way."""
    file: str
    text: str
    model: str
    bug: str
    """In the model."""


ORDERS = [
    Order(
        "slot-not-reloaded",
        "G3: a recycled run's new generation is taken for the old one's",
        "find.h",
        "if (!page_readable(g->word) || word_acq(g->at) != g->slot) {",
        "get-recycled",
        "no-reload",
    ),
    Order(
        "slot-reloaded-relaxed",
        "G3: bytes are read before the slot was looked at again",
        "find.h",
        "word_acq(g->at) != g->slot) {\n        return FOUND_CHANGED;",
        "get-recycled",
        "reload-relaxed",
    ),
    Order(
        "no-fence-behind-the-copy",
        "G3: the generation is looked at again before the bytes were read",
        "index.h",
        "    fence_acquire();\n    uint64_t now = word_acq(page_word(k->c, head));",
        "get-recycled",
        "no-fence-behind-the-copy",
    ),
    Order(
        "filled-before-its-generation",
        "G3: bytes of a new entry are seen before the generation that makes them one",
        "pages.c",
        "fence_release(); /* whoever sees a byte that I fill also sees the new generation */",
        "get-recycled",
        "filled-without-fence",
    ),
    Order(
        "freeing-left-out",
        "G3: pages are given away while their run still reads as before",
        "evict.c",
        "word_put_rel(page_word(c, v->head), page_make(PAGE_FREEING, v->k->owner, gen));",
        "get-tail",
        "not-freeing",
    ),
    Order(
        "no-fence-in-pin",
        "G3: a pin is stored behind the look that relies on it",
        "index.c",
        "        word_put_rlx(k->pin, pin_make(head, 1));\n        fence_full();",
        "pin",
        "no-fence-in-pin",
    ),
    Order(
        "pin-not-rechecked",
        "G3: a run that was unlinked before the pin could be seen is read in place",
        "index.c",
        "        if (word_acq(slot) != *v) {\n            continue;",
        "pin",
        "pin-not-rechecked",
    ),
    Order(
        "no-fence-before-the-pins",
        "G3: pins are looked at before the slots are out",
        "evict.c",
        "        fence_full();\n        if (!pinned(v->k, v->head)) {",
        "pin",
        "no-fence-before-pins",
    ),
    Order(
        "limbo-not-looked-at-again",
        "G3: a run in limbo is freed under a pin",
        "evict.c",
        "if (pinned(v->k, v->head) || !word_swap(page_word(c, v->head), limbo, v->word)) {",
        "pin",
        "no-second-scan",
    ),
    Order(
        "unpinned-relaxed",
        "G3: a run is freed before what its reader read has come in",
        "index.c",
        "word_put_rel(k->pin, 0);",
        "pin",
        "unpinned-relaxed",
    ),
    Order(
        "no-fence-behind-the-dead",
        "G7: a run whose last entry goes while it is sealed is freed by nobody",
        "run.c",
        "    fence_full(); /* whoever seals looks at the dead bytes",
        "empty-run",
        "no-fence-in-run_dead",
    ),
    Order(
        "no-fence-behind-the-seal",
        "G7: a run whose last entry goes while it is sealed is freed by nobody",
        "run.c",
        "page_make(PAGE_SEALED, 0, f->gen));\n    fence_full();",
        "empty-run",
        "no-fence-in-seal",
    ),
    Order(
        "unlinked-by-a-store",
        "G2, G3: a deletion takes out what replaced the entry, and counts the entry's bytes twice",
        "store.c",
        "if (!word_swap(index_slot(k, hit->way), hit->e.slot, 0)) {",
        "insert-delete",
        "unlinked-by-a-store",
    ),
    Order(
        "moved-by-a-store",
        "G3: an evictor's copy brings back what was deleted",
        "evict.c",
        "v->copy.published = word_swap(index_slot(k, way), e->slot, run_place(k, &v->copy));",
        "set-move",
        "moved-by-a-store",
    ),
    Order(
        "sealed-before-publishing",
        "G2: a stopped writer publishes a run that others have by now",
        "store.c",
        "        account_replaced(st); /* before the pin goes: afterwards the run may be another */\n"
        "        index_unpin(k);\n        if (s != PLC_OK && st->placed) {\n            break;\n        }\n"
        "        run_finish(k, &st->fill);",
        "open-run",
        "sealed-before-publishing",
    ),
    Order(
        "marked-behind-the-slot",
        "G2: a dead one's published entry is written over by who continues its run",
        "store.c",
        "    run_commit(st->k, &st->fill);\n    if (!word_swap(index_slot(st->k, way), old,",
        "open-run",
        "mark-behind-the-slot",
    ),
    Order(
        "mark-read-before-winning",
        "G2: who continues a run writes over what its owner committed last",
        "run.c",
        "uint64_t a = word_acq(page_side_a(c, head)); /* only now:",
        "open-run",
        "mark-read-before-winning",
    ),
    Order(
        "tails-freed-blindly",
        "G2: after a takeover a page is freed that another has by now",
        "pages.c",
        "(void)word_swap(page_word(k->c, head + i - 1), tail, page_make(PAGE_FREE, 0, gen));",
        "pages-evict",
        "tails-freed-blindly",
    ),
    Order(
        "tails-not-checked",
        "G2: who continues a dead one's run fills pages that it had given back",
        "run.c",
        "pages_own_prefix(k, head, f->gen, f->pages);",
        "pages-resume",
        "tails-not-checked",
    ),
    Order(
        "tails-before-the-head",
        "G2: the sweep takes tails of a run that is being formed for those of one that is gone",
        "pages.c",
        "page_make(PAGE_OPEN, k->owner, gen));\n    for (uint32_t i = 1; i < n; i++) {",
        "pages-sweep",
        "tails-before-the-head",
    ),
    Order(
        "lock-names-the-slot-only",
        "G2: a lock is taken from the next tenant of a dead one's place",
        "lock.c",
        "lock_make(owner_slot(owner), owner_inc(owner), tid, sequence);",
        "lock",
        "word-names-the-slot-only",
    ),
    Order(
        "death-not-settled",
        "G2: what a dead one stored last arrives after its lock was taken over",
        "process.c",
        "    os_settle();\n    return true;\n}\n\n/* ---- keeping",
        "lock",
        "not-settled",
    ),
    Order(
        "incarnation-raised-by-a-store",
        "G2: a slow reaper declares the next tenant dead",
        "process.c",
        "bool raised = word_swap(&row->inc, t.inc, t.inc + 1);",
        "tenants",
        "raised-by-a-store",
    ),
    Order(
        "pins-not-cleared",
        "G2: a dead one's pin becomes its successor's, and keeps a run for ever",
        "place.c",
        "word_put_rlx(&row->transient[i], 0);",
        "tenants",
        "pins-not-cleared",
    ),
    Order(
        "threads-counted-too-late",
        "G2: a process is held to be dead whose last thread was started during the proof",
        "os_proc.c",
        "        error = process_stat(pid, &line);\n    }\n    if (error == 0) {\n"
        "        error = list_threads(pid, &second);",
        "threads",
        "counted-behind-the-second",
    ),
    Order(
        "no-fence-behind-the-claim",
        "single flight: what was computed from the old truth outlives a delete",
        "flight.c",
        "fence_full(); /* the claim is seen before anything that the computation reads */",
        "claim-delete",
        "no-fence-behind-the-claim",
    ),
    Order(
        "no-fence-before-a-store",
        "single flight: a set passes by a claim whose computation has seen the old truth",
        "store.c",
        "fence_full(); /* before the first slot load: a claim made before now is seen */",
        "claim-set",
        "no-fence-before-the-first-slot",
    ),
    Order(
        "no-fence-before-a-delete",
        "single flight: a delete passes by a claim whose computation has seen the old truth",
        "verbs.c",
        "fence_full(); /* a claim made before now is seen */",
        "claim-delete",
        "no-fence-before-the-first-slot",
    ),
    Order(
        "sum-captured-relaxed",
        "invalidation: what was computed before it counts as computed after",
        "names.h",
        "uint64_t sum = word_acq(&name_row(c, NAME_WHOLE)->generation);",
        "flush",
        "captured-relaxed",
    ),
    Order(
        "clean-under-the-living",
        "G10: a region counts as closed in good order while somebody is attached",
        "region_open.c",
        "    word_put_rel(&c->super->clean, 1);\n    fence_full();",
        "clean",
        "no-fence-in-mark_clean",
    ),
]
