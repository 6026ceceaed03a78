# SPDX-License-Identifier: BSD-3-Clause
"""How much a get and a set cost, against a dict and functools.lru_cache; takes seconds.

::

    python benchmarks/quick.py

A dict and lru_cache are one process's own memory and give out the same object each time, so they
are the floor, not rivals.  The candidates take turns in short rounds, so that a busy machine
slows all alike; what is shown is the median of the ratios of each round.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import plib_cache
from plib_cache.testing import temporary_cache

KEYS = [f"key {n}" for n in range(1000)]
ROUNDS = 30
VALUES = {"1 int": 12345, "100 bytes": bytes(100), "4 KiB": bytes(4096), "dict": {"a": [1, 2.5]}}


def seconds(action: Callable[[], None]) -> float:
    """How long one round takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def compare(title: str, base: Callable[[], None], other: Callable[[], None]) -> None:
    """Let two candidates take turns, and print the median time and the median ratio."""
    pairs = [(seconds(base), seconds(other)) for _ in range(ROUNDS)]
    each = statistics.median(second for _, second in pairs) / len(KEYS)
    ratio = statistics.median(second / first for first, second in pairs)
    print(f"{title:<40} {each * 1e6:8.2f} us  {ratio:7.1f} x")


def mappings(cache: plib_cache.Cache, title: str, value: object) -> None:
    """Get and set, against a dict."""
    own: dict[str, object] = {}

    def fill(target: plib_cache.Cache | dict[str, object]) -> None:
        for key in KEYS:
            target[key] = value

    def read(source: plib_cache.Cache | dict[str, object]) -> None:
        for key in KEYS:
            source[key]

    compare(f"set {title}, against dict", lambda: fill(own), lambda: fill(cache))
    compare(f"get {title}, against dict", lambda: read(own), lambda: read(cache))


def decorators(cache: plib_cache.Cache) -> None:
    """A hit of the decorator, against lru_cache."""

    def plain(key: str) -> int:
        return len(key)

    own = functools.lru_cache(maxsize=None)(plain)
    shared = plib_cache.cache(cache=cache)(plain)

    def call(function: Callable[[str], int]) -> None:
        for key in KEYS:
            function(key)

    call(shared)
    compare("hit of @cache, against lru_cache", lambda: call(own), lambda: call(shared))


def main() -> None:
    """Print one line for each comparison."""
    with temporary_cache("64MiB") as cache:
        for title, value in VALUES.items():
            mappings(cache, title, value)
        decorators(cache)


if __name__ == "__main__":
    main()
