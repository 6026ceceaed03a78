# SPDX-License-Identifier: BSD-3-Clause
"""Servers that refuse, hang, drip, flood, answer garbage, die and come back: nothing of it is seen.

What is judged are counts (how often a server was asked, how often a circuit opened) and the clock
of the code itself, never how fast this machine is.
"""

from __future__ import annotations

import gc
import itertools
import socket
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from waiting import wait_until

import plib_cache
from plib_cache import Cache, PlibCacheWarning, RemoteError
from plib_cache.remote import sockets
from plib_cache.remote.open import open_stack
from plib_cache.stats import RemoteStats
from plib_cache.tiers import Tier

from . import servers
from .conftest import stack_of
from .servers import answering, closing, dripping, fake, flooding, free_port, hanging

Start = Callable[..., servers.Running]
Node = Callable[..., Cache]

pytestmark = pytest.mark.filterwarnings("ignore:remote cache:plib_cache.PlibCacheWarning")

GARBAGE = [
    b"\0\xff\xfe" * 100 + b"\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"VALUE\r\n",
    b"VALUE k 0 nonsense\r\nxx\r\nEND\r\n",
    b"VALUE other 0 1\r\nx\r\nEND\r\n",
    b"VALUE k 0 -5\r\nx\r\nEND\r\n",
    b"END",
    b"$-1\r\n",
]


def counts(cache: Cache) -> RemoteStats:
    found = cache.stats().remote
    assert found is not None
    return found


