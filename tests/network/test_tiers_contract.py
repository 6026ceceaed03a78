# SPDX-License-Identifier: BSD-3-Clause
"""What every tier does, and what a cache with tiers does: over memcached, redis and dask.

What is not asked of every kind, and why:

- Prefixes, and ``write=`` in a URL: dask's tier has no URL.  A cluster is a name space of its own,
  and ``write=`` is also an argument of the cache, which is asked of all.
- A cache that is pickled: one with dask's tier can be read in a worker only, which
  ``clusters/test_nodes.py`` holds.
- Claims (``test_remote_flight.py``): of memcached alone.  The others offer none, so two of their
  nodes may compute the same; dask's scheduler gives a task to one worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plib_cache import Cache
from plib_cache.remote.counts import Counts
from plib_cache.remote.open import _layer
from plib_cache.remote.options import parse
from plib_cache.tiers import Parcel, Tier

from . import servers

Start = Callable[..., servers.Running]
Node = Callable[..., Cache]
KINDS = ["memcached", "redis"]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, start: Start) -> str:
    """Of the kinds that have one."""
    return start(request.param).url


@pytest.fixture(params=[*KINDS, "dask"])
def remote(request: pytest.FixtureRequest, start: Start) -> Any:
    """What nodes share; for ``node``."""
    if request.param == "dask":
        return request.getfixturevalue("dask_tier")
    return start(request.param).url


@pytest.fixture(params=[*KINDS, "memcached x 3", "dask", "dict"])
def tier(request: pytest.FixtureRequest, start: Start) -> Tier:
    """Each kind of tier; whoever writes another one adds it here."""
    if request.param == "dict":
        return DictTier()
    if request.param == "dask":
        one: Tier = request.getfixturevalue("dask_tier")()
        return one
    if request.param.endswith("x 3"):
        hosts = [start("memcached").where for _ in range(3)]
        (place,) = parse(
            "memcached://" + ",".join("unix:" + host for host in hosts) + servers.PATIENT
        )
    else:
        (place,) = parse(start(request.param).url)
    return _layer(place, Counts()).tier


class DictTier(Tier):
    """A tier as a user may write one."""

    name = "dict"

    def __init__(self) -> None:
        self.held: dict[bytes, tuple[bytes, float | None]] = {}
        self.requests = 0

    def get_many(self, keys: Any) -> dict[bytes, bytes]:
        self.requests += 1
        found = {key: self.held[key] for key in keys if key in self.held}
        return {key: one for key, (one, until) in found.items() if not _past(until)}

    def set_many(self, parcels: Any) -> list[bytes]:
        for key, payload, seconds in parcels:
            self.held[key] = payload, None if seconds is None else time.monotonic() + seconds
        return []

    def delete_many(self, keys: Any) -> list[bytes]:
        for key in keys:
            self.held.pop(key, None)
        return []

    def clear(self) -> bool:
        self.held.clear()
        return True


def _past(until: float | None) -> bool:
    return until is not None and until <= time.monotonic()


class TestTier:
    """The protocol."""

    def test_set_get_delete(self, tier: Tier) -> None:
        assert tier.get(b"k") is None
        assert not tier.set_many([Parcel(b"k", b"\0\r\nv", None), Parcel(b"l", b"", 60)])
        assert tier.get(b"k") == b"\0\r\nv"
        assert not tier.delete_many([b"k", b"absent"])
        assert tier.get(b"k") is None
        tier.close()

    def test_many(self, tier: Tier) -> None:
        keys = [b"key-%d" % i for i in range(200)]
        assert not tier.set_many([Parcel(key, key * 3, 60) for key in keys])
        assert tier.get_many([*keys, b"absent"]) == {key: key * 3 for key in keys}
        assert not tier.delete_many(keys[:100])
        assert set(tier.get_many(keys)) == set(keys[100:])
        assert tier.get_many([]) == {}
        tier.close()

    def test_it_may_forget_when_told(self, tier: Tier, eventually: Any) -> None:
        tier.set_many([Parcel(b"short", b"v", 0.5), Parcel(b"long", b"v", 3600)])
        eventually(lambda: tier.get(b"short") is None)
        assert tier.get(b"long") == b"v"
        tier.close()

    def test_names_of_any_form(self, tier: Tier) -> None:
        name = bytes(range(33, 127)) * 2
        assert not tier.set_many([Parcel(name, b"v", None)])
        assert tier.get(name) == b"v"
        tier.close()

    def test_clear(self, tier: Tier) -> None:
        keys = [b"key-%d" % i for i in range(50)]  # of all servers
        assert not tier.set_many([Parcel(key, b"v", None) for key in keys])
        assert tier.clear()
        assert tier.get_many(keys) == {}
        tier.close()


VALUES = [
    b"bytes", "str \u00fc\ud800", 5, 2**70, -1.5, True, None, bytearray(b"x"),
    [1, {"a": (2, None)}], np.arange(1000.0).reshape(10, 100), {1, 2},
]  # fmt: skip


class TestReading:
    """Local first, then the tiers."""

    @pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
    def test_another_node_finds_it(self, remote: Any, node: Node, value: Any) -> None:
        one, other = node("one", remote), node("other", remote)
        one.set("k", value)
        assert one.wait_remote(30)
        found = other.get("k")
        assert type(found) is type(value)
        assert np.array_equal(found, value) if isinstance(value, np.ndarray) else found == value
        counts = other.stats().remote
        assert counts is not None
        assert (counts.hits, counts.promoted, counts.misses) == (1, 1, 0)

    def test_it_is_promoted(self, remote: Any, node: Node) -> None:
        """A second read does not ask the tier."""
        one, other = node("one", remote), node("other", remote)
        one["k"] = [1]
        one.wait_remote(30)
        assert other["k"] == other["k"] == [1]
        assert other.stats().remote.hits == 1  # type: ignore[union-attr]
        assert dict(other.items()) == {"k": [1]}

    def test_with_what_is_left_of_its_lifetime(
        self, remote: Any, node: Node, eventually: Any
    ) -> None:
        one, other = node("one", remote), node("other", remote)
        one.set("short", 1, expire=3)
        one.set("long", 1, expire=3600)
        one.wait_remote(30)
        if other.get("short") is not None:  # else this machine was very slow
            eventually(lambda: "short" not in list(other))
        assert other.get("long") == 1
        assert other.get("short") is None

    def test_every_way_to_read(self, remote: Any, node: Node) -> None:
        one, value = node("one", remote), np.arange(20_000)
        for key in "abcdefghi":
            one[key] = value
        one.wait_remote(30)
        other = node("other", remote)
        assert (other["a"] == value).all()
        assert "b" in other
        assert "z" not in other
        array = other.get("c", copy=False)
        assert (array == value).all()
        assert not array.flags.writeable
        writable = other.get("c", copy=True)
        assert writable.flags.writeable
        assert (np.frombuffer(other.view("d"), dtype=value.dtype) == value).all()
        assert (other.pop("e") == value).all()
        assert (other.setdefault("f", 0) == value).all()
        found = other.gets("g")
        assert found is not None
        assert (found[0] == value).all()
        assert (other.gat("h", 60) == value).all()
        assert (other.get_or_compute("i", lambda: 0) == value).all()
        with pytest.raises(KeyError):
            other["z"]
        with pytest.raises(KeyError):
            other.view("z")

    def test_many_in_one_request(self, node: Node) -> None:
        tier = DictTier()
        one = node("one", tier)
        one.set_many({f"k{i}": i for i in range(50)})
        one.wait_remote(30)
        other = node("other", tier)
        tier.requests = 0
        assert other.get_many([f"k{i}" for i in range(60)]) == {f"k{i}": i for i in range(50)}
        assert tier.requests == 1
        assert other.get_many(["k1", b"k1", "k2"]) == {"k1": 1, b"k1": 1, "k2": 2}
        assert tier.requests == 1

    def test_keys_of_any_form(self, remote: Any, node: Node) -> None:
        keys = ["a b", "\u00fc", b"\0\xff", "x" * 4000, "plc:x", "x" * 250, "x" * 251]
        one, other = node("one", remote), node("other", remote)
        one.set_many({key: str(key) for key in keys})
        one.wait_remote(30)
        assert other.get_many(keys) == {key: str(key) for key in keys}
        assert other.stats().remote.hits == len(keys)  # type: ignore[union-attr]

    def test_tiers_in_order(self, node: Node) -> None:
        """What a later tier has goes to the earlier ones."""
        near, far = DictTier(), DictTier()
        one = node("one", far)
        one["k"] = 1
        assert one.wait_remote(30)
        other = node("other", [near, far])
        assert other["k"] == 1
        other.wait_remote(30)
        assert near.held.keys() == far.held.keys() == {b"k"}


class TestWriting:
    """To all tiers, in the background or at once."""

    @pytest.mark.parametrize("write", ["queue", "sync"])
    def test_delete_and_replace(self, remote: Any, node: Node, write: str) -> None:
        one, other = node("one", remote, write=write), node("other", remote)
        one["k"] = 1
        one["l"] = 1
        one["k"] = 2
        assert one.delete("l")
        assert one.stats().remote.pending == 0 or write == "queue"  # type: ignore[union-attr]
        one.wait_remote(30)
        assert other.get("k") == 2
        assert other.get("l") is None

    def test_sync_waits(self, remote: Any, node: Node) -> None:
        one, other = node("one", remote, write="sync"), node("other", remote)
        for i in range(20):
            one["k"] = i
            assert other.get("k") == i
            other._region.delete(b"k")

    def test_sync_in_a_url(self, url: str, node: Node) -> None:
        one, other = node("one", url + "&write=sync"), node("other", url)
        for i in range(20):
            one["k"] = i
            assert other.get("k") == i
            other._region.delete(b"k")

    def test_delete_many(self, remote: Any, node: Node) -> None:
        one, other = node("one", remote), node("other", remote)
        one.set_many({"a": 1, "b": 2, "c": 3})
        assert one.delete_many(["a", "b"]) == 2
        one.wait_remote(30)
        assert other.get_many("abc".split() + ["a", "b", "c"]) == {"c": 3}

    def test_a_deleted_key_does_not_come_back(self, remote: Any, node: Node) -> None:
        one = node("one", remote)
        for _ in range(50):
            one["k"] = 1
            one.wait_remote(30)
            del one["k"]
            assert one.get("k") is None
        with pytest.raises(KeyError):
            del one["k"]

    def test_del_of_what_another_node_stored(self, remote: Any, node: Node) -> None:
        one, other = node("one", remote), node("other", remote)
        one["k"] = 1
        one.wait_remote(30)
        del other["k"]
        other.wait_remote(30)
        one._region.delete(b"k")
        assert one.get("k") is None

    def test_verbs_see_what_tiers_have(self, remote: Any, node: Node) -> None:
        one = node("one", remote)
        one.set_many({"add": 1, "replace": 1, "n": 5, "m": 5, "s": b"x", "p": b"x", "t": 1})
        one.wait_remote(30)
        other = node("other", remote)
        assert not other.add("add", 2)
        assert other.replace("replace", 2)
        assert not other.replace("absent", 2)
        assert other.incr("n", 2) == 7
        assert other.decr("m") == 4
        assert other.append("s", b"y")
        assert other.prepend("p", b"y")
        assert other.touch("t", 60)
        assert other.add("new", 1)
        other.wait_remote(30)
        third = node("third", remote)
        assert third.get_many(["add", "replace", "new"]) == {"add": 1, "replace": 2, "new": 1}
        assert third.get_many(["n", "m", "s", "p", "t"]) == {}  # no old value of what was changed

    def test_cas(self, remote: Any, node: Node) -> None:
        one = node("one", remote)
        one["k"] = 1
        found = one.gets("k")
        assert found is not None
        assert one.cas("k", 2, found[1])
        assert not one.cas("k", 3, found[1])
        one.wait_remote(30)
        assert node("other", remote).get("k") == 2

    def test_reserved(self, remote: Any, node: Node) -> None:
        one = node("one", remote)
        one["k"] = b"old"
        one.wait_remote(30)
        with one.reserve("k", 5) as room:
            room.buffer[:] = b"newer"
        one.wait_remote(30)
        assert one.get("k") == b"newer"
        assert node("other", remote).get("k") is None

    def test_clear_is_local_unless_told(self, remote: Any, node: Node) -> None:
        one, other = node("one", remote), node("other", remote)
        one["k"] = 1
        one.wait_remote(30)
        one.clear()
        assert len(one) == 0
        assert one["k"] == 1
        one.clear(remote=True)
        assert one.get("k") is None
        assert other.get("k") is None

    def test_what_can_be_invalidated_stays_here(self, remote: Any, node: Node) -> None:
        """No invalidation would reach it elsewhere; and what was there before is removed."""
        one, other = node("one", remote), node("other", remote)
        one["k"] = "old"
        one.wait_remote(30)
        one.set("k", "tagged", tags=["t"])
        one.set_many({"l": 1}, namespace="n")
        assert one.get_or_compute("m", lambda: 1, tags=["t"]) == 1
        one.wait_remote(30)
        assert other.get_many(["k", "l", "m"]) == {}
        one.invalidate_tag("t")
        assert one.get("k") is None

    def test_immutable_entries_go_out_with_their_tags(self, remote: Any, node: Node) -> None:
        one, other = node("one", remote, immutable=True), node("other", remote, immutable=True)
        one.set("k", 1, tags=["t"], namespace="n")
        one.wait_remote(30)
        assert other["k"] == 1

    def test_prefixes_keep_apart(self, url: str, node: Node) -> None:
        one, other = node("one", url + "&prefix=a:"), node("other", url + "&prefix=b:")
        one["k"] = 1
        one.wait_remote(30)
        assert other.get("k") is None
        if not url.startswith("memcached"):
            other["k"] = 2
            other.wait_remote(30)
            other.clear(remote=True)
            assert node("third", url + "&prefix=a:").get("k") == 1
            assert node("fourth", url + "&prefix=b:").get("k") is None

    def test_promote_bounds_the_copies_here(self, node: Node, eventually: Any) -> None:
        tier = DictTier()
        one = node("one", tier)
        one["k"] = 1
        one.wait_remote(30)
        other = node("other", tier)
        stack: Any = other._tiers
        object.__setattr__(stack._stack.rules, "promote", 0.0)
        assert other["k"] == 1
        assert len(other) == 0

    def test_pickled(self, url: str, node: Node) -> None:
        import pickle

        one = node("one", url, write="sync")
        with pickle.loads(pickle.dumps(one)) as again:
            again["k"] = 1
        assert node("other", url).get("k") == 1
