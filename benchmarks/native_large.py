# SPDX-License-Identifier: BSD-3-Clause
"""C, more records than a processor's caches hold: random gets, processes and threads at once."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import MIB, Bench, not_measured, tried
from benchmarks.figures import Goal, Line, compared
from benchmarks.programs import ROOT, Program, undisturbed
from benchmarks.turns import Candidate, take_turns

RECORD_BYTES = 270  # room that a record of 16 + 128 bytes is given in any store
LMDB, CHASE, ALONE = "LMDB in C", "a memory miss", "1 thread"
PROCESSES = 2
HUGE_LEAST = 8 * MIB  # in less memory no huge page need find a place
START_NS = 5_000_000  # between the word to all processes and the common start


def room_for(records: int, overwritten: bool = False) -> int:
    """The size of a store for so many records, which is to lose none."""
    return max(64 * MIB, records * RECORD_BYTES * (2 if overwritten else 1))


def random_gets(bench: Bench, records: int, work: str) -> list[Line]:
    """Gets of records of chance, against LMDB and against dependent loads from as much memory."""
    records = bench.scaled(records, 2000)
    bench.room(3 * room_for(records))
    most = 2.2 if records >= 10_000_000 else 2.7
    goals = {LMDB: Goal(least=2), CHASE: Goal(most=most)}
    missing: dict[str, str] = {}
    count = bench.scaled(40_000, 1000)
    with contextlib.ExitStack() as stack:

        def enter(name: str) -> Program:
            size = room_for(records)
            return stack.enter_context(Program(name, bench.fresh(name), size, bench.core))

        def gets(program: Program) -> Candidate:
            program.ask("fill", records)
            return lambda: program.run("get", count, records)

        ours = enter("ours")
        candidates = {"ours": gets(ours)}
        if lmdb := tried(LMDB, lambda: enter("lmdb"), missing):
            candidates[LMDB] = gets(lmdb)
        used, own = int(ours.ask("used")[0]), ours.huge_bytes()
        huge = used >= HUGE_LEAST and own > used / 2
        candidates[CHASE] = lambda: ours.ask("chase", used, count, int(huge))[0]
        samples = take_turns(candidates, bench.rounds)
        chased = ours.huge_bytes() - own
    lines = [
        compared(work, CHASE, samples["ours"], samples[CHASE],
                 direction="ours / theirs", goal=goals[CHASE])
    ]  # fmt: skip
    if LMDB in samples:
        lines.append(compared(work, LMDB, samples["ours"], samples[LMDB], goal=goals[LMDB]))
    lines[0].facts.append(
        f"{used >> 20} MiB in use, {percent(own, used)} of them in huge pages; a miss is a load "
        "that depends on the one before, in the same process, from as much shared memory, "
        f"{percent(chased, used)} of it in huge pages"
    )
    lines[0].facts.append(undisturbed(ours.left_out))
    return lines + not_measured(work, missing, goal=goals[LMDB])


def percent(part: int, whole: int) -> str:
    """A part that is no more than the whole, in percent."""
    return f"{min(100.0, 100 * part / whole):.0f} %"


@dataclass
class Team:
    """The processes that share one store."""

    programs: list[Program]
    window: tuple[int, int, int]  # milliseconds, percent of gets, records
    operations: float = 0
    misses: float = 0

    def run(self, count: int) -> float:
        """Let the first ``count`` work at once; returns their operations in a second."""
        start = time.monotonic_ns() + START_NS
        for program in self.programs[:count]:
            program.send("mix", start, *self.window)
        answers = [program.answer() for program in self.programs[:count]]
        self.operations += sum(operations for operations, *_ in answers)
        self.misses += sum(misses for _, _, misses, _ in answers)
        return sum(operations / seconds for operations, seconds, *_ in answers)


@contextlib.contextmanager
def team(bench: Bench, name: str, records: int, gets: int, tree: Path = ROOT) -> Iterator[Team]:
    """Processes that share a filled store, each on a processor of its own as far as they go."""
    size = room_for(records, overwritten=True)
    bench.room(2 * size)
    cores = sorted(os.sched_getaffinity(0))
    at = bench.fresh(name)
    with contextlib.ExitStack() as stack:
        programs = [
            stack.enter_context(Program(name, at, size, cores[n % len(cores)], tree))
            for n in range(PROCESSES)
        ]
        programs[0].ask("fill", records)
        for program in programs:  # what each draws is drawn before
            program.ask("mix", time.monotonic_ns(), 1, gets, records)
        yield Team(programs, (bench.scaled(200, 5), gets, records))


def mixed(bench: Bench, gets: int, work: str, goal: float) -> list[Line]:
    """Two processes at once on one store, zipf 0.99; gets: percent, the others are sets."""
    records = bench.scaled(1_000_000, 2000)
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:

        def enter(name: str) -> Team:
            return stack.enter_context(team(bench, name, records, gets))

        ours = enter("ours")
        candidates = {"ours": lambda: ours.run(PROCESSES), "one of ours": lambda: ours.run(1)}
        if lmdb := tried(LMDB, lambda: enter("lmdb"), missing):
            candidates |= {LMDB: lambda: lmdb.run(PROCESSES), "one LMDB": lambda: lmdb.run(1)}
        samples = take_turns(candidates, bench.rounds, 15)
    if missing:
        return not_measured(work, missing, unit="ops/s", goal=Goal(least=goal))
    pairs = [
        (work, "ours", LMDB, Goal(least=goal)),
        (f"the same, 1 process, {gets}/{100 - gets}", "one of ours", "one LMDB", None),
    ]
    lines = [
        compared(name, LMDB, samples[one], samples[other],
                 unit="ops/s", direction="ours / theirs", goal=wanted)
        for name, one, other, wanted in pairs
    ]  # fmt: skip
    size = room_for(records, overwritten=True)
    lines[0].facts.append(
        f"{100 * ours.misses / ours.operations:.2g} % of our operations were misses, although the "
        f"{size >> 20} MiB have room for all records"
    )
    return lines


def gets_of_threads(bench: Bench, program: Program, count: int) -> Candidate:
    """Operations in a second of so many threads of one process, all hot."""
    milliseconds, records = bench.scaled(60, 5), 1000
    program.ask("fill", records)

    def sample() -> float:
        operations, seconds = program.ask("threads", count, milliseconds, records)
        return operations / seconds

    return sample


def threads(bench: Bench, work: str) -> list[Line]:
    """Two threads of one process, each on a processor of its own, against one."""
    with Program("ours", bench.fresh("ours"), 64 * MIB) as ours:
        candidates = {
            "ours": gets_of_threads(bench, ours, 2),
            ALONE: gets_of_threads(bench, ours, 1),
        }
        samples = take_turns(candidates, bench.rounds)
    line = compared(work, ALONE, samples["ours"], samples[ALONE],
                    unit="ops/s", direction="ours / theirs", goal=Goal(least=0.9))  # fmt: skip
    line.facts.append("1,000 keys of chance, all hot; the figures include the making of keys")
    return [line]
