# SPDX-License-Identifier: BSD-3-Clause
"""What went wrong once with caches, each with the smallest call that showed it."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import plib_cache
from plib_cache import (
    Cache,
    ConfigurationError,
    PlibCacheWarning,
    SerializationError,
    ValueTooLargeError,
    config,
)
from plib_cache._core import Terms
from plib_cache._core.failures import Facts, failure
from plib_cache._frame import build_frame


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
