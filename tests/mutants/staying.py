# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of the core by which the wrong entries stay, by what they cost and where they lie; and of what writers share."""

from __future__ import annotations

from core import Mutant

STAYING = [
    Mutant(
        "dear-stays-always",
        "what stays: what is worth more than the going rate never goes",
        "worth.c",
        "return above > 0 && !chance(k, e, above);",
        "return above > 0;",
        "test_worth",
        only="chances",
    ),
    Mutant(
        "use-is-no-doubling",
        "what stays: what is used goes as soon as it is worth less than the going rate",
        "worth.c",
        "return above >= -STEPS || chance(k, e, -STEPS - above);",
        "return above >= 0 || chance(k, e, -above);",
        "test_worth",
        only="chances",
    ),
    Mutant(
        "untold-is-cheap",
        "what stays: an entry whose cost was not told goes though it is used",
        "worth.c",
        "if (e->spec.cost == 0) {",
        "if (false) {",
        "test_worth",
        only="chances",
    ),
    Mutant(
        "used-raise-the-rate",
        "what stays: what is dear and used makes all that is unused look cheap",
        "worth.c",
        "rate_with(k, worth, !used);",
        "rate_with(k, worth, true);",
        "test_worth",
        only="rate",
    ),
    Mutant(
        "rate-of-the-last",
        "what stays: the going rate is what the last one was worth",
        "worth.c",
        "entries += entries < RATE_ENTRIES ? 1 : 0;",
        "entries = 1;",
        "test_worth",
        only="rate",
    ),
    Mutant(
        "small-queue-a-tenth",
        "what stays: what passes through unused has a tenth of the pool",
        "queue.c",
        "#define SMALL_PART 20u",
        "#define SMALL_PART 10u",
        "test_policy",
        only="small is a twentieth",
    ),
    Mutant(
        "small-queue-a-hundredth",
        "what stays: what is new goes before it can be used",
        "queue.c",
        "#define SMALL_PART 20u",
        "#define SMALL_PART 100u",
        "test_policy",
        only="small is a twentieth",
    ),
    Mutant(
        "parked-in-many-places",
        "what writers share: a run takes a place of the list at each store, until no other has one",
        "spare.c",
        "        if (word_rlx(&c->super->parked[at]) == head) {",
        "        if (word_rlx(&c->super->parked[at]) == head && false) {",
        "test_runs",
        only="own run first",
    ),
    Mutant(
        "runs-of-others-first",
        "what writers share: a writer takes others' runs though its own has room",
        "run.c",
        "        run_resume(k, (uint32_t)own, need, f)) {",
        "        false && run_resume(k, (uint32_t)own, need, f)) {",
        "test_runs",
        only="own run first",
    ),
    Mutant(
        "marked-at-each-read",
        "R2: a hot get stores to a line that readers share",
        "read.h",
        "if (__builtin_expect(atomic_load_explicit(visited, memory_order_relaxed) != read, 0)) {",
        "if (true) {",
        "test_runs",
        only="a hot read stores nothing",
    ),
]
