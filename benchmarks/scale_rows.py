# SPDX-License-Identifier: BSD-3-Clause
"""One store and ever more processes: what a second one adds, and what many on few processors take.

"By the processor" is what all of them did in a second of processor that they had: that is what is
left to compare on a machine that others use too.  It knows nothing of waiting.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.bench import MIB, Bench, not_measured, tried
from benchmarks.figures import Goal, Line, compared
from benchmarks.native_large import LMDB, START_NS, room_for
from benchmarks.programs import Program
from benchmarks.turns import Candidate, take_turns

RECORDS = 1_000_000
WINDOW_MS = 200
SLICES_MS = 15  # of a window, for each process: several turns at the processor
WARM_MS = 40  # for each process: until it has mapped what it will touch
ONE, TWO = "1 process", "2 processes"
CROWD = 16  # from so many on it is a crowd, and has goals
FEWEST_ROUNDS = 5

COUNTS = (1, 2, 4, 8, 16, 32, 64)
SHORT_COUNTS = (1, 2, 16, 64)


@dataclass
class Window:
    """What some processes did together."""

    seconds: float
    operations: float = 0
    misses: float = 0
    processor: float = 0  # seconds
    timing: float = 0  # nanoseconds that the timing of a get takes
    gets: Counter[float] = field(default_factory=Counter)  # by nanoseconds, if they were timed

    @property
    def by_clock(self) -> float:
        """Operations in a second."""
        return self.operations / self.seconds

    @property
    def by_processor(self) -> float:
        """Operations in a second of processor."""
        return self.operations / self.processor

    def percentile(self, share: float) -> float:
        """The nanoseconds that so large a share of the gets did not exceed."""
        left = share * self.gets.total()
        for spent in sorted(self.gets):
            left -= self.gets[spent]
            if left <= 0:
                return spent
        raise ValueError("no get was timed")


@dataclass
class Crowd:
    """Processes that share one store."""

    programs: list[Program]
    gets: int  # percent
    records: int
    scale: Callable[[int], int]

    def window(self, programs: Sequence[Program], timed: bool = False) -> Window:
        """Let these work at once, as long as each needs to have its turns."""
        milliseconds = self.scale(max(WINDOW_MS, SLICES_MS * len(programs)))
        start = time.monotonic_ns() + START_NS
        for program in programs:
            word = "tail" if timed else "mix"
            program.send(word, start, milliseconds, self.gets, self.records)
        whole = Window(milliseconds / 1e3)
        for program in programs:
            operations, _, misses, processor, *spread = program.answer()
            whole.operations += operations
            whole.misses += misses
            whole.processor += processor
            if timed:
                whole.timing = spread[0]
                for spent, number in zip(spread[1::2], spread[2::2], strict=True):
                    whole.gets[spent] += int(number)
        return whole

    def warm(self) -> None:
        """What each draws is drawn, and what it will touch is mapped."""
        start = time.monotonic_ns()
        for program in self.programs:  # they draw at once
            program.send("mix", start, self.scale(WARM_MS), self.gets, self.records)
        for program in self.programs:
            program.answer()
        for _ in range(-(-WARM_MS // SLICES_MS)):
            self.window(self.programs)


@contextlib.contextmanager
def crowd(bench: Bench, store: str, gets: int, count: int) -> Iterator[Crowd]:
    """So many processes on one filled store, spread over the processors."""
    records = bench.scaled(RECORDS, 2000)
    size = room_for(records, overwritten=True)
    bench.room(2 * size)
    cores = sorted(os.sched_getaffinity(0))
    at = bench.fresh(store)
    with contextlib.ExitStack() as stack:
        programs = [
            stack.enter_context(Program(store, at, size, cores[n % len(cores)]))
            for n in range(count)
        ]
        programs[0].ask("fill", records)
        many = Crowd(programs, gets, records, lambda ms: bench.scaled(ms, 5))
        many.warm()
        yield many


# ---- one and two ---------------------------------------------------------------------------------


def two(bench: Bench, work: str, gets: int) -> list[Line]:
    """What a second process adds; beside it, what the machine itself gives."""
    windows: dict[str, list[Window]] = {}

    def kept(name: str, many: Crowd, programs: list[Program]) -> Candidate:
        def sample() -> float:
            windows.setdefault(name, []).append(many.window(programs))
            return windows[name][-1].by_clock

        return sample

    with contextlib.ExitStack() as stack:
        ours, other, bare = (
            stack.enter_context(crowd(bench, store, gets, 2)) for store in ("ours", "ours", "bare")
        )
        chasing = [
            stack.enter_context(Program("ours", bench.fresh("chase"), 64 * MIB, core))
            for core in sorted(os.sched_getaffinity(0))[:2]
        ]
        apart = [ours.programs[0], other.programs[1]]
        samples = take_turns(
            {
                "two": kept("two", ours, ours.programs),
                "one": kept("one", ours, ours.programs[:1]),
                "apart": kept("apart", ours, apart),
                "two bare": kept("two bare", bare, bare.programs),
                "one bare": kept("one bare", bare, bare.programs[:1]),
                "two chase": lambda: chased(bench, chasing),
                "one chase": lambda: chased(bench, chasing[:1]),
            },
            bench.rounds, 25,
        )  # fmt: skip
    both = {  # operations of all for each second of one's processor
        name: [each.by_processor * len_of(name) for each in kept_[1:]]
        for name, kept_ in windows.items()
    }
    return scaling_lines(work, samples, both)


def len_of(name: str) -> int:
    """How many processes a candidate of ``two`` has."""
    return 1 if name.startswith("one") else 2


def scaling_lines(
    work: str, clock: dict[str, list[float]], processor: dict[str, list[float]]
) -> list[Line]:
    """The goal's two lines, and three that say what limits them."""
    goal = Goal(least=1.8)
    wanted = [
        (work, clock["two"], clock["one"], goal),
        (f"{work}, by the processor", processor["two"], processor["one"], goal),
        (f"{work}, by the processor, each in a region of its own",
         processor["apart"], processor["one"], None),
        (f"{work}, by the processor, a bare array of the records",
         processor["two bare"], processor["one bare"], None),
        ("loads from private memory, each depends on the one before",
         clock["two chase"], clock["one chase"], None),
    ]  # fmt: skip
    lines = [
        compared(name, ONE, ours, theirs, unit="ops/s", direction="ours / theirs", goal=its)
        for name, ours, theirs, its in wanted
    ]
    lines[1].facts.append(
        f"beside another process on the same store an operation of ours takes "
        f"{more(processor, 'two', 'one'):.0f} ns more, beside one on another store "
        f"{more(processor, 'apart', 'one'):.0f} ns more, and one on a bare array in shared memory, "
        f"without keys and checks, {more(processor, 'two bare', 'one bare'):.0f} ns more: that is "
        "what it takes to bring the lines of hot records from the other processor"
    )
    return lines


