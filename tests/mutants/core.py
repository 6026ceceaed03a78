# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of the core that its tests must notice: each is a text of the core and what replaces it."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    name: str
    breaks: str
    """The guarantee, and in which way."""
    file: str
    old: str
    new: str
    tests: str
    """The native tests of which one must fail."""
    variant: str = "plain"
    hangs: int = 0
    """Seconds after which a test that does not end has noticed it.  0: that says nothing."""
    only: str = ""
    """The part of the test that must notice, where the whole takes minutes."""


MUTANTS = [
    Mutant(
        "rewritten-below-the-mark",
        "G2: a rebuilt entry is written again where the mark has passed it",
        "verbs.c",
        "if (f->committed && !f->own) {",
        "if (false) {",
        "test_rebuild",
    ),
    Mutant(
        "copy-not-checked",
        "G3: what was copied is believed without looking at the generation again",
        "index.h",
        "return now == w || (page_readable(now) && page_gen(now) == page_gen(w));",
        "(void)now, (void)w;\n    return true;",
        "test_stopped",
    ),
    Mutant(
        "generation-of-the-head-only",
        "G3, I6: a run's generation is larger than its head's only",
        "pages.c",
        "for (uint32_t i = 0; i < n; i++) {\n        uint32_t had",
        "for (uint32_t i = 0; i < 1; i++) {\n        uint32_t had",
        "test_remains",
        only="generations",
    ),
    Mutant(
        "pins-ignored",
        "G3: a run is freed under a pin",
        "pinned.c",
        "k->suspect = s != owner_slot(k->owner) ? s : k->suspect;\n            return true;",
        "k->suspect = s != owner_slot(k->owner) ? s : k->suspect;\n            return false;",
        "test_stopped",
    ),
    Mutant(
        "insert-without-lock",
        "I4: an absent key is inserted without the shard lock",
        "store.c",
        "int s = (int)call_lock(st->k, &held);",
        "static word nobody;\n    held = (struct lock_held){.at = &nobody};\n    int s = PLC_OK;",
        "test_insert",
        only="inserting",
    ),
    Mutant(
        "lock-kept-by-the-dead",
        "G2: the lock of a dead holder is not taken over",
        "lock.c",
        "bool takeover = w != 0 && !holder_alive(c, w);",
        "bool takeover = false;",
        "test_lock",
    ),
    Mutant(
        "runs-kept-by-the-dead",
        "G2: what a dead process owned is never taken over",
        "evict.c",
        "bool dead = page_owned(w) && !owner_alive(c, w);",
        "bool dead = false;",
        "test_death",
        only="set-large",
    ),
    Mutant(
        "pins-kept-by-the-dead",
        "G2: the pin of a dead process keeps its run in limbo for ever",
        "pinned.c",
        "k->suspect = s != owner_slot(k->owner) ? s : k->suspect;\n            return true;",
        "return true;",
        "test_remains",
        only="dead_pin",
    ),
    Mutant(
        "lock-byte-alone",
        "G2: a living process is held to be dead when its lock byte was dropped",
        "process.c",
        "return dead_here(c, t, held);",
        "return !held;",
        "test_process test_lost",
    ),
    Mutant(
        "page-not-checked",
        "G4: a page number of a slot is believed",
        "pages.h",
        "return page >= c->geo.first_page && page < pages_limit(c);",
        "return page >= c->geo.first_page && page < (1u << 27) + pages_limit(c) * 0;",
        "test_garbage",
    ),
    Mutant(
        "claim-not-checked",
        "single flight: a result is published over what replaced its claim",
        "verbs.c",
        "if (hit == NULL || !hit->e.intact || hit->e.spec.kind != ENTRY_CLAIM || hit->e.spec.token != st->token) {",
        "if (hit == NULL) {",
        "test_flight",
    ),
    Mutant(
        "sum-captured-late",
        "invalidation: what was computed before it is stored as if computed after",
        "store.c",
        "    if (s->sum == 0) {\n",
        "    if (s->sum != UINT64_MAX) {\n",
        "test_verbs test_flight",
    ),
    Mutant(
        "growth-unseen",
        "G2, G3: a run that crosses what this process knows of the file is taken for garbage",
        "pages.h",
        "k->want_refresh = true;\n    return true;",
        "k->want_refresh = false;\n    return false;",
        "test_edges test_region",
    ),
    Mutant(
        "dead-run-taken-as-empty",
        "G2: what a dead one had committed to its open run is written over",
        "run.c",
        "    f->mark = side_a_mark(a);\n    if (page_state(w) == PAGE_OPEN) {",
        "    f->mark = page_state(w) == PAGE_OPEN ? 0 : side_a_mark(a);\n    if (page_state(w) == PAGE_OPEN) {",
        "test_rebuild",
    ),
    Mutant(
        "committed-late",
        "G2: an entry is published before its run's mark covers it",
        "store.c",
        "    run_commit(st->k, &st->fill);\n    if (!word_swap(index_slot(st->k, way), old, run_place(st->k, &st->fill))) {\n        return false;\n    }",
        "    st->fill.committed = true;\n    if (!word_swap(index_slot(st->k, way), old, run_place(st->k, &st->fill))) {\n        return false;\n    }\n    run_commit(st->k, &st->fill);",
        "test_between",
        only="writers",
    ),
    Mutant(
        "tails-freed-by-a-store",
        "G2, I5: tails are freed that may be another run's by now",
        "pages.c",
        "(void)word_swap(page_word(k->c, head + i - 1), tail, page_make(PAGE_FREE, 0, gen));",
        "(void)tail;\n        word_put_rel(page_word(k->c, head + i - 1), page_make(PAGE_FREE, 0, gen));",
        "test_remains",
        only="others_tails",
    ),
    Mutant(
        "reader-believes-the-slot",
        "G3: a reader does not look at the slot again",
        "find.h",
        " || word_acq(g->at) != g->slot) {\n        return FOUND_CHANGED;\n    }\n    bool read",
        ") {\n        return FOUND_CHANGED;\n    }\n    bool read",
        "test_reader",
        only="misled",
    ),
    Mutant(
        "pin-believes-the-slot",
        "G3: a writer does not look at the slot again behind its pin",
        "index.c",
        "        if (word_acq(slot) != *v) {\n            continue;\n        }\n",
        "",
        "test_reader",
        only="misled",
    ),
    Mutant(
        "copy-put-in-by-a-store",
        "G3: an evictor's copy replaces what was stored or deleted meanwhile",
        "evict.c",
        "v->copy.published = word_swap(index_slot(k, way), e->slot, run_place(k, &v->copy));",
        "word_put_rel(index_slot(k, way), run_place(k, &v->copy));\n    v->copy.published = true;",
        "test_between",
        only="writers",
    ),
    Mutant(
        "taken-out-by-a-store",
        "G3: a deletion takes out whatever stands in the slot by now",
        "store.c",
        "    if (!word_swap(index_slot(k, hit->way), hit->e.slot, 0)) {\n        return false;\n    }\n",
        "    word_put_rel(index_slot(k, hit->way), 0);\n",
        "test_between",
        only="writers",
    ),
    Mutant(
        "hint-not-checked",
        "G4: a free page is believed to be in the pool because a hint says so",
        "spare.c",
        "page < UINT32_MAX && page_in_pool(c, (uint32_t)page) &&",
        "page < UINT32_MAX &&",
        "test_garbage",
    ),
    Mutant(
        "length-wraps",
        "G5: lengths of parts are added up without looking for an overflow",
        "store.c",
        "part->length > PLC_SIZE_MAX - length || ",
        "",
        "test_edges",
    ),
    Mutant(
        "free-pages-forgotten",
        "G2: free pages that deaths took out of the lists are not found again",
        "sweep.c",
        "    spare_give(k, page, n);\n",
        "    (void)k;\n",
        "test_lost",
    ),
    Mutant(
        "lengths-read-twice",
        "G5: a part's length counts that the caller has changed since it was checked",
        "store.c",
        "        n = n < left ? n : left;\n",
        "",
        "test_arguments",
        only="changing_arguments",
    ),
    Mutant(
        "key-hashed-where-it-lies",
        "G5: the key that is hashed is not the one that is stored",
        "index.h",
        "hash_from(k->c->hash, k->key, length));\n    return PLC_OK;",
        "hash_from(k->c->hash, key, length));\n    return PLC_OK;",
        "test_arguments",
        only="changing_arguments",
    ),
    Mutant(
        "own-memory-accepted",
        "G5: a pointer into the region is accepted as the caller's",
        "domain.c",
        "return base != 0 && at < base + c->geo.size_bytes && ",
        "return base == 0 && at < base + c->geo.size_bytes && ",
        "test_edges",
    ),
    Mutant(
        "key-length-not-checked",
        "G5: a key longer than its buffer is copied",
        "index.h",
        "if (length == 0 || length > PLC_KEY_MAX || key == NULL",
        "if (length == 0 || key == NULL",
        "test_edges",
    ),
    Mutant(
        "reader-believes-lengths",
        "G4: the length of an entry is believed to end within the file",
        "find.h",
        "    if (value_at + g->length > room) {\n        return false;\n    }\n",
        "",
        "test_bounded",
    ),
    Mutant(
        "entries-believe-lengths",
        "G4: the length of an entry is believed to end within its run",
        "entry.c",
        "if (s->key_length == 0 || s->key_length > PLC_KEY_MAX || out->bytes > room) {",
        "if (s->key_length == 0 || s->key_length > PLC_KEY_MAX) {",
        "test_bounded",
    ),
    Mutant(
        "tails-of-the-dead-believed",
        "G2: a dead one's run is continued into pages that it had given back",
        "run.c",
        "f->pages == 0 ? 0 : pages_own_prefix(k, head, f->gen, f->pages)",
        "f->pages",
        "test_remains",
        only="tails_of_the_dead",
    ),
    Mutant(
        "moved-in-two-steps",
        "G2: an entry that is copied by an evictor is in no slot for a moment",
        "evict.c",
        "word_swap(index_slot(k, way), e->slot, run_place(k, &v->copy));",
        "word_swap(index_slot(k, way), e->slot, 0) && "
        "word_swap(index_slot(k, way), 0, run_place(k, &v->copy));",
        "test_between",
        only="never_absent",
    ),
]
