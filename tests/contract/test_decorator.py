# SPDX-License-Identifier: BSD-3-Clause
"""What ``@plib_cache.cache`` promises of functions, methods and coroutines."""

from __future__ import annotations

import asyncio
import inspect
import math
import pickle
import threading
from typing import Any

import cloudpickle
import pytest

import plib_cache

from .counting import counting


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

    def test_a_function_of_a_script_travels(self, python: Any) -> None:
        """Workers that have another main module, as those of loky and dask, find its results."""
        send = """
    import base64, os, subprocess, cloudpickle
    receive = "import base64, pickle, sys; print(pickle.loads(base64.b64decode(sys.argv[1]))(2))"
    sent = base64.b64encode(cloudpickle.dumps(square)).decode()
    found = subprocess.check_output([sys.executable, "-c", receive, sent], text=True)
    assert found == "4\\n", found
"""
        python(self.PROGRAM + send)

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
