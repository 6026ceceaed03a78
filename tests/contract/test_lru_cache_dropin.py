# SPDX-License-Identifier: BSD-3-Clause
"""A program that uses ``functools.lru_cache`` goes on working with ``plib_cache.cache``."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import plib_cache

Decorator = Callable[..., Any]


@pytest.fixture(params=["functools", "plib_cache"])
def lru_cache(request: pytest.FixtureRequest) -> Decorator:
    return functools.lru_cache if request.param == "functools" else plib_cache.cache


def test_forms(lru_cache: Decorator) -> None:
    """Bare, with brackets, with maxsize by position and by name, and with typed."""

    def function(x: int) -> int:
        return x + 1

    for decorated in (
        lru_cache(function), lru_cache()(function), lru_cache(32)(function),
        lru_cache(maxsize=32)(function), lru_cache(maxsize=None)(function),
        lru_cache(None)(function), lru_cache(maxsize=32, typed=True)(function),
    ):  # fmt: skip
        assert decorated(1) == decorated(x=1) == 2


def test_parameters(lru_cache: Decorator) -> None:
    """They are reported as given; a negative size is none at all."""
    for maxsize in (None, 0, 5):
        decorated = lru_cache(maxsize=maxsize, typed=True)(lambda x: x)
        assert decorated.cache_parameters() == {"maxsize": maxsize, "typed": True}
    assert lru_cache(-5)(lambda x: x).cache_parameters()["maxsize"] == 0


def test_info_and_clear(lru_cache: Decorator) -> None:
    """Hits, misses, sizes, as a named tuple of four."""

    @lru_cache(maxsize=20, typed=True)
    def function(x: int, y: int = 0) -> int:
        return x + y

    assert function.cache_info() == (0, 0, 20, 0)
    for x in (1, 2, 1, 1, 3):
        function(x)
    info = function.cache_info()
    assert (info.hits, info.misses, info.maxsize, info.currsize) == (2, 3, 20, 3)
    assert info._fields == ("hits", "misses", "maxsize", "currsize")
    function.cache_clear()
    assert function.cache_info() == (0, 0, 20, 0)


def test_recursion(lru_cache: Decorator) -> None:
    """The usual example of a recursive function."""

    @lru_cache(maxsize=None)
    def fib(n: int) -> int:
        if n < 2:
            return n
        result: int = fib(n - 1) + fib(n - 2)
        return result

    assert [fib(n) for n in range(16)] == [
        0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610
    ]  # fmt: skip
    assert fib.cache_info() == (28, 16, None, 16)


def test_typed(lru_cache: Decorator) -> None:
    """With typed=True, arguments of different types are different."""

    @lru_cache(typed=True)
    def function(x: Any) -> str:
        return type(x).__name__

    assert [function(x) for x in (1, 1.0, True)] == ["int", "float", "bool"]


def test_exceptions(lru_cache: Decorator) -> None:
    """They pass and are not kept, and count as misses."""

    @lru_cache
    def function(x: Any) -> int:
        return len(x)

    with pytest.raises(TypeError):
        function(5)
    assert function("abc") == 3
    assert function.cache_info()[:2] == (0, 2)


def test_looks_like_the_function(lru_cache: Decorator) -> None:
    """Name, module, docs, signature, and the function itself."""

    def function(a: int, *args: int, b: int = 1, **kwargs: int) -> int:
        """Documented."""
        return a

    decorated = lru_cache(function)
    assert decorated.__name__ == "function"
    assert decorated.__doc__ == "Documented."
    assert decorated.__module__ == __name__
    assert decorated.__wrapped__ is function
    assert inspect.signature(decorated) == inspect.signature(function)
    assert decorated(1, 2, 3, b=4, c=5) == 1


class Shop:
    """Methods, as lru_cache's users have them."""

    def __init__(self, prices: tuple[int, ...]) -> None:
        self.prices = prices

    @plib_cache.cache(maxsize=128)
    def total(self, tax: int = 0) -> int:
        return sum(self.prices) + tax

    @property
    @plib_cache.cache
    def cheapest(self) -> int:
        return min(self.prices)

    @functools.cached_property
    def dearest(self) -> int:
        return max(self.prices)


def test_methods() -> None:
    """Objects are told apart by what they are, not by where they lie in memory."""
    first, second = Shop((1, 2)), Shop((3, 4))
    assert (first.total(), second.total(), first.total(tax=1)) == (3, 7, 4)
    assert (first.cheapest, second.cheapest) == (1, 3)
    assert Shop((1, 2)).total() == 3
    assert Shop.total.cache_info().hits == 1


@plib_cache.cache(maxsize=2)
def of_module(x: int) -> int:
    return x


def test_copies_and_pickles() -> None:
    """A decorated function is copied and pickled as a function is."""
    assert copy.copy(of_module) is of_module
    assert copy.deepcopy(of_module) is of_module
    assert pickle.loads(pickle.dumps(of_module)) is of_module


def test_maxsize_is_advice() -> None:
    """More results than maxsize may be kept; the region bounds the whole."""
    for x in range(5):
        of_module(x)
    assert of_module.cache_info().maxsize == 2
    assert of_module.cache_info().currsize == 5
