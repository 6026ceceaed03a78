# SPDX-License-Identifier: BSD-3-Clause
"""Single flight: of all who miss a key together, one computes, whatever happens to it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

import plib_cache
from plib_cache import Cache


@pytest.fixture
def cache() -> Iterator[Cache]:
    with Cache("flight", size="8MiB", strict=True) as opened:
        yield opened
        assert opened.check() == []


Compute = Callable[[Callable[[], Any]], Any]


@pytest.fixture(params=["Cache", "decorator"])
def ask(request: pytest.FixtureRequest, cache: Cache) -> Callable[..., Any]:
    """``ask(fn, limit=)``: the value of one key, computed by ``fn`` if it is missing."""

    def by_cache(fn: Callable[[], Any], limit: float = 300) -> Any:
        return cache.get_or_compute("key", fn, limit=limit)

    def by_decorator(fn: Callable[[], Any], limit: float = 300) -> Any:
        @plib_cache.cache(cache=cache, ignore="fn", version=1, limit=limit)
        def function(fn: Callable[[], Any]) -> Any:
            return fn()

        return function(fn)

    return by_cache if request.param == "Cache" else by_decorator


@pytest.fixture
def missed(cache: Cache, eventually: Any) -> Callable[[int], None]:
    """``missed(n)`` returns when n callers have found nothing; each counts once."""
    return lambda n: eventually(lambda: cache.stats().misses >= n, f"{n} misses")


def in_threads(count: int, function: Callable[[int], Any]) -> list[Any]:
    """What the function returned or raised in each of many threads that began together."""
    barrier = threading.Barrier(count)
    results: list[Any] = [None] * count

    def work(i: int) -> None:
        barrier.wait()
        try:
            results[i] = function(i)
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


class Gate:
    """A file that one process waits for and another one makes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        self.path.touch()

    def is_open(self) -> bool:
        return self.path.exists()

    def wait(self) -> None:
        wait_until(self.is_open, f"{self.path.name} to be made")


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[str], Gate]:
    return lambda name: Gate(tmp_path / name)


def test_threads(ask: Any, missed: Any) -> None:
    """Of eight threads one computes, and all get its value."""
    computed = []

    def compute() -> Any:
        computed.append(threading.get_ident())
        missed(8)
        return {"value": 1}

    assert in_threads(8, lambda i: ask(compute)) == [{"value": 1}] * 8
    assert len(computed) == 1


def test_processes(ask: Any, fork: Any, gate: Any, missed: Any, tmp_path: Path) -> None:
    """Of four processes one computes, and all get its value."""
    log, go = tmp_path / "log", gate("go")

    def compute() -> str:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        go.wait()
        return "computed"

    children = [fork(ask, compute) for _ in range(4)]
    missed(4)
    go.open()
    assert [child.result() for child in children] == ["computed"] * 4
    assert len(log.read_text().splitlines()) == 1


def test_none_is_a_value(ask: Any) -> None:
    """A result of None is kept like any other."""
    assert ask(lambda: None) is None
    assert ask(lambda: 1) is None


def test_who_raises_sees_it_alone(ask: Any, missed: Any) -> None:
    """The exception goes to the one that raised, and the next one computes."""
    calls = []

    def compute() -> str:
        calls.append(1)
        if len(calls) == 1:
            missed(4)
            raise ValueError("first")
        return "second"

    results = in_threads(4, lambda i: ask(compute))
    errors = [result for result in results if isinstance(result, ValueError)]
    assert len(errors) == 1
    assert [result for result in results if result not in errors] == ["second"] * 3
    assert len(calls) == 2


@pytest.mark.parametrize("error", [StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit])
def test_any_exception_passes(ask: Any, error: type[BaseException]) -> None:
    """Also those that mean something to generators; the claim is given back."""

    def compute() -> Any:
        raise error("x")

    with pytest.raises(error, match="x"):
        ask(compute)
    assert ask(lambda: 1) == 1


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "zombie"])
def test_who_is_killed_is_taken_over(
    ask: Any, fork: Any, gate: Any, missed: Any, reaped: bool
) -> None:
    """A killed process counts as dead, whether somebody has reaped it or not."""
    begun, never = gate("begun"), gate("never")

    def compute() -> str:
        begun.open()
        never.wait()
        return "never"

    child = fork(ask, compute)
    begun.wait()
    results: list[Any] = []
    waiter = threading.Thread(target=lambda: results.append(ask(lambda: "taken over")))
    waiter.start()
    missed(2)
    child.kill()
    if reaped:
        child.reap()
    waiter.join(60)
    assert results == ["taken over"]


def test_limit(ask: Any, fork: Any, gate: Any, eventually: Any) -> None:
    """Who passes the limit is taken over; its late result is returned and not stored."""
    begun, go = gate("begun"), gate("go")

    def compute() -> str:
        begun.open()
        go.wait()
        return "late"

    child = fork(ask, compute, 0.1)
    begun.wait()
    assert ask(lambda: "in time", 300) == "in time"
    go.open()
    assert child.result() == "late"
    assert ask(lambda: "again") == "in time"


def test_recursion(ask: Any) -> None:
    """A call for the same key inside the computation does not wait for itself."""
    assert ask(lambda: ["outer", ask(lambda: "inner")]) == ["outer", "inner"]


def test_recursion_in_a_forked_child(ask: Any, fork: Any) -> None:
    """Also a child that is forked inside the computation belongs to it."""
    assert ask(lambda: fork(ask, lambda: "inner").result()) == "inner"


