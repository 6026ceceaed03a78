"""The hot path in C with threads, other processes and the GIL."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import plib_cache
from plib_cache import Cache

from .hot import must_be_there

must_be_there()


@pytest.fixture
def no_switch() -> Iterator[None]:
    """Threads change only where the GIL is given up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


class TestGil:
    """With a switch interval of 1000 s another thread runs only when the GIL is given up.

    Of an interpreter that has one: without it, the contract is what is tested (free-threaded).
    """

    def others_run(self, work: Callable[[], Any], rounds: int) -> bool:
        """Whether another thread ran while this one worked, so many times at most."""
        asked, answered = threading.Event(), []
        other = threading.Thread(target=lambda: (asked.wait(), answered.append(1)))
        other.start()
        asked.set()
        seen = False
        for _ in range(rounds):
            work()
            if answered:
                seen = True
                break
        other.join()
        return seen

    def works(self, cache: Cache, size: int) -> dict[str, Callable[[], Any]]:
        value = b"x" * size
        text = "t" * size
        cache["k"], cache["t"], cache["l"] = value, text, bytearray(value)

        @plib_cache.cache
        def f(a: int) -> bytes:
            return value

        f(1)
        return {
            "get": lambda: cache.get("k"),
            "get str": lambda: cache.get("t"),
            "get bytearray": lambda: cache.get("l"),
            "item": lambda: cache["k"],
            "set": lambda: cache.set("k", value),
            "set item": lambda: cache.__setitem__("t", text),
            "get_many": lambda: cache.get_many(["k", "t"]),
            "decorator": lambda: f(1),
        }

    def test_short_calls_keep_it(self, no_switch: None) -> None:
        """Nobody else runs during a thousand short calls."""
        with Cache("gil", size="16MiB") as cache:
            works = self.works(cache, 20_000)
            works["incr"] = lambda: cache.incr("n")
            works["delete"] = lambda: cache.delete("none")
            for _ in range(2000):  # the region takes all its memory, for which calls have to wait
                works["set"]()
            for name, work in works.items():
                assert not self.others_run(work, 1000), name

    def test_long_copies_give_it_up(self, no_switch: None) -> None:
        """Somebody else runs during copies of more than 64 KiB, soon."""
        with Cache("gil", size="64MiB") as cache:
            for name, work in self.works(cache, 1_000_000).items():
                assert self.others_run(work, 100_000), name


def test_threads_share_one_cache() -> None:
    """Many threads read, write and count through the same objects."""
    with Cache("threads", size="16MiB") as cache:

        @plib_cache.cache(cache=cache)
        def f(a: int) -> int:
            return a * 2

        cache["n"] = 0
        wrong: list[Any] = []

        def work(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(2000):
                n = chance.randrange(50)
                cache.set(f"k{n}", n)
                found = cache.get_many([f"k{n}", f"k{chance.randrange(50)}"])
                if found[f"k{n}"] != n or f(n) != 2 * n:
                    wrong.append(n)
                cache.incr("n")

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert cache["n"] == 8000


@pytest.mark.parametrize("long", [b"a" * 40_000, ["a" * 40_000]], ids=["bytes", "list"])
@pytest.mark.parametrize(
    "other",
    [b"b" * 17_000, b"c", "t" * 17_000, ["d" * 17_000], memoryview(b"e" * 17_000)],
    ids=range(5),
)
def test_values_that_change_while_they_are_read(
    fork: Callable[..., Any], long: Any, other: Any
) -> None:
    """What is read is one of the values that were written, whole and of its type."""
    values = [long, other]
    with Cache("changing", size="32MiB", strict=True) as cache:
        cache["k"] = values[0]

        def write() -> None:
            while "end" not in cache:
                for value in values * 50:
                    cache.set("k", value)

        child = fork(write)
        for _ in range(30_000):
            found = cache.get("k", 0)
            assert type(found) is type(values[values.index(found)])
            assert not getattr(found, "readonly", False)  # what is kept may be written to
        cache["end"] = 1
        child.result()


def test_forked_child(fork: Callable[..., Any]) -> None:
    """A child goes on with the parent's cache and functions."""
    with Cache("forked", size="8MiB") as cache:

        @plib_cache.cache(cache=cache)
        def f(a: int) -> int:
            return a

        cache["a"] = 1
        f(1)

        def child() -> Any:
            cache["b"] = 2
            return cache["a"], cache.get_many(["a", "b"]), f(1), f(2)

        assert fork(child).result() == (1, {"a": 1, "b": 2}, 1, 2)
        assert cache["b"] == 2
        assert f.cache_info().hits == 1
