# SPDX-License-Identifier: BSD-3-Clause
"""What went wrong once with functions and computations, each in the smallest call that shows it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

import plib_cache
from plib_cache import (
    Cache,
    UnhashableArgumentError,
    _flight,
)
from plib_cache._core import OK, Terms
from plib_cache._core import names as core_names


class Scaled:
    """A callable object around a function, as decorators written as classes are."""

    def __init__(self, function: Callable[[int], int], factor: int) -> None:
        functools.update_wrapper(self, function)
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.__wrapped__(x) * self.factor  # type: ignore[attr-defined, no-any-return]


def same(x: int) -> int:
    return x


def is_free(cache: Cache, key: bytes) -> bool:
    """Whether nobody holds a claim on the key."""
    claim = cache._region.claim(key, Terms(), 1000)
    if claim.status == OK:
        cache._region.abandon(key, claim.token)
    return claim.status == OK


class TestKeysOfCalls:
    def test_callable_objects_around_one_function(self, small: Cache) -> None:
        """What an object is called for depends on its state, decorated or as an argument."""
        decorate = plib_cache.cache(cache=small)
        assert [decorate(f)(5) for f in (Scaled(same, 2), Scaled(same, 3), same)] == [10, 15, 5]

        @plib_cache.cache(cache=small)
        def apply(function: Callable[[int], int], x: int) -> int:
            return function(x)

        assert [apply(Scaled(same, 2), 5), apply(Scaled(same, 3), 5)] == [10, 15]

    def test_classes_that_no_name_leads_to(self, small: Cache) -> None:
        """Two local classes, and two made by ``type``, differ in what their bodies hold."""

        def make(k: int) -> Any:
            class Local:
                K = k

                @plib_cache.cache(cache=small)
                def get(self) -> int:
                    return self.K

            return Local

        assert [make(1)().get(), make(2)().get()] == [1, 2]

        @plib_cache.cache(cache=small)
        def k_of(thing: Any) -> Any:
            return thing.K

        one, two = type("Made", (), {"K": 1}), type("Made", (), {"K": 2})
        assert [k_of(one), k_of(two), k_of(one()), k_of(two())] == [1, 2, 1, 2]

    def test_version_with_depends_on(self, small: Cache) -> None:
        """``version`` stands for the function, not for what it depends on."""

        def result(depends_on: list[Any], value: int) -> int:
            @plib_cache.cache(cache=small, version=1, depends_on=depends_on)
            def function() -> int:
                return value

            return function()

        assert [result([1], 1), result([2], 2), result([1], 3), result([], 4)] == [1, 2, 1, 4]


class TestFlight:
    def test_others_fly_after_a_result_was_not_stored(self, small: Cache) -> None:
        """A result that was too large turns single flight off for its own key only."""
        calls: list[int] = []
        waiting = threading.Semaphore(0)

        @plib_cache.cache(cache=small, version=1, max_bytes=1000)
        def function(x: int) -> bytes:
            calls.append(x)
            if x:
                assert not is_free(small, function.cache_key(x))
                waiting.release()
            return b"" if x else b"x" * 2000

        function(0)
        function(1)
        assert waiting.acquire(blocking=False)
        assert is_free(small, function.cache_key(0))
        assert calls == [0, 1]

    def test_interrupted_computation_gives_the_claim_back(self, small: Cache) -> None:
        """Nobody waits for one who was interrupted."""

        def interrupted() -> Any:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            small.get_or_compute("key", interrupted)
        assert is_free(small, b"key")

    def test_interrupt_right_after_the_claim(
        self, small: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The claim is given back though nobody has seen its token yet."""

        def interrupted(*_: Any) -> Any:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(core_names, "Claim", interrupted)
            with pytest.raises(KeyboardInterrupt):
                small.get_or_compute("key", lambda: 1)
        assert is_free(small, b"key")


class TestSentinels:
    def test_default_without_content(self, small: Cache) -> None:
        """A default that is ``object()`` is one argument; another ``object()`` is refused."""
        absent = object()

        @plib_cache.cache(cache=small)
        def function(x: int, a: Any = absent, *, b: Any = absent) -> Any:
            return [x, a is absent, b is absent]

        assert function(1) == function(1, absent) == function(1, b=absent) == [1, True, True]
        assert function.cache_info()[:2] == (2, 1)
        assert function(1, 2) == [1, False, True]
        with pytest.raises(UnhashableArgumentError, match="argument 'b'") as info:
            function(1, b=object())
        assert info.value.__suppress_context__

    def test_typed_by_place(self) -> None:
        """As ``functools.lru_cache`` takes it."""
        assert plib_cache.cache(128, False)(same).cache_parameters() == {
            "maxsize": 128,
            "typed": False,
        }
        for wrong in ((128, True, 1), (128, 1), (same, True)):
            with pytest.raises(TypeError, match="by name"):
                plib_cache.cache(*wrong)  # type: ignore[call-overload]

    def test_builtin_without_signature(self, small: Cache) -> None:
        """Its arguments count as they were given."""
        largest = plib_cache.cache(cache=small)(max)
        assert [largest(1, 2), largest(1, 2), largest([3, 1])] == [2, 2, 3]
        assert largest.cache_info()[:2] == (1, 2)


def test_who_computes_does_not_wait_for_ever(small: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that each compute what the other one wants next both end."""
    monkeypatch.setattr(_flight, "_NESTED_WAITS", 2)
    both = threading.Barrier(2)
    results: list[Any] = []

    def outer(mine: str, other: str) -> None:
        def compute() -> list[Any]:
            both.wait(30)
            return [mine, small.get_or_compute(other, lambda: "inner")]

        results.append(small.get_or_compute(mine, compute))

    threads = [threading.Thread(target=outer, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(result[0] for result in results) == ["a", "b"]
