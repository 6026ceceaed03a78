# SPDX-License-Identifier: BSD-3-Clause
"""Servers that refuse, hang, drip, flood, answer garbage, die and come back: nothing of it is seen.

What is judged are counts (how often a server was asked, how often a circuit opened) and the clock
of the code itself, never how fast this machine is.
"""

from __future__ import annotations

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
from plib_cache.remote.breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker
from plib_cache.remote.queue import DELETES_MOST
from plib_cache.stats import RemoteStats
from plib_cache.tiers import Tier

from . import servers
from .conftest import stack_of
from .servers import Fake, answering, closing, dripping, fake, flooding, free_port, hanging

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


class TestComingBack:
    """Hits are back, and deletes arrive."""

    def test_hits_are_back(self, node: Node, start: Start, eventually: Any) -> None:
        server = start("memcached", port=free_port())
        cache = node("one", server.url)
        cache["k"] = 1
        assert cache.wait_remote(30)
        server.stop()
        cache._region.delete(b"k")
        assert cache.get("k") is None
        server.start()
        other = node("other", server.url)

        def hit() -> bool:
            other["k"] = 2
            other.wait_remote(1)
            cache._region.delete(b"k")
            return bool(cache.get("k") == 2)

        eventually(hit)
        seen = counts(cache)
        assert seen.circuits_opened >= 1
        assert seen.probes >= 1

    def test_the_pauses_end_within_six_seconds(self) -> None:
        """A server that is back is asked again at the end of a pause, which are bounded."""
        now = 0.0
        breaker = Breaker(lambda: now)
        pauses = []
        for _ in range(20):
            breaker.failed()
            pause = breaker.due()
            assert pause is not None
            pauses.append(pause)
            now += pause
            assert breaker.due() == 0
        assert pauses[0] == FIRST_PAUSE_S
        assert pauses[1] == pytest.approx(2 * FIRST_PAUSE_S)
        assert max(pauses) == pytest.approx(LONGEST_PAUSE_S)
        assert LONGEST_PAUSE_S <= 5  # and a probe, and what is slow on this machine

    def test_one_that_answers_probes_and_nothing_else(self) -> None:
        """Its pauses grow as those of one that answers nothing."""
        now = 0.0
        breaker = Breaker(lambda: now)
        pauses = []
        for _ in range(10):
            breaker.failed()
            pause = breaker.due()
            assert pause is not None
            pauses.append(pause)
            now += pause
            assert breaker.may_probe()
            breaker.succeeded()
        assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S)
        now += 60
        breaker.failed()
        assert breaker.due() == pytest.approx(FIRST_PAUSE_S)

    def test_half_open_is_one_probe(self) -> None:
        now, told = 0.0, []
        breaker = Breaker(lambda: now, lambda: told.append(breaker.closed))
        assert breaker.failed()
        assert not breaker.failed()
        assert not breaker.may_probe()
        now = 10.0
        assert [breaker.may_probe() for _ in range(3)] == [True, False, False]
        breaker.failed()
        assert not breaker.may_probe()
        now = 20.0
        assert breaker.may_probe()
        assert breaker.succeeded()
        assert not breaker.succeeded()
        assert told == [False, True]
        assert breaker.opened == 1

    def test_a_delete_arrives_after_an_outage(
        self, node: Node, start: Start, eventually: Any
    ) -> None:
        """The server was unreachable, and has kept what it had."""
        server = start("memcached")
        path = server.where
        with Relay(path) as relay:
            cache = node("one", f"memcached://127.0.0.1:{relay.port}?timeout=5&connect=5")
            other = node("other", server.url)
            cache["k"] = 1
            assert cache.wait_remote(30)
            relay.cut()
            del cache["k"]
            cache["l"] = 2  # cannot be delivered: dropped, and what is there is removed
            eventually(lambda: counts(cache).deletes_retried >= 1 and counts(cache).dropped >= 1)
            assert cache.get("k") is None  # though the server still has it, and can be asked again
            relay.mend()
            assert cache.get("k") is None
            assert cache.wait_remote(30)
            assert other.get("k") is None
            assert counts(cache).deletes_delivered >= 1
            assert counts(cache).deletes_given_up == 0

    def test_a_dropped_write_takes_the_old_value_along(
        self, node: Node, start: Start, eventually: Any
    ) -> None:
        server = start("memcached")
        with Relay(server.where) as relay:
            cache = node("one", f"memcached://127.0.0.1:{relay.port}?timeout=5&connect=5")
            cache["k"] = "old"
            assert cache.wait_remote(30)
            relay.cut()
            cache["k"] = "new"
            eventually(lambda: counts(cache).dropped == 1)
            relay.mend()
            assert cache.wait_remote(30)
            assert node("other", server.url).get("k") is None

    def test_stopped_and_continued(self, node: Node, start: Start, eventually: Any) -> None:
        """A server that is stopped (SIGSTOP) is a server that hangs."""
        import signal

        server = start("memcached", port=free_port())
        cache = node("one", server.plain + "?timeout=2&connect=2")
        cache["k"] = 1
        assert cache.wait_remote(30)
        server.send_signal(signal.SIGSTOP)
        cache._region.delete(b"k")
        assert cache.get("k") is None
        assert counts(cache).timeouts >= 1
        server.send_signal(signal.SIGCONT)
        eventually(lambda: cache.get("k") == 1)

    def test_deletes_are_bounded(self, node: Node) -> None:
        cache = node("one", f"memcached://127.0.0.1:{free_port()}")
        for at in range(0, DELETES_MOST + 5000, 5000):
            cache.delete_many([b"key %d" % i for i in range(at, at + 5000)])
        seen = counts(cache)
        assert seen.pending <= DELETES_MOST + 1000  # and those on their way
        assert seen.deletes_given_up >= 4000


class Relay:
    """Passes bytes on to a server, unless it is cut."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._whole = threading.Event()
        self._whole.set()
        self._links: list[socket.socket] = []

    def __enter__(self) -> Relay:
        self._fake = Fake(self._behave)
        self.port = self._fake.port
        return self

    def __exit__(self, *what: object) -> None:
        self.cut()
        self._fake.close()

    def _behave(self, client: socket.socket) -> None:
        if not self._whole.is_set():
            client.close()
            return
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self._path)
            self._links += [client, server]
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()
            _pump(client, server)

    def cut(self) -> None:
        """Hang up on everybody, and take nobody new."""
        self._whole.clear()
        for link in self._links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._links.clear()

    def mend(self) -> None:
        """Pass on again."""
        self._whole.set()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass


def test_the_decorator_goes_on() -> None:
    calls = []

    @plib_cache.cache(remote=f"memcached://127.0.0.1:{free_port()}")
    def f(x: int) -> int:
        calls.append(x)
        return x + 1

    assert [f(1), f(1), f(2)] == [2, 2, 3]
    assert calls == [1, 2]