class Elapsed:
    """The clock of operations, which a test can read: how long each was allowed to wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[float] = []
        left = sockets._left

        def noted() -> float:
            self.asked.append(left())
            return self.asked[-1]

        monkeypatch.setattr(sockets, "_left", noted)


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    return Elapsed(monkeypatch)


def used_in_every_way(cache: Cache) -> None:
    """No operation shows that a server is away."""
    cache["k"] = 1
    assert cache["k"] == 1
    assert cache.get("absent") is None
    assert cache.get_many(["k", "absent"]) == {"k": 1}
    cache.set_many({"l": 2})
    assert cache.delete_many(["l"]) == 1
    assert cache.get_or_compute("m", lambda: 3) == 3
    assert "absent" not in cache
    assert cache.incr("k") == 2
    assert cache.add("n", 4)
    assert cache.pop("n") == 4
    del cache["k"]
    assert cache.get("k") is None


class TestMisbehaving:
    """The local tier goes on, and the server is left alone."""

    @pytest.mark.parametrize("behaviour", [closing, hanging, dripping, flooding])
    def test_each_kind(self, node: Node, behaviour: servers.Behaviour) -> None:
        with fake(behaviour) as server:
            cache = node("one", server.url)
            used_in_every_way(cache)
            seen = counts(cache)
            assert seen.circuits_opened >= 1
            assert seen.errors + seen.timeouts >= 1
            assert seen.hits == 0

    @pytest.mark.parametrize("answer", GARBAGE, ids=repr)
    def test_garbage(self, node: Node, answer: bytes) -> None:
        with fake(answering(answer)) as server:
            cache = node("one", server.url)
            assert cache.get("k") is None
            assert counts(cache).circuits_opened == 1
            used_in_every_way(cache)

    @pytest.mark.parametrize("answer", [b"-ERR no\r\n", *GARBAGE[:3], b"*3\r\n", b"+\r\n:\r\n"])
    def test_garbage_for_redis(self, node: Node, answer: bytes) -> None:
        with fake(answering(answer)) as server:
            cache = node("one", server.url.replace("memcached", "redis"))
            used_in_every_way(cache)
            seen = counts(cache)
            assert seen.errors + seen.timeouts + seen.refused >= 1

    def test_refused(self, node: Node) -> None:
        cache = node("one", f"memcached://127.0.0.1:{free_port()}")
        used_in_every_way(cache)
        assert counts(cache).circuits_opened >= 1

    def test_no_such_host(self, node: Node) -> None:
        cache = node("one", "memcached://nonsense.invalid:11211")
        used_in_every_way(cache)
        assert counts(cache).circuits_opened >= 1

    def test_no_such_socket(self, node: Node) -> None:
        cache = node("one", "memcached:///nonsense/socket")
        used_in_every_way(cache)

    def test_one_warning(self, node: Node) -> None:
        cache = node("one", f"memcached://127.0.0.1:{free_port()}")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(5):
                cache.get("k")
        assert [one.category for one in told] == [PlibCacheWarning]
        assert "is left alone for a while" in str(told[0].message)

    @pytest.mark.parametrize("write", ["queue", "sync"])
    def test_a_tier_that_raises(self, node: Node, write: str) -> None:
        class Broken(Tier):
            def get_many(self, keys: Any) -> dict[bytes, bytes]:
                raise RuntimeError("broken")

            def set_many(self, parcels: Any) -> list[bytes]:
                raise RuntimeError("broken")

            def delete_many(self, keys: Any) -> list[bytes]:
                raise RuntimeError("broken")

            def clear(self) -> bool:
                raise RuntimeError("broken")

        cache = node("one", Broken(), write=write)
        used_in_every_way(cache)
        assert counts(cache).errors >= 1
        with pytest.raises(RemoteError):
            cache.clear(remote=True)

    def test_clear_says_when_a_server_was_not_told(self, node: Node) -> None:
        cache = node("one", f"memcached://127.0.0.1:{free_port()}")
        with pytest.raises(RemoteError, match="clear it again"):
            cache.clear(remote=True)


class TestLimits:
    """One time-out for each opened circuit, whatever the server does."""

    def test_an_open_circuit_is_not_asked(self, node: Node) -> None:
        """Of any number of reads one has waited; the probes are made in the background."""
        with fake(hanging) as server:
            cache = node("one", server.url)
            stack_of(cache)._queue._deliver = stack_of(cache)._queue._deliver._replace(
                tend=lambda: None  # so that nobody probes meanwhile
            )
            for i in range(100):
                assert cache.get(f"k{i}") is None
            seen = counts(cache)
            assert (seen.timeouts, seen.circuits_opened, seen.skipped) == (1, 1, 99)
            assert server.connections == 1

    def test_a_circuit_for_each_server(self, node: Node, start: Start) -> None:
        """The keys of the others are found; those of the one that hangs are misses, and stay."""
        good = start("memcached").where
        with fake(hanging) as server:
            url = f"memcached://unix:{good},127.0.0.1:{server.port}?timeout=3&connect=3"
            one = node("one", url)
            keys = [f"k{i}" for i in range(200)]
            one.set_many(dict.fromkeys(keys, 1))
            wait_until(lambda: counts(one).writes_delivered >= 1)
            wait_until(lambda: not stack_of(one)._queue._writes)
            other = node("other", url)
            found = other.get_many(keys)
            assert 0 < len(found) < 200  # about half of them
            assert counts(other).circuits_opened == 1

    def test_the_deadline_is_of_the_whole_operation(self, node: Node, elapsed: Elapsed) -> None:
        """A server that drips is given up though no receive of it took long."""
        with fake(dripping) as server:
            cache = node("one", server.url + "?timeout=0.5")
            assert cache.get("key") is None
            assert counts(cache).timeouts == 1
        reads = elapsed.asked[1:]
        assert len(reads) > 2  # it was dripping
        assert all(later < earlier for earlier, later in itertools.pairwise(reads))
        assert max(elapsed.asked) <= 0.5

    def test_the_limits_are_those_that_are_documented(self, node: Node) -> None:
        cache = node("one", f"memcached://127.0.0.1:{free_port()}")
        (layer,) = stack_of(cache)._layers
        assert layer.tier._limits == (0.05, 0.2)

    def test_a_flood_is_cut_off(self, node: Node) -> None:
        """Not more is taken in than was asked for."""
        with fake(flooding) as server:
            cache = node("one", server.url + "?timeout=30&item_max=64KiB")
            assert cache.get("key") is None
            assert counts(cache).errors == 1

    def test_connecting_has_its_own_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that nobody resolves, and a host that does not answer, hold up nobody for long."""
        asked: list[float] = []
        never = threading.Event()
        known = socket.getaddrinfo

        def slow(host: Any, *rest: Any, **options: Any) -> Any:
            if options.get("flags"):
                return known(host, *rest, **options)
            never.wait(30)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        join = threading.Thread.join

        def noted(self: threading.Thread, timeout: float | None = None) -> None:
            asked.append(timeout or 0)
            join(self, timeout)

        monkeypatch.setattr(threading.Thread, "join", noted)
        limits = sockets.Limits(0.05, 0.2)
        for _ in range(2):
            sockets.begin(limits, 0)
            with pytest.raises(TimeoutError, match="looking up"):
                sockets.dial(sockets.Address("some.host", 1), limits)
        assert 0 < max(asked) <= 0.05
        assert len([one for one in threading.enumerate() if "some.host" in one.name]) == 1
        never.set()

    def test_a_name_when_there_are_no_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It fails as any server that is away does, and is asked again later."""

        def refuse(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        limits = sockets.Limits(5.0, 5.0)
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = sockets.Address("localhost", server.getsockname()[1])
            with monkeypatch.context() as none:
                none.setattr(threading.Thread, "start", refuse)
                sockets.begin(limits, 0)
                with pytest.raises(OSError, match=r"localhost.*new thread"):
                    sockets.dial(address, limits)
            sockets.begin(limits, 0)
            sockets.dial(address, limits).close()


class Noted(Tier):
    """Has nothing, takes everything, and counts how often it was told to let its servers go."""

    name = "noted"
    closed = 0

    def get_many(self, keys: Any) -> dict[bytes, bytes]:
        return {}

    def set_many(self, parcels: Any) -> list[bytes]:
        return []

    def delete_many(self, keys: Any) -> list[bytes]:
        return []

    def close(self) -> None:
        self.closed += 1


def test_ever_new_servers() -> None:
    """What was made for tiers that nobody has any more goes, with its thread."""
    tiers = [Noted() for _ in range(60)]
    with Cache("kept", size="16MiB", remote=tiers[0]) as kept:
        kept["k"] = 0
        for tier in tiers[1:]:
            with Cache("new", size="16MiB", remote=tier) as cache:
                cache["k"] = 1
                assert cache.wait_remote(30)
            del cache
            gc.collect()

        def threads() -> int:
            return len([one for one in threading.enumerate() if one.name.endswith("to noted")])

        wait_until(lambda: threads() <= 17)
        assert len([tier for tier in tiers if tier.closed]) >= 40
        assert not tiers[0].closed
        assert stack_of(kept) is open_stack(tiers[0])
        assert kept.wait_remote(30)


def test_the_decorator_goes_on() -> None:
    calls = []

    @plib_cache.cache(remote=f"memcached://127.0.0.1:{free_port()}")
    def f(x: int) -> int:
        calls.append(x)
        return x + 1

    assert [f(1), f(1), f(2)] == [2, 2, 3]
    assert calls == [1, 2]
