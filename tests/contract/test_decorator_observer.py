# SPDX-License-Identifier: BSD-3-Clause
"""An observer of a decorated function is told of each computation, and of nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import plib_cache
from plib_cache.decorator import Computed


class Noting:
    """Notes what it is told, and gives the caller the value twice."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[Computed] = []

    def computing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A computation begins."""
        self.begun.append((args, kwargs))

    def computed(self, call: Computed) -> Any:
        """It has ended."""
        self.ended.append(call)
        return [call.value, call.value]


def double(x: Any, y: int = 0) -> Any:
    """What is computed."""
    return x * 2 + y


def test_each_computation_is_told_and_no_hit(cache: plib_cache.Cache) -> None:
    """With its arguments as they were given, its key and how large its result is."""
    observer = Noting()
    cached = plib_cache.cache(cache=cache, observer=observer)(double)
    assert cached(1, y=3) == [5, 5]
    assert cached(1, y=3) == 5
    assert observer.begun == [((1,), {"y": 3})]
    (call,) = observer.ended
    assert (call.args, call.kwargs, call.value) == ((1,), {"y": 3}, 5)
    assert call.nbytes
    assert call.key == cached.cache_key(1, y=3)
    assert call.seconds >= 0
    assert cached.refresh(1, y=3) == [5, 5]
    assert len(observer.begun) == len(observer.ended) == 2


def test_what_could_not_be_stored_is_told_too(cache: plib_cache.Cache) -> None:
    """It has no size."""
    observer = Noting()
    cached = plib_cache.cache(cache=cache, observer=observer, max_bytes=0)(double)
    assert cached(1) == cached(1) == [2, 2]
    assert [call.nbytes for call in observer.ended] == [None, None]


def test_a_function_that_raises_has_not_computed(cache: plib_cache.Cache) -> None:
    """Only its beginning is told."""
    observer = Noting()
    cached = plib_cache.cache(cache=cache, observer=observer)(double)
    with pytest.raises(TypeError):
        cached(None)
    assert len(observer.begun) == 1
    assert not observer.ended


def test_coroutine_functions(cache: plib_cache.Cache) -> None:
    """They are told in the same way."""
    observer = Noting()

    @plib_cache.cache(cache=cache, observer=observer)
    async def later(x: int) -> int:
        return x + 1

    assert asyncio.run(later(1)) == [2, 2]  # type: ignore[comparison-overlap]
    assert asyncio.run(later(1)) == 2
    assert [call.value for call in observer.ended] == [2]
