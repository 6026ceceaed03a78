# SPDX-License-Identifier: BSD-3-Clause
"""Plants one bug at a time in a copy of the core and demands that its test fails.

    python tests/mutants/run.py            all of them
    python tests/mutants/run.py NAME ...   some

Each mutant is a text of the core and what replaces it, with the guarantee that it breaks and the
native tests that must notice.  Exit status 1 when one survives, 2 when one does not apply any more
(the core has changed: the mutant is to be changed with it).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
HANG_LIMIT_S = 90


class Mutant(NamedTuple):
    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: str
    variant: str = "plain"


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
        "return page_readable(now) && page_gen(now) == page_gen(w);",
        "(void)now, (void)w;\n    return true;",
        "test_stopped test_threads",
    ),
    Mutant(
        "generation-of-the-head-only",
        "G3, I6: a run's generation is larger than its head's only",
        "pages.c",
        "for (uint32_t i = 0; i < n; i++) {\n        uint32_t had",
        "for (uint32_t i = 0; i < 1; i++) {\n        uint32_t had",
        "test_stopped",
    ),
    Mutant(
        "pins-ignored",
        "G3: a run is freed under a pin",
        "evict.c",
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
        "test_threads",
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
        "test_storm",
    ),
    Mutant(
        "pins-kept-by-the-dead",
        "G2: the pin of a dead process keeps its run in limbo for ever",
        "evict.c",
        "k->suspect = s != owner_slot(k->owner) ? s : k->suspect;\n            return true;",
        "return true;",
        "test_storm test_stopped",
    ),
    Mutant(
        "lock-byte-alone",
        "G2: a living process is held to be dead when its lock byte was dropped",
        "process.c",
        "return dead_here(c, t, held);",
        "return !held;",
        "test_process",
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
        "kernel-asked-at-every-call",
        "an operation makes no system call",
        "os_linux.c",
        "return clock_ms(CLOCK_REALTIME_COARSE);",
        "(void)syscall(SYS_gettid);\n    return clock_ms(CLOCK_REALTIME_COARSE);",
        "test_syscalls",
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
        "test_space test_policy",
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
        "test_policy test_space",
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
        "claim-not-checked",
        "single flight: a result is published over what replaced its claim",
        "verbs.c",
        "if (hit == NULL || hit->e.spec.kind != ENTRY_CLAIM || hit->e.spec.token != st->token) {",
        "if (hit == NULL) {",
        "test_flight",
    ),
    Mutant(
        "sum-captured-late",
        "invalidation: what was computed before it is stored as if computed after",
        "store.c",
        "s->sum = e->sum != 0 ? e->sum : name_sum(c, e->name, e->tags);",
        "s->sum = name_sum(c, e->name, e->tags);",
        "test_verbs test_flight",
    ),
    Mutant(
        "growth-unseen",
        "G2, G3: a run that crosses what this process knows of the file is taken for garbage",
        "pages.h",
        "k->want_refresh = true;\n    return true;",
        "k->want_refresh = false;\n    return false;",
        "test_storm test_edges test_region",
    ),
    Mutant(
        "retry-for-ever",
        "G1, G9: a look at a slot that keeps changing is repeated without end",
        "index.c",
        "for (unsigned tries = 0; seen == SEEN_CHANGED && tries < INDEX_TRIES; tries++) {",
        "while (seen == SEEN_CHANGED) {",
        "test_garbage",
    ),
]


def plant(mutant: Mutant) -> bool:
    """A fresh copy of the core with the bug in it; False: its text is not there (once)."""
    shutil.rmtree(WORK / "native", ignore_errors=True)
    shutil.rmtree(WORK / "tests", ignore_errors=True)
    shutil.copytree(ROOT / "native", WORK / "native")
    shutil.copytree(ROOT / "tests" / "native", WORK / "tests" / "native")
    path = WORK / "native" / "src" / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return False
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return True


def noticed(mutant: Mutant) -> bool:
    """Does one of its tests fail?  (A build that fails notices nothing: it raises.)"""
    make = ["make", "-s", "-C", str(WORK / "native"), "-j2", f"OUT={WORK / 'out'}"]
    make += ["FLAGS_plain=-O2"]  # a bug may leave something unused behind
    make += [f"VARIANTS={mutant.variant}", f"TESTS={mutant.tests}", f"LIMIT={HANG_LIMIT_S}"]
    subprocess.run([*make, "programs"], check=True, capture_output=True)
    return subprocess.run([*make, "-k", "test"], capture_output=True).returncode != 0


def main() -> int:
    wanted = sys.argv[1:]
    worst = 0
    for mutant in MUTANTS:
        if wanted and mutant.name not in wanted:
            continue
        if not plant(mutant):
            print(f"DOES NOT APPLY  {mutant.name}: {mutant.file} has changed", flush=True)
            worst = 2
        elif noticed(mutant):
            print(f"noticed         {mutant.name}: {mutant.breaks}", flush=True)
        else:
            print(f"SURVIVED        {mutant.name}: {mutant.breaks} ({mutant.tests})", flush=True)
            worst = max(worst, 1)
    return worst


if __name__ == "__main__":
    sys.exit(main())
