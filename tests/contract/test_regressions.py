# SPDX-License-Identifier: BSD-3-Clause
"""What went wrong once, each with the smallest call that showed it."""

from __future__ import annotations

import errno
import functools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import plib_cache
from plib_cache import (
    Cache,
    ConfigurationError,
    PlibCacheWarning,
    SerializationError,
    UnhashableArgumentError,
    ValueTooLargeError,
    _flight,
    config,
)
from plib_cache._core import OK, Terms
from plib_cache._core import names as core_names
from plib_cache._core.failures import Facts, failure
from plib_cache._frame import build_frame


class Scaled:
    """A callable object around a function, as decorators written as classes are."""

    def __init__(self, function: Callable[[int], int], factor: int) -> None:
        functools.update_wrapper(self, function)
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.__wrapped__(x) * self.factor  # type: ignore[attr-defined, no-any-return]


def same(x: int) -> int:
    return x


def refuse() -> Any:
    raise ValueError("not again")


def exhaust(kind: type[Exception]) -> Any:
    raise kind


class NeverRebuilt:
    """Can be stored and not be read."""

    def __reduce__(self) -> Any:
        return refuse, ()


class NeedsTooMuch:
    """Can be stored, and is read only with more memory or time than there is."""

    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        return exhaust, (self.kind,)


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