def more(rates: dict[str, list[float]], two_: str, one: str) -> float:
    """Nanoseconds that an operation of two processes takes more than that of one."""
    return statistics.median(
        2e9 / two - 1e9 / alone for two, alone in zip(rates[two_], rates[one], strict=True)
    )


def chased(bench: Bench, programs: list[Program]) -> float:
    """Dependent loads of all in a second, each program in memory of its own."""
    for program in programs:
        program.send("chase", bench.scaled(256 * MIB, MIB), bench.scaled(300_000, 1000), 0)
    return sum(1e9 / program.answer()[0] for program in programs)


# ---- many ----------------------------------------------------------------------------------------


def many(bench: Bench, work: str, gets: int, counts: Sequence[int] = ()) -> list[Line]:
    """Ever more processes on the machine's processors, each get timed by itself."""
    counts = counts or (COUNTS if bench.full else SHORT_COUNTS)
    missing: dict[str, str] = {}
    windows: dict[tuple[str, int], list[Window]] = {}
    with contextlib.ExitStack() as stack:

        def enter(store: str) -> Crowd:
            return stack.enter_context(crowd(bench, store, gets, max(counts)))

        def timed(store: str, whole: Crowd, count: int) -> Candidate:
            def sample() -> float:
                found = whole.window(whole.programs[:count], timed=True)
                windows.setdefault((store, count), []).append(found)
                return found.by_clock

            return sample

        stores = {"ours": enter("ours")}
        if lmdb := tried(LMDB, lambda: enter("lmdb"), missing):
            stores[LMDB] = lmdb
        candidates = {
            f"{store} {count}": timed(store, whole, count)
            for store, whole in stores.items()
            for count in counts
        }
        take_turns(candidates, min(bench.rounds, FEWEST_ROUNDS), 25)
    taken = {key: each[1:] for key, each in windows.items()}
    lines = crowded(work, taken, [count for count in counts if count >= CROWD])
    if LMDB in stores:
        lines += curve(work, taken, counts)
    return lines + not_measured(work, missing, unit="ops/s")


Taken = dict[tuple[str, int], list[Window]]


def p999(windows: list[Window]) -> list[float]:
    """Of each window."""
    return [window.percentile(0.999) for window in windows]


def crowded(work: str, taken: Taken, counts: list[int]) -> list[Line]:
    """The goals: a crowd against two processes."""
    lines = []
    few = taken["ours", 2]
    for count in counts:
        crowd_ = taken["ours", count]
        name = f"{work}: {count} processes"
        lines += [
            compared(name, TWO, [each.by_clock for each in crowd_], [each.by_clock for each in few],
                     unit="ops/s", direction="ours / theirs", goal=Goal(least=0.8)),
            compared(f"{name}, by the processor", TWO, [each.by_processor for each in crowd_],
                     [each.by_processor for each in few], unit="ops/s", direction="ours / theirs"),
            compared(f"{name}, p99.9 of a get", TWO, p999(crowd_), p999(few),
                     direction="ours / theirs", goal=Goal(most=3)),
        ]  # fmt: skip
        share = sum(each.misses for each in crowd_) / sum(each.operations for each in crowd_)
        lines[-1].facts.append(
            f"timing takes {statistics.median(each.timing for each in crowd_):.0f} ns of each get; "
            f"{100 * share:.2g} % of the operations were misses"
        )
    return lines


def curve(work: str, taken: Taken, counts: Sequence[int]) -> list[Line]:
    """Both stores, at every number of processes."""
    lines = []
    for count in counts:
        ours, theirs = taken["ours", count], taken[LMDB, count]
        lines += [
            compared(work, LMDB, [each.by_clock for each in ours],
                     [each.by_clock for each in theirs], unit="ops/s", direction="ours / theirs"),
            compared(f"{work}: p99.9 of a get", LMDB, p999(ours), p999(theirs)),
        ]  # fmt: skip
        lines[-2].at = lines[-1].at = float(count)
    return lines
