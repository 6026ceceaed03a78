# SPDX-License-Identifier: BSD-3-Clause
"""The backend for Django; Django's own tests of it are in upstream/."""

from __future__ import annotations

import asyncio
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from descriptors import none_left
from django.core.cache.backends.base import InvalidCacheKey
from waiting import wait_until

import plib_cache
from plib_cache.integrations import django
from plib_cache.integrations.django import PlibCache, UnpicklableError
from plib_cache.serve import Store


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a process that has opened nothing yet."""
    monkeypatch.setattr(django, "_opened", {})
    monkeypatch.setattr(django, "_told", set())


def make(location: str = "", **params: Any) -> PlibCache:
    """A cache as Django makes it from its settings."""
    options = {"size": "8MiB", **params.pop("OPTIONS", {})}
    return PlibCache(location, {"OPTIONS": options, **params})


@pytest.fixture
def cache() -> Iterator[PlibCache]:
    """A cache with the usual settings."""
    return make()


def test_where_it_is(tmp_path: Path) -> None:
    """``LOCATION`` is a name or a file; those of other names, prefixes and versions are apart."""
    make().set("k", 1)
    assert make("django").get("k") == 1
    others = [make("other"), make(KEY_PREFIX="p"), make(VERSION=2), make(str(tmp_path / "file"))]
    assert [one.get("k") for one in others] == [None] * 4
    others[3].set("k", 2)
    assert plib_cache.Cache(path=tmp_path / "file")[":1:k"] == 2
    assert plib_cache.Cache("django")[":1:k"] == 1


def test_all_threads_share_what_is_opened(cache: PlibCache) -> None:
    """Django makes a backend for each thread; the region is opened once, with the first use."""
    assert django._opened == {}
    backends = [make() for _ in range(3)]
    assert len({id(one._cache) for one in backends}) == 1
    backends[0].close()
    assert not backends[1]._cache.closed


def test_a_removed_region(cache: PlibCache) -> None:
    """After its file was removed, the next request goes on with a new region."""
    cache.set("k", 1)
    first = cache._cache
    cache.close()
    assert cache._cache is first
    Path(first.path).unlink()
    cache.close()
    assert cache.get("k") is None
    assert cache._cache is not first


def test_a_region_that_two_threads_see_removed(
    cache: PlibCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a request that comes second to it is no error."""

    def removed() -> bool:
        django._opened.clear()
        return True

    monkeypatch.setattr(cache._cache, "removed", removed)
    cache.close()


def test_numbers(cache: PlibCache) -> None:
    """``incr`` and ``decr`` go below zero and beyond 64 bits, and take what can be added."""
    cache.set_many({"n": 1, "half": 0.5, "yes": True, "big": 2**64})
    assert [cache.decr("n", 3), cache.incr("n"), cache.incr("n", 5), cache.decr("n", -1)] == [
        -2, -1, 4, 5
    ]  # fmt: skip
    assert cache.incr("half", 2) == cache.get("half") == 2.5
    assert cache.incr("yes") == 2
    assert cache.incr("big") == 2**64 + 1
    assert cache.decr("big", 1) == 2**64
    cache.set("most", 2**64 - 1)
    assert cache.incr("most", 2) == cache.get("most") == 2**64 + 1
    cache.set("zero", 0)
    assert cache.incr("zero", 0) == 0
    with pytest.raises(ValueError, match="not found"):
        cache.incr("none")
    cache.set("null", None)
    with pytest.raises(TypeError):
        cache.incr("null")


@pytest.mark.parametrize("start", [5, -5, 0.5])
def test_numbers_keep_their_timeout(cache: PlibCache, start: float) -> None:
    """Counting changes no deadline, whatever kind of number it is."""
    store = Store(cache._cache)
    for timeout in (1000, None):
        cache.set("n", start, timeout)
        before = store.get(b":1:n")
        assert before is not None
        cache.incr("n", 2)
        cache.decr("n", 4)
        after = store.get(b":1:n")
        assert after is not None
        assert before.deadline_ms == after.deadline_ms
        assert cache.get("n") == start - 2


def test_no_count_is_lost(cache: PlibCache, fork: Callable[..., Any]) -> None:
    """Counts of several processes, up and down, across zero."""
    cache.set("n", 0)

    def count(step: int) -> None:
        mine = make()
        for _ in range(300):
            mine.incr("n", step)

    children = [fork(count, step) for step in (3, -2, -2)]
    for child in children:
        child.result()
    assert cache.get("n") == -300


def test_one_computes(cache: PlibCache, fork: Callable[..., Any], tmp_path: Path) -> None:
    """``get_or_set`` with a function calls it once for all processes."""
    log = tmp_path / "log"

    def compute() -> str:
        with log.open("a") as file:
            file.write("x")
        wait_until(lambda: cache._cache.stats().waits > 0)  # somebody has come meanwhile
        return "page"

    children = [fork(lambda: make().get_or_set("page", compute, 100)) for _ in range(4)]
    assert [child.result() for child in children] == ["page"] * 4
    assert log.read_text() == "x"
    assert cache.get_or_set("page", "other") == "page"
    assert cache.get_or_set("plain", "value") == cache.get("plain") == "value"
    assert cache.get_or_set("brief", lambda: 1, timeout=0) == 1
    assert cache.get("brief") is None


