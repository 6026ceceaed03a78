# SPDX-License-Identifier: BSD-3-Clause
"""What a ``Cache`` promises of its entries, over every serializer."""

from __future__ import annotations

import datetime
import math
from collections.abc import MutableMapping
from typing import Any

import pytest

from plib_cache import Cache

VALUES = [
    None, True, False, 0, 1, -1, 10**30, 1.5, -0.0, math.inf, "", "text", "\N{SNOWMAN}", b"", b"\0",
    b"x" * 100_000, "y" * 300_000, [1, [2, "3"]], (1, 2), {"a": {1, 2}}, bytearray(b"ab"),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),
]  # fmt: skip


class TestValues:
    @pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
    def test_read_equals_written(self, cache: Cache, value: Any) -> None:
        """A value comes back equal and of the same type."""
        cache["key"] = value
        for read in (cache["key"], cache.get("key"), cache.get_many(["key"])["key"]):
            assert read == value
            assert type(read) is type(value)

    def test_nan_and_negative_zero(self, cache: Cache) -> None:
        """The floats that compare oddly stay what they are."""
        cache.set_many({"nan": math.nan, "zero": -0.0})
        assert math.isnan(cache["nan"])
        assert math.copysign(1, cache["zero"]) == -1

    def test_copies(self, cache: Cache) -> None:
        """What is read may be changed without a change in the cache."""
        cache["list"] = [1]
        cache["list"].append(2)
        assert cache["list"] == [1]

    def test_arrays_are_writable_copies(self, cache: Cache) -> None:
        """Arrays of any size come back as arrays of one's own."""
        np = pytest.importorskip("numpy")
        for count in (3, 1000, 100_000):
            cache["array"] = np.arange(count)
            first, second = cache["array"], cache["array"]
            first[0] = 7
            assert (second == np.arange(count)).all()

    def test_replaced_by_other_sizes(self, cache: Cache) -> None:
        """A value may grow and shrink."""
        for length in (1, 70_000, 10, 300_000, 0):
            cache["key"] = b"z" * length
            assert cache["key"] == b"z" * length


class TestMapping:
    def test_is_a_mutable_mapping(self, cache: Cache) -> None:
        """It has the type and the words of a mapping."""
        assert isinstance(cache, MutableMapping)
        assert "contract" in repr(cache)
        assert not cache
        assert list(cache) == list(cache.items()) == list(cache.values()) == []

    def test_items(self, cache: Cache) -> None:
        """Setting, iterating and deleting."""
        cache["a"] = 1
        cache.update({"b": 2}, c=3)
        assert cache
        assert len(cache) == 3
        assert dict(cache) == dict(cache.items()) == {"a": 1, "b": 2, "c": 3}
        assert sorted(cache.values()) == [1, 2, 3]
        assert set(cache.keys()) == {"a", "b", "c"}
        assert ("a", 1) in cache.items()
        assert 3 in cache.values()
        del cache["a"]
        assert "a" not in cache
        assert "b" in cache

    def test_missing_keys(self, cache: Cache) -> None:
        """Absent keys raise KeyError, or give the default."""
        with pytest.raises(KeyError, match="nothing"):
            cache["nothing"]
        with pytest.raises(KeyError):
            del cache["nothing"]
        with pytest.raises(KeyError):
            cache.pop("nothing")
        with pytest.raises(KeyError):
            cache.popitem()
        assert cache.get("nothing") is None
        assert cache.get("nothing", 1) == cache.pop("nothing", 1) == 1
        assert cache.delete("nothing") is False

    def test_pop_and_setdefault(self, cache: Cache) -> None:
        """They do what dict's do."""
        assert cache.setdefault("a", 1) == 1
        assert cache.setdefault("a", 2) == 1
        assert cache.pop("a") == 1
        cache["b"] = None
        assert cache.popitem() == ("b", None)
        assert len(cache) == 0

    def test_keys_come_back_as_given(self, cache: Cache) -> None:
        """str and bytes of the same UTF-8 are one key; the last writer decides what it is."""
        cache["\N{SNOWMAN}"] = 1
        cache[b"\xff"] = 2
        assert set(cache) == {"\N{SNOWMAN}", b"\xff"}
        cache["\N{SNOWMAN}".encode()] = 3
        assert cache["\N{SNOWMAN}"] == 3
        assert set(cache) == {"\N{SNOWMAN}".encode(), b"\xff"}

    def test_longest_key(self, cache: Cache) -> None:
        """4096 bytes are a key."""
        cache["k" * 4096] = 1
        assert list(cache) == ["k" * 4096]

    def test_many_keys(self, cache: Cache) -> None:
        """len and iteration find all of many entries."""
        expected = {f"key-{i}": i for i in range(3000)}
        cache.set_many(expected)
        assert len(cache) == 3000
        assert dict(cache.items()) == expected

    def test_clear(self, cache: Cache) -> None:
        """After clear there is nothing, and new values stay."""
        cache.set_many({str(i): i for i in range(100)})
        cache.clear()
        assert len(cache) == 0
        assert list(cache) == []
        assert cache.get("1") is None
        cache["1"] = 2
        assert dict(cache) == {"1": 2}

    def test_identity(self, cache: Cache) -> None:
        """Caches are equal only to themselves, and can be keys."""
        with Cache(path=cache.path) as other:
            assert cache == cache
            assert cache != other
            assert len({cache, other}) == 2


