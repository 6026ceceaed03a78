# SPDX-License-Identifier: BSD-3-Clause
"""A process is stopped while it holds the locks: readers go on, and who must wait is told.

``Cache.set`` of a new key says ``BusyError`` after a while, and nothing was changed.  Whatever only
wants to keep a result (the decorator, ``get_or_compute``) returns it, and does not store it.
"""

from __future__ import annotations

import asyncio
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import plib_cache
from plib_cache import BusyError, Cache


@pytest.fixture
def cache() -> Iterator[Cache]:
    """The default cache, with something in it, in this process and no other."""
    cache = plib_cache.get_cache()
    cache["there"] = 1
    cache["number"] = 1
    yield cache
    assert cache.check() == []


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """That it is busy is no trouble that a user is told about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def go_on(child: Any) -> None:
    """Let the stopped process end, and see that it did well."""
    child.kill(signal.SIGCONT)
    assert child.result() is None


def test_readers_go_on(cache: Cache, stopped_holder: Any) -> None:
    """Reading waits for nobody: no call was told to come again."""
    child = stopped_holder(cache)
    again = cache._region.stats()["again"]
    for _ in range(100):
        assert cache["there"] == 1
        assert cache.get_many(["there", "number", "none"]) == {"there": 1, "number": 1}
        assert cache.get("none") is None
    assert sorted(cache) == ["number", "there"]
    assert cache._region.stats()["again"] == again
    go_on(child)


def test_keys_that_are_there_are_changed(cache: Cache, stopped_holder: Any) -> None:
    """Replacing, counting and deleting need no lock."""
    child = stopped_holder(cache)
    cache["there"] = 2
    assert cache.incr("number") == 2
    assert cache["there"] == 2
    assert cache.delete("there") is True
    assert "there" not in cache
    go_on(child)


def test_new_keys_are_refused(cache: Cache, stopped_holder: Any) -> None:
    """BusyError, nothing is stored, and when the holder has gone on, it is."""
    child = stopped_holder(cache)
    for _ in range(3):
        with pytest.raises(BusyError):
            cache.set("new", 1)
        with pytest.raises(BusyError):
            cache.add("new", 1)
        with pytest.raises(TimeoutError):
            cache["new"] = 1
        assert "new" not in cache
    with pytest.raises(BusyError):
        cache.set_many({"new": 1, "there": 3})
    assert cache["there"] == 3
    go_on(child)
    assert "new" not in cache
    cache["other"] = 1
    assert cache["other"] == 1


def test_get_or_compute(cache: Cache, stopped_holder: Any) -> None:
    """The value is computed, and not stored."""
    child = stopped_holder(cache)
    assert cache.get_or_compute("computed", lambda: "value") == "value"
    assert "computed" not in cache
    go_on(child)
    assert cache.get_or_compute("computed", lambda: "again") == "again"
    assert cache["computed"] == "again"


@pytest.mark.parametrize("options", [{}, {"strict": True}, {"single_flight": False}], ids=str)
def test_decorated_function(cache: Cache, stopped_holder: Any, options: dict[str, Any]) -> None:
    """It returns its value as if there were no cache; later it stores again."""
    calls = []

    @plib_cache.cache(**options)
    def function(x: int) -> int:
        calls.append(x)
        return x * 2

    assert function(1) == 2
    child = stopped_holder(cache)
    assert [function(1), function(2), function(2)] == [2, 4, 4]
    assert calls == [1, 2, 2]
    assert function.cache_info().currsize == 1
    go_on(child)
    assert [function(3), function(3)] == [6, 6]
    assert calls == [1, 2, 2, 3]


def test_coroutine_function(cache: Cache, stopped_holder: Any) -> None:
    """So does one that is awaited."""
    calls = []

    @plib_cache.cache
    async def function(x: int) -> int:
        calls.append(x)
        return x * 2

    child = stopped_holder(cache)
    assert asyncio.run(function(2)) == 4
    assert asyncio.run(function(2)) == 4
    assert calls == [2, 2]
    go_on(child)


def test_killed_holder(cache: Cache, stopped_holder: Any, eventually: Any) -> None:
    """A holder that was stopped and is killed gives nothing back; its locks are taken over."""
    child = stopped_holder(cache)
    with pytest.raises(BusyError):
        cache["new"] = 1
    child.kill()
    child.reap()

    def stored() -> bool:
        try:
            cache["new"] = 1
        except BusyError:  # for a second nobody waits behind the word that was waited for in vain
            return False
        return True

    eventually(stored)
    for i in range(200):
        cache[f"new-{i}"] = i
    assert cache.get_many([f"new-{i}" for i in range(200)]) == {f"new-{i}": i for i in range(200)}
