# SPDX-License-Identifier: BSD-3-Clause
"""The one answer of memcached that is read here and not by pymemcache: that to a single get."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable

import pytest

from plib_cache.remote.counts import Counts
from plib_cache.remote.memcached import MemcachedTier
from plib_cache.remote.sockets import Address, Limits

from . import servers

Start = Callable[..., servers.Running]
pytestmark = pytest.mark.filterwarnings("ignore:remote cache:plib_cache.PlibCacheWarning")
PATIENT = Limits(20, 20)
VALUES = [b"", b"v", b"\r\n", b"END\r\n", b"\r\nEND\r\n", b"x" * 4090, os.urandom(300_000)]


def tier_of(server: servers.Fake) -> MemcachedTier:
    return MemcachedTier([Address("127.0.0.1", server.port)], PATIENT, Counts())


def in_pieces(answer: bytes, most: int, source: random.Random) -> servers.Behaviour:
    """Answers every request with the same bytes, in pieces of random size."""

    def behave(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while connection.recv(1 << 16):
            at = 0
            while at < len(answer):
                size = source.randrange(1, most)
                connection.sendall(answer[at : at + size])
                at += size

    return behave


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{len(value)} bytes")
def test_an_answer_in_pieces(value: bytes) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    answer = b"VALUE k 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
    pieces = in_pieces(answer, 4 if len(value) < 100 else 5000, random.Random(seed))
    with servers.fake(pieces) as server:
        tier = tier_of(server)
        for _ in range(5):
            assert tier.get(b"k") == value
        assert server.connections == 1
        tier.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"VALUE k 0 1\r\nv\r\nEND\r\nmore",
        b"VALUE k 0 1\r\nvEND\r\n  ",
        b"VALUE k 0 2\r\nv\r\nEND\r\n\r\n",
        b"VALUE k 0 1 5\r\nv\r\nEND\r\n",
        b"VALUE k 0 +1\r\nv\r\nEND\r\n",
        b"VALUE K 0 1\r\nv\r\nEND\r\n",
        b"SERVER_ERROR out of memory\r\n",
        b"ERROR\r\n",
        b"END\r\nEND\r\n",
    ],
)
def test_what_is_no_answer(answer: bytes) -> None:
    with servers.fake(servers.answering(answer)) as server:
        tier = tier_of(server)
        assert tier.get(b"k") is None
        assert not tier.home(b"k").breaker.closed
        assert tier.get(b"k") is None
        assert server.connections == 1
        tier.close()


def test_as_a_real_server_answers(start: Start) -> None:
    path = start("memcached").where
    tier = MemcachedTier([Address(path, 0)], PATIENT, Counts())
    for value in VALUES:
        assert not tier.set_many([(b"k", value, None)])  # type: ignore[list-item]
        assert tier.get(b"k") == tier.get_many([b"k"])[b"k"] == value
    tier.close()
