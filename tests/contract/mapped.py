# SPDX-License-Identifier: BSD-3-Clause
"""What tests of values in place ask: where something lies, what is held, how a process ends."""

from __future__ import annotations

import faulthandler
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from plib_cache import Cache

DATA = np.arange(1 << 17, dtype="f8")  # 1 MiB
RAW = DATA.tobytes()
OTHER = b"other" * 100_000


def mappings(path: str) -> list[tuple[int, int, str]]:
    """Of this process: begin, end and access ("r--s") of each mapping of a file."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(path):
            begin, end = line.split()[0].split("-")
            found.append((int(begin, 16), int(end, 16), line.split()[1]))
    return found


def lies_in(cache: Cache, value: Any) -> bool:
    """Does a buffer lie in the cache's memory, where nothing can be stored to?"""
    flat = np.frombuffer(value, "u1") if not isinstance(value, np.ndarray) else value
    at = flat.__array_interface__["data"][0]
    return any(
        begin <= at and at + flat.nbytes <= end and access == "r--s"
        for begin, end, access in mappings(cache.path)
    )


def pss(path: str) -> int:
    """Bytes of a file that this process has mapped; what n processes share counts 1/n for each."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            ours = line.endswith(path)
        elif ours and words[0] == "Pss:":
            total += int(words[1]) << 10
    return total


def ending(function: Callable[[], Any]) -> int:
    """How a forked process ends that calls ``function``: 0, or the signal as a negative number."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()  # a fault is expected: not a word about it
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def churn(cache: Cache, rounds: int = 150) -> None:
    """Store several times what the pool holds."""
    for n in range(rounds):
        cache[f"churn-{n}"] = OTHER


def nothing_held(cache: Cache) -> bool:
    """Is nothing leased or reserved, once those who need room have asked who is dead?"""
    churn(cache)
    return cache.stats().leased == cache.stats().reserved == 0
