# SPDX-License-Identifier: BSD-3-Clause
"""How much may be had in place, and what happens beyond: copies, refusals, and no harm."""

from __future__ import annotations

import os
import pickle
import signal
from typing import Any

import numpy as np
import pytest

from plib_cache import Cache, ConfigurationError, RegionFullError

from .mapped import DATA, RAW, lies_in


@pytest.fixture
def cache(protected: Cache) -> Cache:
    """One with an array."""
    protected["array"] = DATA
    return protected


def test_share() -> None:
    """Beyond the share, copies: equal, read-only and counted; below it again, none."""
    with Cache("share", size="32MiB", in_place=0.1) as cache:
        for n in range(8):
            cache[f"a{n}"] = DATA + n
        held = [cache.get(f"a{n}", copy=False) for n in range(8)]
        inside = [lies_in(cache, array) for array in held]
        assert 0 < sum(inside) < 5
        assert cache.stats().leases_copied == inside.count(False)
        assert cache.stats().leased <= cache.info().in_place_most < 4 << 20
        view = cache.view("a7")
        assert (view.readonly, lies_in(cache, view)) == (True, False)
        assert view == (DATA + 7).tobytes()
        private = cache.get("a7", copy="cow")
        private += 1
        assert np.array_equal(cache["a7"], DATA + 7)
        for n, array in enumerate(held):
            assert np.array_equal(array, DATA + n)
            assert not array.flags.writeable
        assert lies_in(cache, cache.get("a0", copy=False))  # held already: it costs no more
        del held, array, view
        assert lies_in(cache, cache.get("a7", copy=False))


def test_shared_value_counts_once(fork: Any, eventually: Any) -> None:
    """A value of more than half of the share is had in place by any number of processes."""
    with Cache("once", size="32MiB") as cache:
        cache["large"] = bytes(cache.info().in_place_most // 8 * 7)

        def hold(number: int) -> bool:
            view = cache.view("large")
            cache[f"held-{number}"] = 1
            eventually(lambda: all(f"held-{n}" in cache for n in range(3)))
            return lies_in(cache, view)

        view = cache.view("large")
        assert [child.result() for child in [fork(hold, n) for n in range(3)]] == [True] * 3
        assert lies_in(cache, view)
        assert cache.stats().leases_copied == 0


def test_dead_holders(cache: Cache, fork: Any, eventually: Any) -> None:
    """What the dead held is not missing for long: who asks at the limit finds them dead."""
    for n in range(14):
        cache[f"a{n}"] = DATA

    def hold(first: int) -> None:
        views = [cache.view(f"a{n}") for n in range(first, first + 7)]
        assert all(lies_in(cache, view) for view in views)
        os.kill(os.getpid(), signal.SIGKILL)

    for first in (0, 7):
        fork(hold, first).reap()
    assert cache.stats().leased > 14 << 20
    eventually(lambda: lies_in(cache, cache.get("array", copy=False)))
    with cache.reserve("k", 8 << 20):
        pass
    assert "k" in cache


def test_dead_fillers(cache: Cache, fork: Any) -> None:
    """What the dead had reserved is given to the next one who reserves, at once."""

    def hold() -> None:
        room = cache.reserve("k", 12 << 20)
        os.kill(os.getpid(), signal.SIGKILL if room.buffer else 0)

    for _ in range(3):
        fork(hold).reap()
    with cache.reserve("k", 12 << 20) as room:
        room.buffer[:5] = b"alive"
    assert cache.view("k")[:5] == b"alive"


def test_full(cache: Cache) -> None:
    """A region full of leases refuses values, says why, and goes on."""
    for n in range(28):
        cache[f"a{n}"] = DATA + n
    held = [cache.view(f"a{n}") for n in range(28) if n % 2 and f"a{n}" in cache]
    room = cache.reserve("room", 1000)
    assert len(held) > 10
    assert all(lies_in(cache, view) for view in held)
    before = [bytes(view) for view in held]
    value_max = cache.info().value_max
    with pytest.raises(RegionFullError, match=r"[1-9]\d+ are leased and [1-9]\d+ reserved.*let go"):
        cache["whole"] = bytes(value_max)
    assert all(view == data for view, data in zip(held, before, strict=True))
    cache["small"] = 1
    assert cache["small"] == 1
    del held, room
    cache["whole"] = bytes(value_max)
    assert "whole" in cache


def test_copies_only() -> None:
    """``in_place=False``: equal, read-only copies, which count for nothing; pickles keep it."""
    with Cache("copies", size="8MiB", in_place=False) as cache:
        cache["a"] = DATA
        array, view = cache.get("a", copy=False), cache.view("a")
        assert np.array_equal(array, DATA)
        assert (view, view.readonly, array.flags.writeable) == (RAW, True, False)
        assert not lies_in(cache, view)
        stats = cache.stats()
        assert (cache.info().in_place, stats.leased, stats.leases) == (False, 0, 0)
        with pytest.raises(ConfigurationError, match="in_place=False"):
            cache.reserve("k", 100_000)
        pickled = pickle.dumps(cache)
    with pickle.loads(pickled) as again:
        assert again.info().in_place is False
        assert np.array_equal(again.get("a", copy=False), DATA)


def test_copies_only_beside_another() -> None:
    """Each opening has what it was opened for, and no more than the first of this process."""
    with Cache("both", size="8MiB") as first, Cache("both", in_place=False) as second:
        first["a"] = DATA
        assert (first.info().in_place, second.info().in_place) == (True, False)
        assert np.array_equal(second.get("a", copy=False), DATA)
        assert first.stats().leases == 0
        with pytest.raises(ConfigurationError, match="in_place=False"):
            second.reserve("k", 100_000)
    with Cache("copies", size="8MiB", in_place=False), Cache("copies") as second:
        assert second.info().in_place is False
        with pytest.raises(ConfigurationError, match="in_place=False"):
            second.reserve("k", 100_000)


@pytest.mark.parametrize("share", [0.25, 1])
def test_pickled_share(share: float) -> None:
    """A share is kept as well."""
    with Cache("share", size="8MiB", in_place=share) as cache:
        most = cache.info().in_place_most
        assert abs(most - share * cache.info().pool) < 0.02 * cache.info().pool
        pickled = pickle.dumps(cache)
    with pickle.loads(pickled) as again:
        assert again.info().in_place_most == most


@pytest.mark.parametrize("share", [2, -0.1, "half", None, float("nan")])
def test_nonsense(share: Any) -> None:
    """What is no share is named."""
    with pytest.raises(ConfigurationError, match=f"in_place={share!r}"):
        Cache("share", size="8MiB", in_place=share)
