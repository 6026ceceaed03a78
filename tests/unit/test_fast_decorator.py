"""The hot path in C of decorated functions: the same keys, counts and answers as in Python."""

from __future__ import annotations

import gc
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

import plib_cache
from plib_cache import Cache, PlibCacheWarning
from plib_cache._core import SET, Terms
from plib_cache._costs import cost_us
from plib_cache._frame import Encoded
from plib_cache._memo import Missed
from plib_cache.exceptions import SerializationError

from .hot import Whole, answer, memo_of, must_be_there

must_be_there()


class TestDecorator:
    def test_same_key(self) -> None:
        """The key in C is the key in Python: what one stored the other finds."""

        @plib_cache.cache
        def f(a: Any, b: Any = 2, *rest: Any, c: Any = None, **more: Any) -> Any:
            return repr((a, b, rest, c, more))

        memo = memo_of(f)
        calls: list[tuple[Any, Any]] = [
            ((1,), {}), ((1, 2), {}), ((), {"a": 1}), ((1, 2, 3, 4), {"c": 5, "z": 6}),
            (("ä", b"x"), {"c": (1, (2,))}), ((math.nan,), {}), (([1, 2],), {}), ((-0.0,), {}),
            ((10**50,), {}), (("x" * 5000,), {}), (({"a": 1},), {}),
        ]  # fmt: skip
        for args, kwargs in calls:
            missed = memo.seek(args, kwargs)
            assert type(missed) in (Missed, str)  # f(1), f(1, 2) and f(a=1) are one call
            if type(missed) is Missed:
                assert missed == f.cache_key(*args, **kwargs)
            value = f(*args, **kwargs)
            assert memo.seek(args, kwargs) == value
            assert memo._seek(args, kwargs) == value

    def test_counts(self) -> None:
        """Every call counts once, however it was answered."""

        @plib_cache.cache
        def f(a: Any, b: int = 0) -> Any:
            return a

        for argument in (1, "x", (1, 2), [1], None, b"z" * 30_000, {"k": [1]}):
            f.cache_clear()
            for n in range(1, 5):
                assert f(argument) == argument
                assert f.cache_info()[:2] == (n - 1, 1)

    def test_saved_time(self) -> None:
        """What hits saved is that of the general path, reported or not."""

        @plib_cache.cache
        def f(a: int) -> int:
            return a

        f(0)
        memo = memo_of(f)
        for cost in (8, 100, 255):
            key = f.cache_key(cost)
            terms = Terms(name=memo.home().name, cost=cost)
            memo.home().region.store(SET, key, Encoded(2, [b"1"], 1), terms)
        for cost, hits in ((8, 3000), (100, 7), (255, 3)):
            before = f.saved_seconds()
            for _ in range(hits):
                f(cost)
            expected = hits * cost_us(cost) / 1e6
            assert f.saved_seconds() - before == pytest.approx(expected, rel=1e-2, abs=3e-6)

    def test_wrong_calls(self) -> None:
        """They raise what the function itself raises."""

        @plib_cache.cache
        def f(a: int, b: int = 0) -> int:
            return a

        g = f.__wrapped__
        f(1)
        f(1, 2)
        wrong: list[tuple[Any, Any]] = [
            ((), {}), ((1, 2, 3), {}), ((1,), {"c": 2}), ((1,), {"a": 2}), ((1, 2), {"c": 2}),
        ]  # fmt: skip
        for args, kwargs in wrong:
            ours, its = answer(f, *args, **kwargs), answer(g, *args, **kwargs)
            assert ours[0][:2] == its[0][:2]

    def test_closed_and_opened_again(self) -> None:
        """Where the cache went, the function goes on; where it comes again, too."""
        cache = Cache("own", size="8MiB")

        @plib_cache.cache(cache=cache)
        def f(a: int) -> int:
            return a

        @plib_cache.cache
        def g(a: int) -> int:
            return a

        assert (f(1), f(1), g(1), g(1)) == (1, 1, 1, 1)
        cache.close()
        with pytest.warns(PlibCacheWarning, match="closed"):
            assert f(1) == 1
        plib_cache.get_cache().close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert [g(1) for _ in range(3)] == [1, 1, 1]
        assert g.cache_info().hits >= 2

    def test_damaged(self) -> None:
        """A result that cannot be read is computed again, with one warning."""

        @plib_cache.cache
        def f(a: int) -> int:
            return a

        assert f(1) == 1
        memo = memo_of(f)
        terms = Terms(name=memo.home().name)
        for broken in (Encoded(2, [b"x"], 1), Encoded(8, [b"x"], 1)):
            memo._warned = False
            memo.home().region.store(SET, f.cache_key(1), broken, terms)
            with pytest.warns(PlibCacheWarning, match="damaged"):
                assert f(1) == 1
            assert f(1) == 1

    def test_trust(self) -> None:
        """Another serializer than the cache's is asked."""

        @plib_cache.cache(strict=True, trust="data")
        def f(a: int) -> int:
            return a

        assert f(1) == 1
        memo = memo_of(f)
        encoded = plib_cache.serialize.default_serializer().dumps(Whole(3))
        memo.home().region.store(SET, f.cache_key(1), encoded, Terms(name=memo.home().name))
        with pytest.raises(SerializationError, match="trust"):
            f(1)

    def test_by_value(self, python: Callable[..., str]) -> None:
        """A function that is sent by value finds its results there, with either binding."""

        @plib_cache.cache(version=1, cache="sent")
        def f(a: int) -> int:
            return a + 1

        assert f(1) == 2
        sent = cloudpickle.dumps(f)
        assert pickle.loads(sent)(1) == 2
        source = f"import pickle; f = pickle.loads({sent!r}); print(f(1), f(2), f(2))"
        assert python(source) == "2 3 3\n"
        assert f.cache_info().hits >= 2

    def test_garbage(self) -> None:
        """A function that nobody knows any more goes, with all that it has."""

        @plib_cache.cache
        def f(a: int) -> int:
            return a

        f(1)
        gone = __import__("weakref").ref(memo_of(f))
        del f
        gc.collect()
        assert gone() is None
