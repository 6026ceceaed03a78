# SPDX-License-Identifier: BSD-3-Clause
"""Runs each operation of the package on warm keys, between marks; run.py runs it under callgrind.

    python package.py LIBRARY

LIBRARY is steady.c, preloaded: its marks are called through ctypes.  1,000 keys of 16 characters,
values of 128 bytes.  What is counted is the loop and the call as a program writes them.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

import plib_cache
from plib_cache.testing import private_regions

KEYS = 1000
BATCH = 100
PASSES = 3

keys = [f"key-{i:012}" for i in range(KEYS)]
batches = [keys[i : i + BATCH] for i in range(0, KEYS, BATCH)]
absent = [f"absent-{i:09}" for i in range(KEYS)]
numbers = [f"number-{i:09}" for i in range(KEYS)]
arguments = [1_000_000 + i for i in range(KEYS)]
value = b"v" * 128


@plib_cache.cache
def f(x: int) -> int:
    return x + 1


def get_hit(cache: plib_cache.Cache) -> None:
    for key in keys:
        cache.get(key)


def get_miss(cache: plib_cache.Cache) -> None:
    for key in absent:
        cache.get(key)


def get_many(cache: plib_cache.Cache) -> None:
    for batch in batches:
        cache.get_many(batch)


def contains(cache: plib_cache.Cache) -> None:
    for key in keys:
        key in cache  # noqa: B015


def set_replace(cache: plib_cache.Cache) -> None:
    for key in keys:
        cache.set(key, value)


def set_new(cache: plib_cache.Cache) -> None:
    for key in absent:
        cache.set(key, value)


def delete(cache: plib_cache.Cache) -> None:
    for key in absent:
        cache.delete(key)


def incr(cache: plib_cache.Cache) -> None:
    for key in numbers:
        cache.incr(key)


def decorator_hit(cache: plib_cache.Cache) -> None:
    for x in arguments:
        f(x)


# Each does KEYS operations; delete removes what set_new has made.
ROWS: list[Callable[[plib_cache.Cache], None]] = [
    get_hit, get_miss, get_many, contains, set_replace, set_new, delete, incr, decorator_hit,
]  # fmt: skip


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    gc.disable()
    with private_regions(), plib_cache.Cache("counts", size="16MiB", strict=True) as cache:
        for key in keys:
            cache[key] = value
        for key in numbers:
            cache[key] = 1_000_000
        for counted in [False] + [True] * PASSES:  # the first pass warms up
            if counted:
                library.mark_instrument()
            for run in ROWS:
                library.mark_begin()
                run(cache)
                library.mark_end(f"{run.__name__ if counted else 'warm'} {KEYS}".encode())


if __name__ == "__main__":
    main()
