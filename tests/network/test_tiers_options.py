# SPDX-License-Identifier: BSD-3-Clause
"""What ``remote=`` may be, and what a cache without it is: nothing of any kind of tier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plib_cache import Cache, ConfigurationError
from plib_cache.remote.options import parse

from .test_tiers_contract import DictTier

Node = Callable[..., Cache]


class TestOptions:
    """What remote= may be."""

    @pytest.mark.parametrize(
        "remote",
        [
            "host", "http://host", "memcached://", "memcached://host:0", "memcached://host:x",
            "memcached://a,,b", "memcached://user:pw@host", "memcached://host/3", [], [3], 3,
            "memcached://host?nonsense=1", "memcached://host?timeout=0", "memcached://host?ca=/no",
            "memcached://host?item_max=1", "memcached://host?prefix=a b", "redis://host/x",
            "memcached://host?write=never", "memcached://host;nonsense",
        ],
        ids=repr,
    )  # fmt: skip
    def test_nonsense(self, remote: Any) -> None:
        with pytest.raises(ConfigurationError, match="remote="):
            Cache("x", remote=remote)

    def test_secrets_are_not_told(self) -> None:
        with pytest.raises(ConfigurationError) as told:
            Cache("x", remote="redis://user:secret@host?nonsense=1")
        assert "secret" not in str(told.value)
        (place,) = parse("redis://user:secret@host/3")
        assert "secret" not in repr(place)

    def test_addresses(self) -> None:
        (one,) = parse("memcached://a,b:1,[::1]:2,unix:/run/x?timeout=0.5&max_age=never")
        assert [str(at) for at in one.addresses] == ["a:11211", "b:1", "[::1]:2", "/run/x"]  # type: ignore[union-attr]
        assert (one.timeout, one.max_age) == (0.5, None)  # type: ignore[union-attr]
        two = parse(["memcacheds://a", "valkey:///run/v;rediss://h:1/2"])
        assert [(x.kind, x.tls, x.database) for x in two] == [  # type: ignore[union-attr]
            ("memcached", True, 0), ("redis", False, 0), ("redis", True, 2),
        ]  # fmt: skip

    def test_write_needs_remote(self) -> None:
        with pytest.raises(ConfigurationError, match="write="):
            Cache("x", write="sync")
        with pytest.raises(ConfigurationError, match="write="):
            Cache("x", remote=DictTier(), write="never")

    def test_a_subclass_says_what_to_derive_from(self) -> None:
        class Mine(Cache):
            pass

        with pytest.raises(ConfigurationError, match="RemoteCache"):
            Mine("x", remote=DictTier())

    def test_without_remote_there_is_nothing_of_it(self) -> None:
        with Cache("x", size="8MiB") as cache:
            assert type(cache) is Cache
            assert cache.stats().remote is None
            assert cache.wait_remote()
            with pytest.raises(ConfigurationError, match="remote="):
                cache.clear(remote=True)
            assert "remote" not in cache.stats().as_dict()

    def test_counts_as_dict(self, node: Node) -> None:
        cache = node("one", DictTier())
        cache.get("k")
        assert cache.stats().as_dict()["remote"]["misses"] == 1
        cache.reset_stats()
        assert cache.stats().as_dict()["remote"]["misses"] == 0