def test_what_changes_meanwhile_wins(cache: Cache) -> None:
    """A set or delete during the computation voids it: its result is returned, not stored."""

    def set_meanwhile() -> str:
        cache["key"] = "set"
        return "computed"

    assert cache.get_or_compute("key", set_meanwhile) == "computed"
    assert cache["key"] == "set"
    cache.delete("key")

    def delete_meanwhile() -> str:
        cache.delete("key")
        return "computed"

    assert cache.get_or_compute("key", delete_meanwhile) == "computed"
    assert "key" not in cache


@pytest.mark.parametrize("how", ["tag", "namespace", "clear"])
def test_invalidated_meanwhile(cache: Cache, how: str) -> None:
    """What was computed before an invalidation is born dead."""
    invalidate: dict[str, Callable[[], Any]] = {
        "tag": lambda: cache.invalidate_tag("t"),
        "namespace": lambda: cache.invalidate_namespace("n"),
        "clear": cache.clear,
    }

    def compute() -> int:
        invalidate[how]()
        return 1

    assert cache.get_or_compute("key", compute, namespace="n", tags=["t"]) == 1
    assert "key" not in cache


def test_what_cannot_be_stored_is_returned(cache: Cache) -> None:
    """The value is there, so it is returned; strict raises."""
    with pytest.raises(plib_cache.SerializationError):
        cache.get_or_compute("key", threading.Lock)
    with Cache("flight") as lenient:
        with pytest.warns(plib_cache.PlibCacheWarning):
            assert lenient.get_or_compute("key", threading.Lock) is not None
        assert lenient.get_or_compute("key", lambda: b"x" * (9 << 20)) == b"x" * (9 << 20)
        assert "key" not in lenient


def test_expiry_counts_from_the_storing(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computation that takes longer than the expiry is stored all the same."""
    real = time.time
    monkeypatch.setattr("plib_cache._moments.time.time", lambda: real() - 1000)  # it begins then

    def compute() -> int:
        monkeypatch.setattr("plib_cache._moments.time.time", real)  # and has taken 1000 seconds
        return 1

    cache.get_or_compute("key", compute, expire=30)
    assert cache["key"] == 1


def test_interrupt_while_waiting(cache: Cache, fork: Any, gate: Any, missed: Any) -> None:
    """Ctrl-C is answered while a call waits for another process."""
    begun, never = gate("begun"), gate("never")

    def compute() -> None:
        begun.open()
        never.wait()

    def wait() -> str:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            cache.get_or_compute("key", lambda: None)
        except KeyboardInterrupt:
            return "interrupted"
        return "not interrupted"

    fork(cache.get_or_compute, "key", compute)
    begun.wait()
    waiter = fork(wait)
    missed(2)
    waiter.kill(signal.SIGINT)
    assert waiter.result() == "interrupted"


class TestCoroutines:
    def test_one_computes(self, cache: Cache) -> None:
        """Of many coroutines one computes; the loop goes on meanwhile."""
        calls = []

        @plib_cache.cache(cache=cache)
        async def function(x: int) -> int:
            calls.append(x)
            for _ in range(20):
                await asyncio.sleep(0.001)
            return x * 2

        async def main() -> list[int]:
            return await asyncio.gather(*(function(i % 2) for i in range(10)))

        assert asyncio.run(main()) == [0, 2] * 5
        assert sorted(calls) == [0, 1]
        assert asyncio.run(function(1)) == 2

    def test_recursion_and_siblings(self, cache: Cache) -> None:
        """A coroutine inside the computation computes; a sibling of it waits."""
        calls = []

        @plib_cache.cache(cache=cache, ignore="depth")
        async def function(depth: int) -> str:
            calls.append(depth)
            if depth:
                return "outer " + (await asyncio.gather(function(depth - 1)))[0]
            return "inner"

        assert asyncio.run(function(1)) == "outer inner"
        assert calls == [1, 0]

    def test_cancelled(self, cache: Cache) -> None:
        """A cancelled computation gives its claim back."""
        begun = []

        @plib_cache.cache(cache=cache)
        async def function() -> str:
            begun.append(1)
            if len(begun) == 1:
                await asyncio.sleep(3600)
            return "done"

        async def main() -> str:
            first = asyncio.create_task(function())
            while not begun:
                await asyncio.sleep(0)
            second = asyncio.create_task(function())
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await second

        assert asyncio.run(main()) == "done"

    def test_raises(self, cache: Cache) -> None:
        """One sees its exception, and the next one computes."""
        calls = []

        @plib_cache.cache(cache=cache)
        async def function() -> str:
            calls.append(1)
            await asyncio.sleep(0.001)
            if len(calls) == 1:
                raise ValueError("first")
            return "second"

        async def main() -> list[Any]:
            return await asyncio.gather(*(function() for _ in range(3)), return_exceptions=True)

        results = asyncio.run(main())
        assert isinstance(results[0], ValueError)
        assert results[1:] == ["second", "second"]

    def test_killed_process(self, cache: Cache, fork: Any, gate: Any) -> None:
        """A coroutine takes over from a killed process too."""
        begun, never = gate("begun"), gate("never")

        @plib_cache.cache(cache=cache, ignore="blocks")
        async def function(blocks: bool) -> str:
            if blocks:
                begun.open()
                never.wait()
            return "taken over"

        child = fork(lambda: asyncio.run(function(True)))
        begun.wait()

        async def main() -> str:
            task = asyncio.create_task(function(False))
            for _ in range(5):
                await asyncio.sleep(0.002)
            assert not task.done()
            child.kill()
            return await task

        assert asyncio.run(main()) == "taken over"
