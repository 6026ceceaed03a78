# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of the core by which the wrong entries go, or room is lost (G7, and policy.h)."""

from __future__ import annotations

from core import Mutant

ROOMS = [
    Mutant(
        "closed-handles-copied",
        "what stays: every fork child copies the pages of all handles that were ever closed",
        "registry.c",
        "if (c->base != NULL) { /* else",
        "if (true) { /* else",
        "test_forks",
    ),
    Mutant(
        "reserve-twice",
        "what stays: pages in two segments of the reserve are counted twice, and evictions find no room for copies",
        "spare.c",
        "if (word_rlx(place) == page && !apart(c, page, i)) {",
        "if (word_rlx(place) == page && false && !apart(c, page, i)) {",
        "test_lost",
    ),
    Mutant(
        "dead-runs-kept",
        "G7: a run whose last living byte went is not freed",
        "run.c",
        "if (k->dead_count < sizeof k->dead / sizeof k->dead[0]) {",
        "if (k->dead_count > sizeof k->dead / sizeof k->dead[0]) {",
        "test_space",
    ),
    Mutant(
        "visited-dropped",
        "G7: entries that were read are dropped like others",
        "read.c",
        "atomic_store_explicit(visited, 1, memory_order_relaxed);",
        "atomic_store_explicit(visited, 0, memory_order_relaxed);",
        "test_policy",
    ),
    Mutant(
        "no-ghosts",
        "what stays: what comes back soon after it was evicted is like what never was there",
        "policy.c",
        "if (!ghost_knows(k)) {",
        "if (ghost_knows(k) || true) {",
        "test_policy",
    ),
    Mutant(
        "no-cleaning",
        "what stays: living entries are evicted while the pool is full of dead bytes",
        "policy.c",
        "if (clean_one(k)) {",
        "if (false) {",
        "test_policy",
    ),
    Mutant(
        "no-second-chance",
        "what stays: what was used since it came is evicted like the rest",
        "evict.c",
        "(judges(v) ? visited && entry_valid(k, e) : entry_current(k, e))",
        "(judges(v) ? false : entry_current(k, e))",
        "test_policy",
    ),
    Mutant(
        "no-small-queue",
        "what stays: a scan pushes out what is in use",
        "queue.c",
        "return hint != 0 && is_due(k->c, hint);",
        "return hint == 1;",
        "test_policy",
    ),
    Mutant(
        "large-costs-small",
        "what stays: small entries go when a large value is put where they lie",
        "hand.c",
        "queue_ripe(k, head)) ? EVICT_HAND : EVICT_ASIDE;",
        "queue_ripe(k, head)) ? EVICT_HAND : EVICT_HAND;",
        "test_policy",
    ),
    Mutant(
        "parked-and-forgotten",
        "G7: runs too full for what comes stay parked until the list is full of them",
        "run.c",
        "run_seal_parked(k, (uint32_t)own); /*",
        "(void)run_seal_parked; /*",
        "test_policy",
    ),
    Mutant(
        "marks-lost-in-cleaning",
        "what stays: cleaning makes what is in use look unused",
        "evict.c",
        "if (judges(v)) {\n            index_mark(k, way, 0);",
        "if (true) {\n            index_mark(k, way, 0);",
        "test_policy",
    ),
    Mutant(
        "faults-one-by-one",
        "pool: memory that others have used is mapped page by page when a large value is written to it",
        "sync.c",
        "(void)atomic_load_explicit((_Atomic uint8_t *)t, memory_order_relaxed);",
        "(void)0;",
        "test_pool",
    ),
    Mutant(
        "faults-one-by-one-in-part",
        "pool: as before, where a value is built from an old one",
        "verbs.c",
        "fill_value(old_at, hit->e.value",
        "fill_racing(old_at, hit->e.value",
        "test_pool",
    ),
]
