# SPDX-License-Identifier: BSD-3-Clause
"""C, one process, 1,000 keys of 16 bytes: one kind of operation, against LMDB and memcached."""

from __future__ import annotations

import contextlib

from benchmarks.bench import MIB, Bench, not_measured, tried
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.programs import Program, undisturbed
from benchmarks.turns import Candidate, started_often, take_turns

KEYS = 1000
SAMPLE_NS = 10e6  # how long a sample takes
OPERATIONS = (1000, 500_000)  # least and most of a sample
STARTS = 3
LMDB, MEMCACHED, NOTHING = "LMDB in C", "libmemcached", "the loop alone"


def hot(
    bench: Bench, operation: str, work: str, lmdb: float | None, memcached: float | None
) -> list[Line]:
    """Measure one operation; lmdb and memcached: how many times faster ours is to be."""
    missing: dict[str, str] = {}
    goals = {
        LMDB: Goal(least=lmdb) if lmdb else None,
        MEMCACHED: Goal(least=memcached) if memcached else None,
    }
    left_out: list[float] = []
    samples = started_often(
        STARTS,
        bench.rounds,
        lambda rounds: started(bench, operation, rounds, missing, left_out),
    )
    lines = [
        compared(work, peer, samples["ours"], samples[peer], goal=goals[peer])
        for peer in (LMDB, MEMCACHED)
        if peer in samples
    ]
    loop = Spread.of(samples[NOTHING]).median
    for line in lines:
        line.facts.append(f"{loop:.1f} ns of every figure are the loop itself")
        line.facts.append(undisturbed(left_out))
    return lines + [
        line
        for peer in missing
        for line in not_measured(work, {peer: missing[peer]}, goal=goals[peer])
    ]


def started(
    bench: Bench, operation: str, rounds: int, missing: dict[str, str], left_out: list[float]
) -> dict[str, list[float]]:
    """Samples of programs that are started for them, and end."""
    with contextlib.ExitStack() as stack:

        def enter(name: str) -> Program:
            at = bench.fresh(name)
            if name == "memcached":
                at = stack.enter_context(bench.memcached())
            return stack.enter_context(Program(name, at, 64 * MIB, bench.core))

        stores = {"ours": enter("ours"), NOTHING: enter("nothing")}
        for peer, name in ((LMDB, "lmdb"), (MEMCACHED, "memcached")):
            if program := tried(peer, lambda name=name: enter(name), missing):  # type: ignore[misc]
                stores[peer] = program
        candidates = {peer: prepared(bench, stores[peer], operation) for peer in stores}
        samples = take_turns(candidates, rounds)
        left_out += stores["ours"].left_out
    return samples


def prepared(bench: Bench, program: Program, operation: str) -> Candidate:
    """Fill a store, and choose how many operations make a sample."""
    program.ask("fill", KEYS)
    program.ask("counters", KEYS)
    least, most = OPERATIONS
    each = program.run(operation, KEYS, KEYS)
    count = int(min(max(bench.scaled(int(SAMPLE_NS)) / max(each, 1), least), most))
    count -= count % KEYS

    return lambda: program.run(operation, count, KEYS)