class TestMapping:
    def test_setdefault_replaces_what_cannot_be_rebuilt(self) -> None:
        """It ends, with the default, where the value that is there cannot be read."""
        with Cache("lenient", size="8MiB") as cache:
            cache["key"] = NeverRebuilt()
            with pytest.warns(PlibCacheWarning, match="not again"):
                assert cache.setdefault("key", 5) == 5
            assert cache["key"] == 5

    def test_set_many_stores_each_once(self) -> None:
        """Also when the region has to grow in between."""
        with Cache("growing", size="128MiB") as cache:
            items = {f"key {i}": b"x" * 60_000 for i in range(1000)}
            cache.set_many(items)
            assert cache.stats().sets == len(items)
            assert len(cache) == len(items)

    def test_large_hits_count(self, small: Cache) -> None:
        """A result above 64 KiB that is found again is a hit like any other."""

        @plib_cache.cache(cache=small, version=1)
        def function() -> bytes:
            return b"x" * 100_000

        for _ in range(3):
            function()
        assert function.cache_info()[:2] == (2, 1)

    def test_tags_may_be_an_iterator(self, small: Cache) -> None:
        """They are read once and hold for every key and every call."""
        small.set_many({b"bytes": 1, "text": 2}, tags=iter(["tag"]))
        small.invalidate_tag("tag")
        assert len(small) == 0
        calls: list[int] = []

        @plib_cache.cache(cache=small, version=1, tags=iter(["tag"]))
        def function(x: int) -> None:
            calls.append(x)

        for x in (1, 1, 2, 2):
            function(x)
            small.invalidate_tag("tag")
        assert calls == [1, 1, 2, 2]

    def test_pop_takes_what_it_returns(self, small: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        """A value that is written between the look and the removal is not lost unread."""
        small["key"] = "old"
        load = small._load

        def load_while_others_write(found: Any) -> Any:
            value = load(found)
            if value == "old":
                small["key"] = "new"
            return value

        monkeypatch.setattr(small, "_load", load_while_others_write)
        assert small.pop("key") == "new"
        assert "key" not in small
        assert small.pop("key", None) is None

    def test_iteration_over_a_key_that_is_not_utf8(self, small: Cache) -> None:
        """A damaged key that is marked as text comes as bytes."""
        encoded = small._serializer.dumps(1)
        small._region.store(0, b"\xff", encoded, Terms(text=True))
        assert list(small) == [b"\xff"]
        assert list(small.items()) == [(b"\xff", 1)]

    @pytest.mark.parametrize("size", [1, 100_000])
    def test_gat_returns_what_it_touches(
        self, small: Cache, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        """There is no moment between the look and the touch; a large value is looked at again."""
        small["key"] = b"a" * size
        region, get_large = small._region, small._region._get_large

        def get_large_while_others_write(*args: Any) -> Any:
            if region.stats()["touches"] == 1:
                small["key"] = b"b" * size
            return get_large(*args)

        monkeypatch.setattr(region, "touch", refuse)
        monkeypatch.setattr(region, "_get_large", get_large_while_others_write)
        assert small.gat("key", 1000) == (b"a" if size == 1 else b"b") * size
        assert region.stats()["touches"] == (1 if size == 1 else 2)

    @pytest.mark.parametrize("size", [1, 100_000])
    def test_gat_into_the_past(self, small: Cache, size: int) -> None:
        """The value is returned once more, and then gone."""
        small["key"] = b"a" * size
        assert small.gat("key", 0) == b"a" * size
        assert small.gat("key", 0) is None

    def test_get_many_of_large_values(self, small: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        """What does not fit into the buffer is read by one more call, not by one for each key."""
        values = {f"key {i}": bytes([i]) * (40_000 + i) for i in range(9)}
        values["array"] = bytearray(b"y" * 70_001)  # type: ignore[assignment]
        small.set_many(values)
        monkeypatch.setattr(small._region, "get", refuse)
        assert small.get_many([*values, "missing"]) == values

    def test_get_many_of_what_grows_meanwhile(
        self, small: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What no longer fits at the second look is read by itself."""
        small.set_many({"a": b"a" * 70_000, "b": b"b" * 70_000})
        read_many = small._region._read_many

        def read_many_while_others_write(*args: Any) -> Any:
            found = read_many(*args)
            small["b"] = b"c" * 90_000
            return found

        monkeypatch.setattr(small._region, "_read_many", read_many_while_others_write)
        general = getattr(small, "_general_get_many", small.get_many)  # what cffi does
        assert general(["b", "a"]) == {"a": b"a" * 70_000, "b": b"c" * 90_000}

    @pytest.mark.parametrize("keys", ["key", b"key"])
    def test_one_key_is_not_several(self, small: Cache, keys: Any) -> None:
        """A str in the place of a list of keys is a mistake that is named."""
        for call in (small.get_many, small.delete_many):
            with pytest.raises(TypeError, match=r"is one key: give a list of keys"):
                call(keys)


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


class TestReading:
    def test_pickled_cache_keeps_its_trust(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the environment of the reader says."""
        monkeypatch.setenv("PLIB_CACHE_TRUST", "data")
        with Cache("trusting", size="8MiB") as cache:
            stored = pickle.dumps(cache)
            monkeypatch.delenv("PLIB_CACHE_TRUST")
            with pickle.loads(stored) as again, pytest.raises(SerializationError, match="plain"):
                again["key"] = NeverRebuilt()

    @pytest.mark.parametrize("kind", [MemoryError, TimeoutError])
    def test_want_of_memory_or_time_is_no_damage(self, small: Cache, kind: type[Exception]) -> None:
        """It passes through: the value may be readable the next time."""
        small["key"] = NeedsTooMuch(kind)
        with pytest.raises(kind):
            small.get("key")

    def test_the_message_says_that_the_class_raised(self, small: Cache) -> None:
        """So that nobody looks for damage where a class is at fault."""
        small["key"] = NeverRebuilt()
        with pytest.raises(SerializationError, match=r"its class .* raised ValueError: not again"):
            small.get("key")

    @pytest.mark.parametrize(
        "deep",
        [
            b")" + b"\x85" * 200_000,
            b"(" * 20_000 + b"t" * 20_000,
            b")q\x00" + b"0h\x00\x85q\x00" * 20_000,
            b")\x94" + b"N\x86\x94" * 20_000,
            b"(" * 20_000 + b")" + b"\x91" * 20_000,
        ],
    )
    @pytest.mark.parametrize("around", [(b"", b""), (b"}", b"Ns"), (b"(", b"\x91")])
    def test_tuples_nested_without_end(self, deep: bytes, around: tuple[bytes, bytes]) -> None:
        """Plain data whose hash would use up the C stack is refused before it is made."""
        encoded = build_frame(10, around[0] + deep + around[1] + b".", [])
        data = memoryview(bytearray(b"".join(encoded.parts)))
        with pytest.raises(SerializationError, match="nested more than 10000 deep"):
            plib_cache.serialize.DefaultSerializer("data").loads(10, data)

    def test_many_tuples_are_not_deep(self) -> None:
        """Plain data may hold as many as it likes beside one another."""
        value = {"pairs": [(i, (str(i), frozenset({i}))) for i in range(6000)], "t": "t" * 20_000}
        with Cache("plain", size="8MiB", trust="data", strict=True) as cache:
            cache["key"] = value
            assert cache["key"] == value


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


class TestOptions:
    def test_empty_binding_is_unset(self, python: Callable[..., str]) -> None:
        """As it is for the other variables."""
        source = "from plib_cache._core import binding; print(binding())"
        assert python(source, PLIB_CACHE_BINDING="") == "fast\n"

    @pytest.mark.parametrize("size", ["16\N{KELVIN SIGN}", "\N{NO-BREAK SPACE}16MiB", True, 16e6])
    def test_no_size(self, size: Any) -> None:
        """Only ASCII letters and spaces are known."""
        with pytest.raises(ConfigurationError, match="is no size"):
            config.parse_size(size)

    def test_numbers_of_numpy(self) -> None:
        """They are whole numbers like any other."""
        np = pytest.importorskip("numpy")
        size, entry = np.int64(8 << 20), np.uint16(100)
        with Cache("numbers", size=size, expected_entry=entry) as cache:
            assert cache.info().size == 8 << 20

    def test_expire_far_below_zero(self, small: Cache) -> None:
        """It has passed, however far; what is too far ahead is refused."""
        small.set("key", 1, expire=-(10**400))
        assert "key" not in small
        with pytest.raises(ValueError, match="None for never"):
            small.set("key", 1, expire=10**400)

    def test_long_names(self, small: Cache) -> None:
        """The message says how long a name may be."""
        small.set("key", 1, namespace="n" * 4094, tags=["t" * 4094])
        for options in ({"namespace": "n" * 4095}, {"tags": ["t" * 4095]}):
            with pytest.raises(ValueError, match="at most 4094 bytes, this one has 4095"):
                small.set("key", 1, **options)  # type: ignore[arg-type]

    def test_append_beyond_the_limit(self, small: Cache) -> None:
        """The message speaks of the whole value, not of the piece."""
        most = small.info().value_max
        small["key"] = b"x" * (most - 10)
        for extend in (small.append, small.prepend):
            with pytest.raises(ValueTooLargeError, match="with 20 bytes more the value would be"):
                extend("key", b"y" * 20)

    def test_folder_that_is_a_file(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message names the variable."""
        (tmp_path / "file").touch()
        monkeypatch.setenv("PLIB_CACHE_DIR", str(tmp_path / "file"))
        with pytest.raises(ConfigurationError, match="PLIB_CACHE_DIR=.* is a file"):
            Cache("any")

    def test_folder_that_stays_locked(self) -> None:
        """The message says who may be at fault."""
        error = failure("SYSTEM", Facts(path="/folder/region", errno=errno.EAGAIN))
        assert "another process holds the folder's lock" in str(error)