class TestVerbs:
    def test_add_and_replace(self, cache: Cache) -> None:
        """add stores only what is absent, replace only what is there."""
        assert cache.replace("a", 0) is False
        assert cache.add("a", 1) is True
        assert cache.add("a", 2) is False
        assert cache.replace("a", 3) is True
        assert cache["a"] == 3

    def test_gets_and_cas(self, cache: Cache) -> None:
        """cas stores only in the place of the write that the token names."""
        assert cache.gets("a") is None
        cache["a"] = 1
        value, token = cache.gets("a") or (None, 0)
        assert value == 1
        assert cache.cas("a", 2, token) is True
        assert cache.cas("a", 3, token) is False
        assert cache["a"] == 2
        cache.delete("a")
        assert cache.cas("a", 4, token) is False
        assert "a" not in cache

    def test_append_and_prepend(self, native: Cache) -> None:
        """They extend bytes, small and large."""
        assert native.append("a", b"x") is False
        assert "a" not in native
        for middle in (b"b", b"b" * 100_000):
            native["a"] = middle
            assert native.append("a", b"c")
            assert native.prepend("a", b"a")
            assert native["a"] == b"a" + middle + b"c"

    def test_append_wants_bytes(self, native: Cache) -> None:
        """Anything else raises and changes nothing."""
        native["s"] = "str"
        with pytest.raises(TypeError, match="bytes"):
            native.append("s", b"x")
        native["b"] = b"bytes"
        with pytest.raises(TypeError, match="str"):
            native.append("b", "x")  # type: ignore[arg-type]
        assert (native["s"], native["b"]) == ("str", b"bytes")

    def test_incr_and_decr(self, native: Cache) -> None:
        """Counters wrap upwards and stop at 0 downwards, as memcached's do."""
        assert native.incr("n") is None
        native["n"] = 5
        assert native.incr("n") == 6
        assert native.incr("n", 10) == 16
        assert native.decr("n", 6) == 10
        assert native["n"] == 10
        assert type(native["n"]) is int
        assert native.decr("n", 100) == 0
        native["n"] = 2**64 - 1
        assert native.incr("n", 2) == 1

    def test_incr_keeps_the_type(self, native: Cache) -> None:
        """Digits in bytes or str are counted and stay what they are."""
        native["b"] = b"9"
        native["s"] = "99"
        assert native.incr("b") == 10
        assert native.incr("s") == 100
        assert (native["b"], native["s"]) == (b"10", "100")

    @pytest.mark.parametrize("value", [-1, 2**64, "x", "", 1.5, None, True, [1]])
    def test_incr_wants_a_number(self, native: Cache, value: Any) -> None:
        """What is no number from 0 to 2**64 - 1 raises and stays as it is."""
        native["n"] = value
        with pytest.raises(ValueError, match="number"):
            native.incr("n")
        assert native["n"] == value

    def test_many(self, cache: Cache) -> None:
        """Batches give what is there, whatever the sizes."""
        values = {"a": 1, b"b": b"x" * 200_000, "c": "y" * 40_000, "d": "z" * 40_000}
        cache.set_many(values)
        cache.set_many([("e", 5)])
        asked = ["a", b"b", "c", "d", "e", "missing"]
        assert cache.get_many(asked) == {**values, "e": 5}
        assert cache.get_many([]) == {}
        cache.set_many({})
        assert cache.delete_many(["a", "missing", "c"]) == 2
        assert cache.delete_many([]) == 0
        assert cache.get_many(iter(asked)).keys() == {b"b", "d", "e"}

    def test_flush_at(self, cache: Cache, eventually: Any) -> None:
        """A later flush takes what was written before its moment, then."""
        cache["a"] = 1
        cache.flush(3600)
        assert cache["a"] == 1
        cache.flush(0.3)
        eventually(lambda: "a" not in cache)
        cache.flush()
        assert len(cache) == 0


