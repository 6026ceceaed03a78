# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of the core that show when a process dies, or stands still, at one certain instruction: test_death is the judge.

Each is an order that layout.h prescribes, turned round, or a takeover that does not take place.
"""

from __future__ import annotations

from core import Mutant


def death(name: str, breaks: str, file: str, old: str, new: str, only: str) -> Mutant:
    return Mutant(name, breaks, file, old, new, "test_death", only=only)


PUBLISH = "    run_commit(st->k, &st->fill);\n    if (!word_swap("

DEATHS = [
    death(
        "sealed-before-published",
        "G2, G3: a run is sealed before its entry is in the index, and evicted under its writer",
        "store.c",
        PUBLISH,
        PUBLISH.replace(
            "    if (",
            "    word_put_rel(page_word(st->k->c, st->fill.head), "
            "page_make(PAGE_SEALED, 0, st->fill.gen));\n    if (",
        ),
        "set-new",
    ),
    death(
        "dead-counted-before",
        "G2: a replaced entry's bytes are counted as dead while the index still names it",
        "store.c",
        "    s = st->build != NULL && (hit->e.spec.options & ENTRY_OWN) ?",
        "    run_dead(st->k, hit->e.head, page_gen(hit->e.head_word), hit->e.bytes);\n"
        "    s = st->build != NULL && (hit->e.spec.options & ENTRY_OWN) ?",
        "set-replace",
    ),
    death(
        "replaced-in-two-steps",
        "G2: between the old value and the new one there is none",
        "store.c",
        "word_swap(index_slot(st->k, way), old, run_place(st->k, &st->fill))",
        "word_swap(index_slot(st->k, way), old, 0) || "
        "!word_swap(index_slot(st->k, way), 0, run_place(st->k, &st->fill))",
        "set-replace",
    ),
    death(
        "head-freed-first",
        "G2, I5: a run's head is free while its tails still name it",
        "pages.c",
        "    free_tails(k, head, gen, 1, n);\n"
        "    word_put_rel(page_word(k->c, head), page_make(PAGE_FREE, 0, gen));",
        "    word_put_rel(page_word(k->c, head), page_make(PAGE_FREE, 0, gen));\n"
        "    free_tails(k, head, gen, 1, n);",
        "set-evict",
    ),
    death(
        "tails-before-head",
        "G2, I5: pages are a run's tails before the run has a head",
        "pages.c",
        "    word_put_rel(page_word(c, head), page_make(PAGE_OPEN, k->owner, gen));\n"
        "    for (uint32_t i = 1; i < n; i++) {\n"
        "        word_put_rel(page_word(c, head + i), page_cont(head, gen));\n    }\n",
        "    for (uint32_t i = 1; i < n; i++) {\n"
        "        word_put_rel(page_word(c, head + i), page_cont(head, gen));\n    }\n"
        "    word_put_rel(page_word(c, head), page_make(PAGE_OPEN, k->owner, gen));\n",
        "set-large",
    ),
    death(
        "trimmed-before-freed",
        "G2, I5: a run is said to be shorter while its last pages still name it",
        "pages.c",
        "    free_tails(k, head, gen, keep, n);\n    word_put_rel(a,",
        "    word_put_rel(a, side_a_make(keep, side_a_mark(word_rlx(a)), false));\n"
        "    free_tails(k, head, gen, keep, n);\n    word_put_rel(a,",
        "set-trim",
    ),
    death(
        "pages-claimed-for-ever",
        "G2: pages that a dead one had claimed are never free again",
        "pages.c",
        "(state == PAGE_CLAIM && !owner_alive(k->c, old))",
        "(state == PAGE_CLAIM && false)",
        "takeover-claimed-pages",
    ),
    death(
        "computed-by-the-dead",
        "G2: what a dead one wanted to compute is waited for",
        "entry.c",
        "entry_current(k, e) && owner_alive(k->c, entry_claim_owner(e))",
        "entry_current(k, e)",
        "takeover-claim",
    ),
    death(
        "deaths-not-asked-after",
        "G2: who meets a dead one's pages never asks whether it lives",
        "call.c",
        "} else if (k->suspect != 0 && process_reap_due(c, k->suspect, REAP_EVERY_MS)) {",
        "} else if (false) {",
        "set-new",
    ),
    death(
        "named-before-made",
        "G2: a region has its name before it has its tables",
        "region_make.c",
        "    error = write_tables(fd, &geo, !in_memory || region_always_persistent);\n"
        "    error = error != 0 ? error : os_link(fd, at->folder, at->name);",
        "    error = os_link(fd, at->folder, at->name);\n"
        "    error = error != 0 ? error : "
        "write_tables(fd, &geo, !in_memory || region_always_persistent);",
        "create",
    ),
]
