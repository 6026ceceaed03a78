# SPDX-License-Identifier: BSD-3-Clause
"""Servers that come back: what is asked of them again, and what they are told of meanwhile.

A server is started anew, continued, or reached again through a relay that was cut; conditions are
waited for, and none is judged by how fast this machine is.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from plib_cache import Cache
from plib_cache.remote.queue import DELETES_MOST
from plib_cache.stats import RemoteStats

from . import servers
from .servers import Fake, free_port

Start = Callable[..., servers.Running]
Node = Callable[..., Cache]

pytestmark = pytest.mark.filterwarnings("ignore:remote cache:plib_cache.PlibCacheWarning")


def counts(cache: Cache) -> RemoteStats:
    found = cache.stats().remote
    assert found is not None
    return found


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
        server = start("memcached", port=free_port())
        cache = node("one", server.plain + "?timeout=4&connect=4")
        cache["k"] = 1
        assert cache.wait_remote(30)
        server.pause()
        cache._region.delete(b"k")
        assert cache.get("k") is None
        assert counts(cache).timeouts >= 1
        server.go_on()
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