class TestExpiry:
    def soon(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=0.05)

    @pytest.mark.parametrize("form", ["seconds", "timedelta", "datetime"])
    def test_expires(self, cache: Cache, eventually: Any, form: str) -> None:
        """An entry goes when its time has come, in whatever form that was given."""
        soon: Any = {
            "seconds": 0.05,
            "timedelta": datetime.timedelta(milliseconds=50),
            "datetime": self.soon(),
        }[form]
        cache.set("a", 1, expire=soon)
        cache.set("b", 1, expire=3600)
        eventually(lambda: "a" not in cache)
        assert len(cache) == 1
        assert list(cache) == ["b"]

    @pytest.mark.parametrize("expire", [0, -1, -0.5, datetime.timedelta(0)])
    def test_gone_at_once(self, cache: Cache, expire: Any) -> None:
        """Zero or past is gone at once, also what was there before."""
        cache["a"] = 1
        cache.set("a", 2, expire=expire)
        assert "a" not in cache
        cache.add("b", 2, expire=expire)
        assert "b" not in cache

    def test_past_moment(self, cache: Cache) -> None:
        """A moment that has passed is gone at once."""
        cache.set("a", 1, expire=datetime.datetime(1960, 1, 1, tzinfo=datetime.timezone.utc))
        assert "a" not in cache

    def test_touch_and_gat(self, cache: Cache, eventually: Any) -> None:
        """Both give another deadline, to small and to large values."""
        for value in (b"small", b"large" * 20_000):
            assert cache.touch("none", 1) is False
            assert cache.gat("none", 1, default="d") == "d"
            cache["a"] = value
            assert cache.touch("a", 3600) is True
            assert cache.gat("a", None) == value
            assert cache.touch("a", 0.01) is True
            eventually(lambda: "a" not in cache)
            cache["a"] = value
            assert cache.gat("a", 0) == value
            assert "a" not in cache

    def test_add_in_place_of_the_expired(self, cache: Cache) -> None:
        """What has expired is absent for add and replace."""
        cache.set("a", 1, expire=0)
        assert cache.replace("a", 2) is False
        assert cache.add("a", 3) is True
        assert cache["a"] == 3


class TestInvalidation:
    def test_tags(self, cache: Cache) -> None:
        """Any of an entry's tags takes it."""
        cache.set("a", 1, tags=["x", "y"])
        cache.set("b", 2, tags=["y"])
        cache.set("c", 3)
        cache.invalidate_tag("x")
        assert set(cache) == {"b", "c"}
        cache.invalidate_tag("y")
        assert set(cache) == {"c"}
        cache.set("a", 4, tags=["x", "y"])
        assert cache["a"] == 4

    def test_namespaces(self, cache: Cache) -> None:
        """A namespace is another name than the tag that is spelled the same."""
        cache.set("a", 1, namespace="n")
        cache.add("b", 2, namespace="n", expire=3600)
        cache.set("c", 3, tags=["n"])
        cache.invalidate_namespace("n")
        assert set(cache) == {"c"}

    def test_counters_stay_in_their_namespace(self, native: Cache) -> None:
        """incr and append carry namespace and tags on."""
        native.set("n", 1, namespace="n")
        native.set("b", b"1", tags=["t"])
        native.incr("n")
        native.append("b", b"2")
        native.invalidate_namespace("n")
        native.invalidate_tag("t")
        assert len(native) == 0

    def test_get_or_compute(self, cache: Cache) -> None:
        """What is computed can be invalidated too."""
        assert cache.get_or_compute("a", lambda: 1, tags=["t"], namespace="n") == 1
        assert cache.get_or_compute("a", lambda: 2) == 1
        cache.invalidate_tag("t")
        assert cache.get_or_compute("a", lambda: 3) == 3
