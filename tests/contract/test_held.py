# SPDX-License-Identifier: BSD-3-Clause
"""``hold`` and ``hold_at``: values that are kept, and told of by where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plib_cache
import plib_cache.serialize

LARGE = np.arange(1 << 17, dtype="i8")


@pytest.fixture
def cache() -> Iterator[plib_cache.Cache]:
    """A cache that is sound in the end."""
    with plib_cache.Cache("held", size="16MiB") as made:
        yield made
        assert made.check() == []


def test_a_value_is_there_while_somebody_holds_it(cache: plib_cache.Cache) -> None:
    """Also when its key was deleted; then its memory is free."""
    cache["a"] = LARGE
    held = cache.hold("a")
    assert held is not None
    assert held.nbytes > LARGE.nbytes
    del cache["a"]
    assert held.where is not None
    again = cache.hold_at(held.where)
    assert again is not None
    assert again.where == held.where
    np.testing.assert_array_equal(again.value, LARGE)
    where = held.where
    del held, again
    assert cache.hold_at(where) is None
    assert cache.stats().used == 0


def test_the_value_need_not_be_kept(cache: plib_cache.Cache) -> None:
    """It is held by the object itself, whoever uses the value."""
    cache["a"] = LARGE
    held = cache.hold("a", copy="cow")
    assert held is not None
    assert held.where is not None
    del cache["a"]
    held.value = None
    assert cache.hold_at(held.where) is not None


@pytest.mark.parametrize("copy", [False, "cow", "shared"])
def test_ways_to_read(cache: plib_cache.Cache, copy: Any) -> None:
    """As for ``get``: only "cow" can be written to, and nobody else sees it."""
    cache["a"] = LARGE
    held = cache.hold("a", copy=copy)
    assert held is not None
    assert held.where is not None
    again = cache.hold_at(held.where, copy=copy)
    assert again is not None
    for one in (held, again):
        assert one.value.flags.writeable is (copy == "cow")
        if copy == "cow":
            one.value[0] = 7
    assert cache["a"][0] == 0
    assert repr(held).startswith("<Held ")


@pytest.mark.parametrize("copy", [True, 1, "copy", None])
def test_other_ways_are_refused(cache: plib_cache.Cache, copy: Any) -> None:
    """A copy holds nothing."""
    with pytest.raises(ValueError, match="copy="):
        cache.hold("a", copy=copy)
    with pytest.raises(ValueError, match="copy="):
        cache.hold_at((1, 1), copy=copy)


def test_small_and_missing(cache: plib_cache.Cache) -> None:
    """A small value is a copy, which cannot be told of; what is not there is None."""
    cache["small"] = np.arange(3)
    held = cache.hold("small")
    assert held is not None
    assert held.where is None
    assert cache.hold("missing") is None
    assert cache.hold_at((1 << 63, 12345)) is None


def test_another_process(cache: plib_cache.Cache, fork: Callable[..., Any]) -> None:
    """It holds the value by the two numbers alone."""
    cache["a"] = LARGE
    held = cache.hold("a")
    assert held is not None
    del cache["a"]
    path, where = cache.path, held.where
    assert where is not None

    def elsewhere() -> int:
        with plib_cache.Cache(path=path) as same:
            found = same.hold_at(where, copy="cow")
            assert found is not None
            found.value += 1
            return int(found.value.sum())

    assert fork(elsewhere).result() == LARGE.sum() + LARGE.size
    np.testing.assert_array_equal(held.value, LARGE)


def test_beyond_the_limits_it_is_a_copy() -> None:
    """A value that cannot be leased any more comes as a copy, as it was asked for."""
    with plib_cache.Cache("limits", size="16MiB", in_place=0.1) as cache:
        cache["a"], cache["b"] = LARGE, LARGE + 1
        first = cache.hold("a")
        second = cache.hold("b", copy="cow")
        assert first is not None
        assert second is not None
        assert (first.where is None, second.where is None) == (False, True)
        second.value[0] = 5
        assert cache["b"][0] == 1
        del first
        third = cache.hold("b")
        assert third is not None
        assert third.where is not None


def test_long_pickles_are_refused() -> None:
    """By a serializer with ``pickle_max``: what is outside of the pickle does not count."""
    serializer = plib_cache.serialize.DefaultSerializer(pickle_max=1 << 16)
    with plib_cache.Cache("pickles", size="16MiB", serializer=serializer) as cache:
        cache["fine"] = {"array": LARGE, "text": "x" * 1000}
        for value in (
            list(range(1 << 16)),
            ["x" * (1 << 17)],
            {"a": lambda: 1, "b": [1.5] * 65536},
        ):
            with pytest.raises(plib_cache.SerializationError, match="more than 65536 bytes"):
                cache["long"] = value
        assert "long" not in cache
