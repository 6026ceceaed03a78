# SPDX-License-Identifier: BSD-3-Clause
"""The options of ``@plib_cache.cache``: what they do, and which make no sense."""

from __future__ import annotations

import datetime
import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import plib_cache
from plib_cache import (
    Cache,
    PlibCacheWarning,
    UnhashableArgumentError,
)

from .counting import counting


class TestOptions:
    def test_ignore(self) -> None:
        """Ignored arguments make no difference."""
        function, calls = counting(ignore="b")
        assert function(1, b=5) == function(1, b=6) == [1, 5]
        assert len(calls) == 1

    def test_key(self) -> None:
        """key= decides what matters, also for what cannot be hashed."""
        function, calls = counting(key=lambda a, b=2: a["id"])
        lock = threading.Lock()
        assert plib_cache.get_cache() is not None
        function({"id": 1}, 7)
        function({"id": 1, "lock": lock})
        assert len(calls) == 1

    def test_versions_live_side_by_side(self) -> None:
        """Code, defaults, closures and version= are in the key."""

        def make(factor: int, **options: Any) -> Any:
            @plib_cache.cache(**options)
            def function(x: int) -> int:
                return x * factor

            return function

        two, three = make(2), make(3)
        assert (two(1), three(1), two(1), three(1)) == (2, 3, 2, 3)
        assert (two.cache_info().hits, three.cache_info().hits) == (1, 1)
        assert make(5, version="v1")(1) == 5
        assert make(7, version="v1")(1) == 5
        assert make(7, version="v2")(1) == 7

    def test_depends_on(self) -> None:
        """The code of helpers can be in the key."""

        def make(helper: Callable[[int], int]) -> Any:
            def function(x: int) -> int:
                return run(x)

            run: Any = None
            run = helper
            return plib_cache.cache(depends_on=[helper])(function)

        assert make(lambda x: x + 1).cache_key(1) != make(lambda x: x + 2).cache_key(1)

    def test_namespaces_keep_apart(self) -> None:
        """One function has other results in another namespace, and each can be invalidated."""
        one, one_calls = counting(namespace="one")
        two, two_calls = counting(namespace="two")
        for _ in range(2):
            one(1)
            two(1)
        assert len(one_calls) == len(two_calls) == 1
        plib_cache.get_cache().invalidate_namespace("one")
        one(1)
        two(1)
        assert (len(one_calls), len(two_calls)) == (2, 1)

    def test_tags(self) -> None:
        """Tags, or a function of the arguments that gives them."""
        fixed, fixed_calls = counting(tags=["red"], namespace="a")
        chosen, chosen_calls = counting(tags=lambda a, b=2: [f"user-{a}"], namespace="b")
        for _ in range(2):
            fixed(1)
            chosen(1)
            chosen(2)
        plib_cache.get_cache().invalidate_tag("red")
        plib_cache.get_cache().invalidate_tag("user-1")
        fixed(1)
        chosen(1)
        chosen(2)
        assert len(fixed_calls) == 2
        assert sorted(chosen_calls) == [(1, 2), (1, 2), (2, 2)]

    @pytest.mark.parametrize("expire", [0.05, datetime.timedelta(milliseconds=50)])
    def test_expire(self, eventually: Any, expire: Any) -> None:
        """An expired result is computed anew."""
        function, calls = counting(expire=expire)
        function(1)
        eventually(lambda: function(1) and len(calls) > 1)

    def test_what_is_not_worth_it(self) -> None:
        """Quick and large results are not stored if that is asked for."""
        quick, quick_calls = counting(min_duration=100)
        large, large_calls = counting(max_bytes=1000)
        for _ in range(2):
            quick(1)
            large("x" * 2000)
            large("x")
        assert len(quick_calls) == 2
        assert len(large_calls) == 3

    def test_cache_by_object_and_by_name(self, regions: Any) -> None:
        """cache= says where the results are."""
        with Cache("mine", size="4MiB") as mine:
            function, calls = counting(cache=mine)
            function(1)
            named, named_calls = counting(cache="mine")
            named(1)
            assert (len(calls), len(named_calls)) == (1, 0)
            assert len(mine) == 1
        assert not (regions / "default").exists()

    def test_trust(self) -> None:
        """trust="data" does not store what would need code to be read."""

        @plib_cache.cache(trust="data", version=1)
        def function(x: Any) -> Any:
            return x

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert function(1) == 1
        with pytest.warns(PlibCacheWarning, match="Error|refus|data"):
            function(ValueError("an exception is no plain data"))
        assert function.cache_info().currsize == 1

    def test_single_flight_off(self) -> None:
        """Without single flight all compute, and the results are stored."""
        barrier = threading.Barrier(2)

        @plib_cache.cache(single_flight=False, ignore="x", version=1)
        def function(x: int) -> str:
            barrier.wait(30)
            return "done"

        threads = [threading.Thread(target=function, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert function(3) == "done"


class TestMisuse:
    def test_arguments_without_a_stable_key(self) -> None:
        """The error names the argument and the way out."""
        function, calls = counting()
        with pytest.raises(UnhashableArgumentError, match=r"'b'.*key=.*ignore="):
            function(1, b=(i for i in range(3)))
        with open(__file__) as file, pytest.raises(UnhashableArgumentError, match="'a'"):
            function(file)
        assert calls == []

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"ignore": "nothing"}, ValueError, "nothing"),
            ({"key": repr, "ignore": "a"}, ValueError, "ignore"),
            ({"cache": "a/b"}, ValueError, "a/b"),
            ({"cache": 5}, ValueError, "5"),
            ({"trust": "me"}, ValueError, "me"),
            ({"limit": 0}, ValueError, "limit"),
            ({"limit": "1"}, TypeError, "limit"),
            ({"expire": "1"}, TypeError, "expire"),
            ({"expire": datetime.datetime(2030, 1, 1)}, ValueError, "time zone"),
            ({"tags": "tag"}, TypeError, "one name"),
            ({"tags": ["1", "2", "3", "4", "5"]}, ValueError, "at most 4"),
            ({"tags": [5]}, TypeError, "tag"),
            ({"namespace": ""}, ValueError, "empty"),
            ({"unknown": 1}, TypeError, "unknown"),
            ({"expire": -1}, TypeError, "seconds from now"),
            ({"expire": datetime.timedelta(days=-1)}, TypeError, "seconds from now"),
            ({"min_duration": -1}, TypeError, "seconds"),
            ({"max_bytes": -1}, TypeError, "bytes"),
            ({"typed": "no"}, TypeError, "True or False"),
            ({"strict": "yes"}, TypeError, "True or False"),
            ({"single_flight": "x"}, TypeError, "True or False"),
            ({"depends_on": "f"}, TypeError, "list of functions"),
        ],
    )
    def test_options(self, options: Any, error: Any, message: str) -> None:
        """Options that make no sense are refused when the function is decorated."""
        with pytest.raises(error, match=message):
            counting(**options)

    def test_generators(self) -> None:
        """What can be read only once is not cached."""

        def function() -> Iterator[int]:
            yield 1

        for generator in (function, functools.partial(function)):
            with pytest.raises(TypeError, match="generator"):
                plib_cache.cache(generator)

    def test_no_function(self) -> None:
        """Only callables can be decorated."""
        with pytest.raises(TypeError, match="str"):
            plib_cache.cache("name")  # type: ignore[call-overload]
