"""The hot path in C keeps no reference, no buffer and no memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import plib_cache
from plib_cache import Cache

from .hot import Text, memo_of, must_be_there

must_be_there()

fast: Any = sys.modules["plib_cache._fast"]


class TestLeaks:
    def works(self, cache: Cache) -> dict[str, Callable[[], Any]]:
        """One call of each path; what only Python does is in names that begin with "general"."""

        @plib_cache.cache(cache=cache)
        def f(a: Any) -> Any:
            return a

        f(12345)
        f("text")
        f([1])
        cache["key"], cache["list"], cache["long"], cache["n"] = b"v" * 500, [1], b"x" * 17_000, 1
        cache["wide"], cache["text"] = "ä" * 100, "a" * 17_000
        seek = memo_of(f).seek
        port: Any = cache._region.port
        address, lines = port.address, b"get key none wide\r\ngets long\r\n"
        return {
            "get": lambda: cache.get("key"),
            "get absent": lambda: cache.get("none", cache),
            "set": lambda: cache.set("key", b"v" * 500),
            "item": lambda: cache["key"],
            "contains": lambda: "key" in cache,
            "set item": lambda: cache.__setitem__("n", 5),
            "set str": lambda: cache.set("wide", "ä" * 100),
            "get str": lambda: cache.get("wide"),
            "get long": lambda: cache.get("long"),
            "get long str": lambda: cache.get("text"),
            "get_many": lambda: cache.get_many(["key", "none", "wide"]),
            "incr": lambda: cache.incr("n"),
            "delete": lambda: cache.delete("none"),
            "no item": lambda: answer_only(lambda: cache["none"]),
            "hit": lambda: f(12345),
            "hit by name": lambda: f(a="text"),
            "miss": lambda: seek(((3, (4, "ä", 10**30)),), {}),
            "answer": lambda: fast.answer(address, lines, 0, 1 << 20),
            "answer nothing": lambda: fast.answer(address, b"get key", 0, 1 << 20),
            "general load": lambda: cache.get("list"),
            "general many": lambda: cache.get_many(["list", "none", "long", Text("key")]),
            "general rest of many": lambda: cache.get_many(["long"] * 5),
            "general set": lambda: cache.set("list", [1]),
            "general error": lambda: answer_only(lambda: cache.get("")),
            "general refusal": lambda: answer_only(lambda: cache.incr("list")),
            "general hit": lambda: f([1]),
        }

    def nothing_is_left(self) -> None:
        """No object stays, however often a path is taken."""
        with Cache("leaks", size="16MiB") as cache:
            for name, work in self.works(cache).items():
                rounds = 5_000 if name.startswith("general") else 100_000
                for _ in range(100):
                    work()
                gc.collect()
                before = sys.getallocatedblocks()
                for _ in range(rounds):
                    work()
                gc.collect()
                assert sys.getallocatedblocks() - before < rounds / 20, name

    def no_memory_is_left(self) -> None:
        """Nor any memory that is not of objects."""
        with Cache("leaks", size="16MiB") as cache:
            for name, work in self.works(cache).items():
                for _ in range(1000):  # else free lists of the interpreter are filled below
                    work()
                tracemalloc.start()
                try:
                    before = tracemalloc.get_traced_memory()[0]
                    for _ in range(500):
                        work()
                    gc.collect()
                    grown = tracemalloc.get_traced_memory()[0] - before
                finally:
                    tracemalloc.stop()
                assert grown < 10_000, name  # 20 bytes for each

    @pytest.mark.parametrize("what", ["nothing_is_left", "no_memory_is_left"])
    def test_what_is_left(self, what: str) -> None:
        """In a process of its own: what other tests have left running has memory, too."""
        program = f"from unit.test_fast_leaks import TestLeaks; TestLeaks().{what}()"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def test_references(self) -> None:
        """Keys, values and defaults have as many references as before."""
        key, value, absent, item = "a key", b"value" * 9, object(), "an argument"
        with Cache("references", size="8MiB") as cache:

            @plib_cache.cache(cache=cache)
            def f(a: Any) -> int:
                return 1

            f(item)
            things = [key, value, absent, item, None, True, cache._region.port]
            before = [sys.getrefcount(thing) for thing in things]
            for _ in range(1000):
                cache.get(key, absent)
                cache.set(key, value)
                cache.set(key, None)
                cache.get(key, absent)
                cache[key] = True
                cache.get_many([key, key])
                cache.delete(key)
                f(item)
            after = [sys.getrefcount(thing) for thing in things]
        assert [b - a for a, b in zip(before, after, strict=True) if abs(b - a) > 100] == []


def answer_only(function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception:
        pass
