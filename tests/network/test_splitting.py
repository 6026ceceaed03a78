# SPDX-License-Identifier: BSD-3-Clause
"""Values over the servers' item limit: in verified parts, or kept on the node."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plib_cache import Cache
from plib_cache.remote.signing import OVERHEAD

from . import servers
from .test_signing import counts
from .test_tiers_contract import DictTier

Start = Callable[..., servers.Running]
Node = Callable[..., Cache]


class SmallTier(DictTier):
    """A tier that takes items of 1,000 bytes."""

    item_max = 1000

    def set_many(self, parcels: Any) -> list[bytes]:
        assert all(len(parcel.payload) <= self.item_max for parcel in parcels)
        return super().set_many(parcels)


@pytest.mark.parametrize("kind", ["memcached", "redis"])
@pytest.mark.parametrize("key", [None, "a key of all nodes that is long"])
def test_large_values_arrive(
    start: Start, node: Node, kind: str, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key is not None:
        monkeypatch.setenv("PLIB_CACHE_KEY", key)
    url = start(kind).url
    one, other = node("one", url), node("other", url)
    array = np.random.default_rng(1).integers(0, 255, 5_000_000, dtype=np.uint8)
    one["array"] = array
    one["bytes"] = b"x" * (3 << 20)
    assert one.wait_remote(30)
    assert np.array_equal(other["array"], array)
    assert other["bytes"] == b"x" * (3 << 20)
    assert counts(one).dropped == counts(one).refused == 0


SIZES = [0, 1, 999 - OVERHEAD, 1000 - OVERHEAD, 1001 - OVERHEAD, 1000, 5000, 40_000]


@pytest.mark.parametrize("nbytes", SIZES)
def test_every_size(node: Node, nbytes: int) -> None:
    tier, value = SmallTier(), os.urandom(nbytes)
    one = node("one", tier)
    one["k"] = value
    assert one.wait_remote(30)
    assert node("other", tier)["k"] == value


def test_the_list_has_to_fit_too(node: Node) -> None:
    one = node("one", SmallTier())
    one["k"] = bytes(100_000)
    assert one.wait_remote(30)
    assert counts(one).kept_local == 1


def in_parts(node: Node) -> tuple[SmallTier, bytes]:
    """A value in parts, in a tier."""
    tier, value = SmallTier(), os.urandom(5000)
    one = node("one", tier)
    one["k"] = value
    assert one.wait_remote(30)
    assert len(tier.held) > 5
    return tier, value


def test_a_part_is_missing(node: Node) -> None:
    tier, _ = in_parts(node)
    del tier.held[next(name for name in tier.held if name != b"k")]
    other = node("other", tier)
    assert other.get("k") is None
    assert counts(other).parts_missing == 1


def test_a_part_was_changed(node: Node, signed: None) -> None:
    """Each byte of each part is verified by the list, which is signed."""
    tier, value = in_parts(node)
    other = node("other", tier)
    for name in [name for name in tier.held if name != b"k"]:
        good = tier.held[name]
        for bad in (good[0][:-1] + bytes([good[0][-1] ^ 1]), good[0][1:], good[0] + b"x"):
            tier.held[name] = bad, None
            assert other.get("k") is None
        tier.held[name] = good
    assert counts(other).damaged == 3 * (len(tier.held) - 1)
    assert other["k"] == value


def test_parts_of_two_writes_do_not_mix(node: Node) -> None:
    tier, _ = in_parts(node)
    old = dict(tier.held)
    one = node("one", tier)
    one["k"] = b"n" * 5000
    one.wait_remote(30)
    new_list = tier.held[b"k"]
    tier.held.clear()
    tier.held.update(old)
    tier.held[b"k"] = new_list
    assert node("other", tier).get("k") is None


def test_a_list_that_claims_too_much(node: Node, signed: None) -> None:
    """A value of more than value_max is not put together."""
    tier, _ = in_parts(node)
    other = node("other", tier)
    stack: Any = other._tiers
    object.__setattr__(stack._stack.rules, "value_max", 4999)
    assert other.get("k") is None
    assert counts(other).damaged == 1


def test_kept_local_by_option(start: Start, node: Node) -> None:
    url = start("memcached").url + "&large=local"
    one, other = node("one", url), node("other", url)
    one["k"] = "old"
    one["small"] = b"x" * 1000
    one["k"] = b"x" * (2 << 20)
    assert one.wait_remote(30)
    assert counts(one).kept_local == 1
    assert other.get("k") is None  # nor the old value
    assert other["small"] == b"x" * 1000
    assert len(one["k"]) == 2 << 20


def test_kept_local_beyond_value_max(start: Start, node: Node) -> None:
    one = node("one", start("memcached").url + "&value_max=2MiB")
    one["k"] = b"x" * (3 << 20)
    assert one.wait_remote(30)
    assert counts(one).kept_local == 1


def test_a_server_that_takes_less(start: Start, node: Node) -> None:
    """One item that it refuses is dropped; its neighbours arrive, and it is not left alone."""
    url = start("memcached", "-I", "256k", "-o", "slab_chunk_max=131072").url
    one, other = node("one", url), node("other", url)
    one.set_many({"small": 1, "large": b"x" * 800_000, "smaller": 2})
    assert one.wait_remote(30)
    assert other.get_many(["small", "large", "smaller"]) == {"small": 1, "smaller": 2}
    assert counts(one).refused >= 1
    assert counts(one).circuits_opened == 0
    third = node("third", url + "&item_max=256k")
    third["large"] = b"x" * 800_000
    assert third.wait_remote(30)
    assert node("fourth", url + "&item_max=256k")["large"] == b"x" * 800_000
