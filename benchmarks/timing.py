# SPDX-License-Identifier: BSD-3-Clause
"""How Python's loops are timed, and which of the time counts.

What was done while the kernel gave the processor to a process that has nothing to do with it is
left out, piece by piece; benchmarks/native/tally.h does the same in C.
"""

from __future__ import annotations

import itertools
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.turns import Candidate

SAMPLE_NS = 8e6
PIECE_NS = 4e5  # short, so that few are disturbed
OURS = 0.95  # of a piece's time that this process and its server must have had


@dataclass(frozen=True)
class Work:
    """A loop that does one operation for each of the items that it is given."""

    loop: Callable[[Sequence[Any]], None]
    items: Sequence[Any]
    server: int = 0  # the process that does the work, or 0: this one


def taken_away() -> int:
    """How often the kernel has given this thread's processor to somebody else."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def cpu_ns(server: int) -> int:
    """The processor's time that this process and the server have had."""
    clock = (~server << 3) | 2  # as clock_getcpuclockid(3) makes it on Linux
    return time.process_time_ns() + time.clock_gettime_ns(clock)


def piece(work: Work, items: Sequence[Any]) -> tuple[float, bool]:
    """Nanoseconds for each item, and whether they count."""
    server = work.server
    before = cpu_ns(server) if server else taken_away()
    began = time.perf_counter_ns()
    work.loop(items)
    spent = time.perf_counter_ns() - began
    if server:
        return spent / len(items), cpu_ns(server) - before > OURS * spent
    return spent / len(items), taken_away() == before


def timed(work: Work, scale: float = 1.0) -> Candidate:
    """A sample: as many pieces of the work as fill SAMPLE_NS; nanoseconds for each item."""
    items = work.items
    work.loop(items)
    each = min(piece(work, items)[0] for _ in range(2))
    size = max(1, min(len(items), int(PIECE_NS / each)))
    pieces = itertools.cycle([items[at : at + size] for at in range(0, len(items), size)])
    count = max(1, int(SAMPLE_NS * scale / (each * size)))

    def sample() -> float:
        found = [piece(work, part) for part in itertools.islice(pieces, count)]
        counted = [spent for spent, counts in found if counts]
        return statistics.fmean(counted or [spent for spent, _ in found])

    return sample
