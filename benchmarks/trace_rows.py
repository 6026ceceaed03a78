# SPDX-License-Identifier: BSD-3-Clause
"""The trace of a large web cache over ever more records: does a call come to cost more?

What the goal is held against is the number of instructions, weighted as the trace asks: that is
what the algorithm does, on any machine.  Time is told beside it, and as multiples of a dependent
load from as much memory: it must grow as soon as records do not fit into a processor's caches.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bench import MIB, Bench, not_measured
from benchmarks.counted import instructions
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.native_large import CHASE
from benchmarks.programs import MissingError, Program, undisturbed
from benchmarks.turns import take_turns

GIB = 1024 * MIB
RECORDS = [10_000, 100_000, 1_000_000, 10_000_000]
WEIGHTS = {"get": 30 / 32, "set": 1 / 32, "delete": 1 / 32}  # native/trace.h
KINDS = [*WEIGHTS, "refill"]
RECORD_BYTES = 64 + 400  # a bucket, and an entry of the mean size
WARM = 3_000_000  # requests, at most
ROUNDS = 7
COUNTABLE = 48 * GIB  # more than about 60 GiB valgrind cannot map
UNIT = "instructions"


@dataclass
class Size:
    """What was found with so many records."""

    records: int
    ours: list[float] = field(default_factory=list)  # nanoseconds of a call
    miss: list[float] = field(default_factory=list)
    hits: float = 0  # share of the gets
    counts: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def weighted(self) -> float:
        """Instructions of a call, as the trace asks for them."""
        return sum(weight * self.counts[kind] for kind, weight in WEIGHTS.items())


def trace(bench: Bench, work: str, program: str, size: int) -> list[Line]:
    """One geometry; the short form leaves the most records out."""
    sizes = []
    whole = bench.scaled(size, 64 * MIB)
    try:
        for records in RECORDS if bench.full else RECORDS[:-1]:
            sizes.append(_measured(bench, program, whole, bench.scaled(records, 500)))
    except MissingError as error:
        return not_measured(work, {CHASE: str(error)})
    return [_held(work, sizes), *_curves(work, sizes)]


@contextlib.contextmanager
def _folder(bench: Bench, size: int) -> Iterator[Path]:
    """A folder in memory that may hold a file of that size; one of our own where tmpfs may not.

    Such a file has memory only for what is in it.
    """
    with contextlib.suppress(MissingError):
        bench.room(size)
        yield bench.folder
        return
    bench.room(8 * GIB)
    folder = bench.fresh("mount")
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size + GIB},mode=700", "plib-cache-bench",
         str(folder)], capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        raise MissingError(f"a tmpfs of {size // GIB} GiB: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _measured(bench: Bench, program: str, size: int, records: int) -> Size:
    """Time and misses, and then the instructions."""
    found = Size(records)
    with _folder(bench, size) as folder:
        path = folder / f"trace-{records}"
        with Program(program, path, size, bench.core) as ours:
            _time(bench, ours, found)
        if size <= COUNTABLE:
            _count(bench, program, path, size, found)
        path.unlink()
        if size > COUNTABLE:
            with Program(program, path, COUNTABLE, bench.core) as ours:
                ours.ask("stock", records)
            _count(bench, program, path, COUNTABLE, found)
            path.unlink()
    return found


def _time(bench: Bench, ours: Program, found: Size) -> None:
    requests, records = bench.scaled(40_000, 500), found.records
    ours.ask("stock", records)
    ours.ask("trace", "all", min(2 * records, bench.scaled(WARM, 500)), records)
    touched = min(int(ours.ask("used")[0]), records * RECORD_BYTES)
    left_out: list[float] = []
    calls = [0.0, 0.0]

    def timed() -> float:
        each, left, gets, misses, _, _ = ours.ask("trace", "all", requests, records)
        left_out.append(left)
        calls[0] += gets
        calls[1] += misses
        return each

    samples = take_turns(
        {"ours": timed, CHASE: lambda: ours.ask("chase", touched, 40_000, 0)[0]},
        min(bench.rounds, ROUNDS), 10,
    )  # fmt: skip
    found.ours, found.miss = samples["ours"], samples[CHASE]
    found.hits = 1 - calls[1] / calls[0]
    found.note = undisturbed(left_out)


def _count(bench: Bench, program: str, path: Path, size: int, found: Size) -> None:
    """Deletes and sets are one request in 32 each."""
    requests = bench.scaled(20_000, 500)
    found.counts = instructions(program, path, size, KINDS, requests, found.records)


def _held(work: str, sizes: list[Size]) -> Line:
    """The goal: the dearest number of records against the cheapest."""
    weighted = [size.weighted for size in sizes]
    line = compared(
        f"{work}: instructions, the dearest number of records", "the cheapest number",
        [max(weighted)], [min(weighted)], unit=UNIT, direction="ours / theirs",
        goal=Goal(most=1.2),
    )  # fmt: skip
    for size in sizes:
        kinds = ", ".join(f"{kind} {number:.0f}" for kind, number in size.counts.items())
        line.facts.append(
            f"{size.records:,} records: {kinds} instructions; {100 * size.hits:.1f} % of the gets "
            f"hit; {size.note}"
        )
    return line


def _curves(work: str, sizes: list[Size]) -> list[Line]:
    """Time beside a dependent load, and instructions."""
    lines = []
    for size in sizes:
        time_ = compared(f"{work}: a call", CHASE, size.ours, size.miss, direction="ours / theirs")
        count = Line(f"{work}: instructions of a call", unit=UNIT, ours=Spread.of([size.weighted]))
        time_.at = count.at = float(size.records)
        lines += [time_, count]
    return lines
