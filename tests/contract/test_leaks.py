# SPDX-License-Identifier: BSD-3-Clause
"""What a process repeats costs it nothing for good: no memory, descriptor or mapping."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from descriptors import none_left

from plib_cache import Cache, ConfigurationError

SMALL = "4MiB"
ROUNDS = 1000


class Held(dict[str, int]):
    """What this process has of the system: bytes of addresses, mappings, descriptors, blocks."""

    def __init__(self) -> None:
        gc.collect()
        super().__init__(
            addresses=4096 * int(Path("/proc/self/statm").read_text().split()[0]),
            mappings=Path("/proc/self/maps").read_text().count("\n"),
            descriptors=len(os.listdir("/proc/self/fd")),
            blocks=sys.getallocatedblocks(),
        )


def grown(action: Callable[[], object], times: int = ROUNDS) -> Held:
    """By how much more than before, after so many times; the first ones are not counted."""
    for _ in range(50):
        action()
    before = Held()
    for _ in range(times):
        action()
    after = Held()
    for name, number in before.items():
        after[name] -= number
    return after


def test_opened_and_closed(tmp_path: Path) -> None:
    """A region that is opened each time it is needed; a handle and its page take 18 KiB."""

    def use() -> None:
        with Cache(path=tmp_path / "r", size=SMALL) as cache:
            cache["k"] = 1

    more = grown(use)
    assert more["addresses"] < 4 << 20, more
    assert more["descriptors"] <= 0, more  # earlier tests may let some go
    assert more["mappings"] < 50, more
    assert more["blocks"] < ROUNDS, more


def test_held_beyond_the_end(tmp_path: Path) -> None:
    """The same, with values that live longer than the cache that they are of."""

    def use() -> Any:
        with Cache(path=tmp_path / "r", size=SMALL) as cache:
            cache["k"] = np.zeros(70_001, "u1")
            return cache.get("k", copy=False), cache.reserve("r", 70_003)

    more = grown(use)
    assert more["addresses"] < 4 << 20, more
    assert more["descriptors"] <= 0, more  # earlier tests may let some go
    assert more["mappings"] < 50, more


def test_a_namespace_for_each_user(tmp_path: Path) -> None:
    """Names without end; each that is remembered takes two blocks of memory."""
    with Cache(path=tmp_path / "r", size=SMALL) as cache:
        users = iter(range(1_000_000))

        def use() -> None:
            user = next(users)
            cache.set("k", 1, namespace=f"user {user}", tags=[f"page {user}"])

        assert grown(use, 12_000)["blocks"] < 2 * 2 * 4096


# ---- descriptors that there are not


@pytest.mark.parametrize("name", ["there", "new"])
def test_no_descriptors(tmp_path: Path, name: str) -> None:
    """Opening says what to do, leaves nothing, and works as soon as it can."""
    Cache(path=tmp_path / "there", size=SMALL).close()
    before, told = len(os.listdir("/proc/self/fd")), []
    for free in range(8):
        try:
            with none_left(but=free):
                Cache(path=tmp_path / name, size=SMALL).close()
        except ConfigurationError as error:
            told.append(str(error))
        assert len(os.listdir("/proc/self/fd")) <= before
    assert 3 <= len(told) < 8
    assert all("ulimit -n" in message for message in told)
    with Cache(path=tmp_path / name) as cache:
        cache["k"] = 1
        with none_left():
            assert cache["k"] == 1
            cache["k"] = np.zeros(100_001)
            assert cache.get("k", copy=False).nbytes == 800_008
            assert cache.get("k", copy="cow").nbytes == 800_008
        assert cache.check() == []