def test_what_is_refused_is_a_miss(cache: PlibCache) -> None:
    """A value that does not fit breaks nothing; what was there is gone, and one warning says so."""
    large = b"x" * (16 << 20)
    cache.set_many({"a": 1, "b": 2})
    with pytest.warns(plib_cache.PlibCacheWarning, match="can never be stored"):
        cache.set("a", large)
    assert cache.get("a") is None
    assert cache.add("a", large) is False  # no second warning: those are errors here
    assert cache.set_many({"a": 1, "b": large, "c": 3}) == ["b"]
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "c": 3}


def test_a_region_that_cannot_be_opened(tmp_path: Path) -> None:
    """Garbage in its head breaks no page: all is a miss, told once, until the file is removed."""
    file = tmp_path / "file"
    file.write_bytes(b"garbage!" * 100_000)
    cache = make(str(file))
    with pytest.warns(plib_cache.PlibCacheWarning, match="no region of plib_cache"):
        assert cache.get("k", 5) == 5
    make(str(file)).set("k", 1)  # of another thread, say
    cache.set("k", 1)  # no second warning: those are errors here
    assert cache.get_many(["k"]) == {}
    assert cache.set_many({"k": 1}) == ["k"]
    assert not any((cache.add("k", 1), cache.touch("k"), cache.delete("k"), "k" in cache))
    assert cache.get_or_set("k", lambda: 2) == cache.get_or_set("k", 2) == 2
    with pytest.raises(ValueError, match="not found"):
        cache.incr("k")
    cache.delete_many(["k"])
    cache.clear()
    cache.close()
    with pytest.raises(plib_cache.CorruptRegionError):
        make(str(file), OPTIONS={"strict": True}).get("k")
    file.unlink()
    cache.set("k", 1)
    assert cache.get("k") == 1


def test_no_descriptors_are_left() -> None:
    """A page goes on when no file can be opened; a wrong setting is an error all the same."""
    cache = make("late")
    make("early").set("k", 1)  # and all is imported
    with none_left():
        with pytest.warns(plib_cache.PlibCacheWarning, match="ulimit -n"):
            assert cache.get("k", 5) == 5
        cache.set("k", 1)
        assert cache.get_or_set("k", lambda: 2) == 2
    cache.set("k", 1)
    assert cache.get("k") == 1
    with pytest.raises(plib_cache.ConfigurationError):
        make("wrong", OPTIONS={"size": "1KiB"}).get("k")


def test_strict() -> None:
    """With ``strict`` among the options it is an exception."""
    strict = make("strict", OPTIONS={"strict": True})
    for call in (strict.set, strict.add):
        with pytest.raises(plib_cache.ValueTooLargeError):
            call("k", b"x" * (16 << 20))


def test_busy(cache: PlibCache, stopped_holder: Callable[..., Any]) -> None:
    """While another process holds all locks, nothing is stored and nothing is raised."""
    holder = stopped_holder(cache._cache)
    with pytest.warns(plib_cache.PlibCacheWarning, match="not cached"):
        cache.set("new", 1)
    assert cache.add("newer", 1) is False
    assert cache.get("new") is None
    holder.kill(signal.SIGCONT)
    holder.result()
    cache.set("new", 1)
    assert cache.get("new") == 1


def test_misuse_is_told(cache: PlibCache, tmp_path: Path) -> None:
    """What is wrong with the settings, the key or the value is an exception."""
    with pytest.raises(plib_cache.ConfigurationError):
        make("no/name").get("k")
    with pytest.raises(TypeError):
        make("x", OPTIONS={"no_such_option": 1}).get("k")
    with pytest.raises(UnpicklableError) as caught:
        cache.set("k", threading.Lock())
    assert isinstance(caught.value, pickle.PickleError)
    with pytest.warns(RuntimeWarning), pytest.raises(InvalidCacheKey, match="4096"):
        cache.get("x" * 5000)
    with pytest.raises(InvalidCacheKey, match="digest"):
        cache.get("\ud800")
    make("counted", OPTIONS={"MAX_ENTRIES": 3, "CULL_FREQUENCY": 2}).set("k", 1)


def test_async(cache: PlibCache) -> None:
    """The asynchronous methods are Django's, over ours."""

    async def work() -> list[Any]:
        await cache.aset("k", 1, 100)
        await cache.aset_many({"a": 1, "b": 2})
        return [
            await cache.aget("k"),
            await cache.aincr("k"),
            await cache.aget_many(["a", "b", "c"]),
            await cache.aget_or_set("computed", lambda: 5),
            await cache.adelete("k"),
            await cache.ahas_key("k"),
        ]

    assert asyncio.run(work()) == [1, 2, {"a": 1, "b": 2}, 5, True, False]
