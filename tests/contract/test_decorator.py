# SPDX-License-Identifier: BSD-3-Clause
"""What ``@plib_cache.cache`` promises."""

from __future__ import annotations

import asyncio
import datetime
import gc
import inspect
import math
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

import plib_cache
from plib_cache import (
    Cache,
    ClosedError,
    PlibCacheWarning,
    SerializationError,
    UnhashableArgumentError,
)


def counting(**options: Any) -> tuple[Any, list[Any]]:
    """A decorated function of (a, b=2), and the list of its computations."""
    calls: list[Any] = []

    def function(a: Any, b: Any = 2) -> Any:
        record((a, b))
        return [a, b]

    def record(call: Any) -> None:
        calls.append(call)

    return plib_cache.cache(version=1, **options)(function), calls


@plib_cache.cache
def module_level(x: int) -> list[int]:
    """Double."""
    return [x, 2 * x]


class TestCalls:
    def test_bare_and_with_options(self) -> None:
        """Both forms decorate; the function's name and docs stay."""
        module_level.cache_clear()
        assert module_level(2) == module_level(2) == [2, 4]
        assert module_level.__name__ == "module_level"
        assert module_level.__doc__ == "Double."
        assert list(inspect.signature(module_level).parameters) == ["x"]
        assert module_level.__wrapped__(3) == [3, 6]
        assert module_level.cache_info()[:2] == (1, 1)

    def test_spellings_are_one_call(self) -> None:
        """f(1), f(1, 2), f(1, b=2) and f(b=2, a=1) are one entry."""
        function, calls = counting()
        for result in (function(1), function(1, 2), function(1, b=2), function(b=2, a=1)):
            assert result == [1, 2]
        assert calls == [(1, 2)]

    def test_types_matter(self) -> None:
        """1, 1.0 and True differ, and so do the zeros; NaN is itself."""
        function, calls = counting()
        for argument in (1, 1.0, True, 0.0, -0.0, math.nan, "1", b"1", None):
            for _ in range(2):
                (result, _b) = function(argument)
                assert type(result) is type(argument)
        assert len(calls) == 9

    def test_untyped(self) -> None:
        """typed=False makes equal numbers one."""
        function, calls = counting(typed=False)
        assert function(1) == function(1.0) == function(True) == [1, 2]
        assert len(calls) == 1

    def test_copies(self) -> None:
        """A hit is a copy of one's own."""
        function, _ = counting()
        function(1).append(3)
        function(1).append(3)
        assert function(1) == [1, 2]

    def test_wrong_calls(self) -> None:
        """A call that the function would refuse is refused."""
        function, calls = counting()
        with pytest.raises(TypeError):
            function()
        with pytest.raises(TypeError):
            function(1, 2, 3)
        assert calls == []

    def test_exceptions_are_not_kept(self) -> None:
        """They pass, and the next call computes again."""
        calls = []

        @plib_cache.cache(version=1)
        def function() -> int:
            calls.append(1)
            raise LookupError(len(calls))

        for expected in (1, 2):
            with pytest.raises(LookupError, match=str(expected)):
                function()

    def test_none_is_kept(self) -> None:
        """None is a result."""
        calls: list[int] = []

        @plib_cache.cache(version=1)
        def function() -> None:
            calls.append(1)

        function()
        function()
        assert calls == [1]


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


