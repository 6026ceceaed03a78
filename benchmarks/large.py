# SPDX-License-Identifier: BSD-3-Clause
"""What the rows of large values share: the values, their regions, and how calls are timed.

Nothing stays on one processor here: what servers and neighbours do overlaps with what their client
does, where they can.  A sample is one operation or some, without those that were disturbed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import plib_cache
from benchmarks.bench import MIB, Bench, module
from benchmarks.neighbour import EXPECTED, memory_of
from benchmarks.timing import Work, timed
from benchmarks.turns import Candidate

ROOM = 8  # values that a region has room for
CALM_S = 30


def array_bytes(bench: Bench, mib: int = 64) -> int:
    """How large the value is."""
    return bench.scaled(mib, 2) * MIB


def a_array(nbytes: int) -> Any:
    """An array that was written to, so that it is in memory."""
    return module("numpy").arange(nbytes // 8, dtype="f8")


def region(path: Path, size: int) -> plib_cache.Cache:
    """One for large values."""
    return plib_cache.Cache(path=path, size=size, expected_entry=EXPECTED)


@contextlib.contextmanager
def calm(bench: Bench) -> Iterator[None]:
    """No garbage collection; and before, wait until a region would be given huge pages.

    The core does not ask for them on a crowded machine (os_crowded), and this bench's own start
    makes one crowded for a minute.
    """
    until = time.monotonic() + CALM_S * (bench.scale == 1)
    while time.monotonic() < until and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        time.sleep(1)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def repeated(bench: Bench, once: Callable[[], object], calls: int = 4) -> Candidate:
    """A sample of a call that is made again and again, by at most so many in a piece."""

    def loop(items: Sequence[Any]) -> None:
        for _ in items:
            once()

    return timed(Work(loop, range(calls)), bench.scale)


def huge_share(path: Path, nbytes: int) -> str:
    """What a report says of a region's pages; this process has touched the value in it."""
    share = min(100.0, 100 * memory_of("self", "ShmemPmdMapped") / nbytes)
    return f"{share:.0f} % of a value of ours are mapped in huge pages"