class TestAttributes:
    def test_cache_info_and_clear(self) -> None:
        """Hits, misses and size; clear begins anew."""
        function, calls = counting()
        for argument in (1, 2, 1):
            function(argument)
        assert function.cache_info() == (1, 2, None, 2)
        assert function.cache_info().currsize == 2
        function.cache_clear()
        assert function.cache_info() == (0, 0, None, 0)
        function(1)
        assert len(calls) == 3

    def test_counts_of_all_processes(self, fork: Any) -> None:
        """Another process's hits and misses are counted too."""
        function, calls = counting()
        function(1)
        assert fork(lambda: (function(1), function(2), len(calls))).result() == ([1, 2], [2, 2], 2)
        assert function.cache_info() == (1, 2, None, 2)

    def test_counts_of_those_who_waited(self) -> None:
        """Who waited for another one's result has had a hit."""
        cache = plib_cache.get_cache()

        @plib_cache.cache(version=1)
        def function() -> int:
            while cache.stats().misses < 4:
                pass
            return 1

        threads = [threading.Thread(target=function) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert function.cache_info() == (3, 1, None, 1)

    def test_cache_key(self) -> None:
        """32 bytes, under which the result is found."""
        function, _ = counting()
        function(1)
        assert len(function.cache_key(1, b=2)) == 32
        assert plib_cache.get_cache()[function.cache_key(1)] == [1, 2]

    def test_invalidate(self) -> None:
        """One result is forgotten, the others stay."""
        function, calls = counting()
        assert function.invalidate(1) is False
        function(1)
        function(2)
        assert function.invalidate(1, 2) is True
        function(1)
        function(2)
        assert calls == [(1, 2), (2, 2), (1, 2)]

    def test_refresh(self) -> None:
        """The result is computed whatever is there, and stored."""
        values = iter([1, 2, 3])

        @plib_cache.cache(version=1)
        def function() -> int:
            return next(values)

        assert (function(), function.refresh(), function()) == (1, 2, 2)

    def test_saved_seconds(self) -> None:
        """Hits save the time that the computation took."""

        @plib_cache.cache(version=1)
        def function() -> int:
            return sum(range(300_000))

        function()
        assert function.saved_seconds() == 0
        function()
        assert function.saved_seconds() > 0

    def test_parameters(self) -> None:
        """As lru_cache reports them."""
        assert counting()[0].cache_parameters() == {"maxsize": None, "typed": True}
        assert counting(maxsize=5, typed=False)[0].cache_parameters() == {
            "maxsize": 5,
            "typed": False,
        }


class Shape:
    """Methods of all kinds, with the decorator inside and outside."""

    sides = 3

    def __init__(self, size: int) -> None:
        self.size = size
        self.calls = 0

    def __plib_key__(self) -> int:
        return self.size

    @plib_cache.cache
    def area(self, factor: int = 1) -> int:
        """Of this shape."""
        self.calls += 1
        return self.size * factor

    @classmethod
    @plib_cache.cache
    def inner_class(cls, x: int) -> tuple[str, int]:
        return cls.__name__, cls.sides * x

    @plib_cache.cache
    @classmethod
    def outer_class(cls, x: int) -> tuple[str, int]:
        return cls.__name__, cls.sides * x

    @staticmethod
    @plib_cache.cache
    def inner_static(x: int) -> int:
        return x + 1

    @plib_cache.cache
    @staticmethod
    def outer_static(x: int) -> int:
        return x + 2

    @plib_cache.cache(ignore="self")
    def constant(self) -> int:
        self.calls += 1
        return 7


class Square(Shape):
    sides = 4


class TestMethods:
    def test_methods(self) -> None:
        """The object is an argument."""
        one, same, other = Shape(1), Shape(1), Shape(2)
        assert (one.area(3), same.area(factor=3), other.area(3)) == (3, 3, 6)
        assert (one.calls, same.calls, other.calls) == (1, 0, 1)
        assert Shape.area(one, 3) == 3
        assert Shape.area.invalidate(one, 3)
        assert Shape.area.cache_info().misses == 2
        assert one.area.__doc__ == "Of this shape."

    def test_ignored_self(self) -> None:
        """ignore="self" shares results among objects."""
        one, other = Shape(1), Shape(2)
        assert one.constant() == other.constant() == 7
        assert (one.calls, other.calls) == (1, 0)

    @pytest.mark.parametrize("name", ["inner_class", "outer_class"])
    def test_class_methods(self, name: str) -> None:
        """In both orders of the decorators; subclasses have their own results."""
        for _ in range(2):
            assert getattr(Shape, name)(2) == ("Shape", 6)
            assert getattr(Square(1), name)(2) == ("Square", 8)

    def test_static_methods(self) -> None:
        """In both orders of the decorators."""
        for _ in range(2):
            assert Shape.inner_static(1) == Shape(1).inner_static(1) == 2
            assert Shape.outer_static(1) == Shape(1).outer_static(1) == 3
        assert Shape.inner_static.cache_info().hits == 3


class TestCoroutines:
    def test_is_a_coroutine_function(self) -> None:
        """It is awaited as before, and all attributes work."""
        calls = []

        @plib_cache.cache(version=1)
        async def function(x: int) -> int:
            calls.append(x)
            await asyncio.sleep(0)
            return x

        assert inspect.iscoroutinefunction(function)
        assert asyncio.run(function(1)) == asyncio.run(function(1)) == 1
        assert asyncio.run(function.refresh(1)) == 1
        assert len(calls) == 2
        assert function.cache_info()[:2] == (1, 1)
        assert function.invalidate(1)

    def test_from_two_loops(self) -> None:
        """Results are not bound to an event loop."""

        @plib_cache.cache
        async def function(x: int) -> list[int]:
            return [x]

        assert asyncio.run(function(1)) == asyncio.run(function(1)) == [1]


class TestOtherProcesses:
    PROGRAM = """
import sys
import plib_cache

@plib_cache.cache
def square(x):
    print("computing", x, file=sys.stderr if x < 0 else sys.stdout)
    return x * x

if __name__ == "__main__":
    print([square(i) for i in range(3)], square.cache_info()[:2])
"""

    def test_two_programs_share(self, python: Any) -> None:
        """A second run of a program computes nothing, under another hash seed."""
        first = python(self.PROGRAM, PYTHONHASHSEED="1")
        assert first.count("computing") == 3
        assert python(self.PROGRAM, PYTHONHASHSEED="2").splitlines() == ["[0, 1, 4] (3, 3)"]

    def test_an_edited_function_computes(self, python: Any) -> None:
        """The edited one does not get the old results; the old one still does."""
        python(self.PROGRAM)
        edited = self.PROGRAM.replace("x * x", "x ** 3")
        assert python(edited).splitlines()[-1] == "[0, 1, 8] (0, 3)"
        assert python(self.PROGRAM).splitlines() == ["[0, 1, 4] (3, 3)"]

    def test_pickle_by_reference(self) -> None:
        """A decorated function of a module pickles as the function would."""
        assert pickle.loads(pickle.dumps(module_level)) is module_level

    def test_cloudpickle_by_value(self) -> None:
        """A local one travels with its options, and finds the same results."""
        function, calls = counting(namespace="n")
        function(1)
        copy = cloudpickle.loads(cloudpickle.dumps(function))
        assert copy(1) == [1, 2]
        assert copy.cache_key(1) == function.cache_key(1)
        assert copy.cache_info().hits == 1
        assert len(calls) == 1

    def test_fork(self, fork: Any) -> None:
        """A child shares results with its parent, both ways."""
        function, calls = counting()
        function(1)

        def child() -> int:
            function(1)
            function(2)
            return len(calls)

        assert fork(child).result() == 2
        function(2)
        assert len(calls) == 1


class TestFailures:
    def test_results_that_cannot_be_stored(self) -> None:
        """They are returned, with one warning for the function."""

        @plib_cache.cache(version=1)
        def function(x: int) -> Any:
            return threading.Lock()

        with pytest.warns(PlibCacheWarning, match="function runs without its cache") as caught:
            function(1)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(1)
            function(2)

    def test_strict(self) -> None:
        """strict=True raises instead."""

        @plib_cache.cache(version=1, strict=True)
        def function() -> Any:
            return threading.Lock()

        with pytest.raises(SerializationError, match="lock"):
            function()

    def test_closed_cache(self) -> None:
        """A closed cache is a miss with a warning, or a ClosedError."""
        with Cache("mine", size="4MiB") as mine:
            function, _ = counting(cache=mine)
            strict, _ = counting(cache=mine, strict=True)
            function(1)
            strict(1)
        with pytest.warns(PlibCacheWarning, match="closed"):
            assert function(1) == [1, 2]
        with pytest.raises(ClosedError):
            strict(1)

    def test_default_that_was_closed_is_opened_anew(self) -> None:
        """The default cache comes back by itself."""
        function, calls = counting()
        function(1)
        plib_cache.get_cache().close()
        with pytest.warns(PlibCacheWarning):
            function(1)
        function(1)
        assert len(calls) == 1

    def test_no_cache_to_be_had(self, monkeypatch: Any, tmp_path: Any) -> None:
        """Where no region can be opened, functions work without."""
        monkeypatch.setenv("PLIB_CACHE_DIR", str(tmp_path / "file"))
        (tmp_path / "file").touch()
        function, calls = counting()
        with pytest.warns(PlibCacheWarning):
            assert function(1) == [1, 2]
        assert function(1) == [1, 2]
        assert len(calls) == 2

    def test_removed_region(self) -> None:
        """After the region was removed, computations go to the new one."""
        from plib_cache._core import remove_region

        function, _ = counting()
        function(1)
        remove_region(plib_cache.get_cache().path)
        function(2)
        assert plib_cache.get_cache()[function.cache_key(2)] == [2, 2]

    def test_damaged_result(self) -> None:
        """What cannot be read is computed anew."""
        function, _ = counting()
        function(1)
        cache = plib_cache.get_cache()
        broken = b"\x80\x05garbage"
        from plib_cache._core import SET, Terms
        from plib_cache.serialize import Encoded

        cache._region.store(SET, function.cache_key(1), Encoded(8, [broken], len(broken)), Terms())
        with pytest.warns(PlibCacheWarning, match="damaged"):
            assert function(1) == [1, 2]
        assert function(1) == [1, 2]

    def test_collected(self) -> None:
        """A decorated function that is gone leaves nothing behind in the process."""
        function, _ = counting()
        function(1)
        del function
        gc.collect()


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

        with pytest.raises(TypeError, match="generator"):
            plib_cache.cache(function)

    def test_no_function(self) -> None:
        """Only callables can be decorated."""
        with pytest.raises(TypeError, match="str"):
            plib_cache.cache("name")  # type: ignore[call-overload]
