# SPDX-License-Identifier: BSD-3-Clause
"""Several servers are asked at once, so that those that hang cost one time-out together.

Servers here answer only when all of them have been asked: who asks one after the other never gets
an answer.  Nothing is timed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import HANG_S

from plib_cache.remote.counts import Counts
from plib_cache.remote.memcached import MemcachedTier
from plib_cache.remote.options import parse
from plib_cache.remote.sockets import Address, Limits
from plib_cache.remote.together import Together
from plib_cache.tiers import Parcel

from . import servers
from .conftest import stack_of

Start = Callable[..., servers.Running]
N = 3
KEYS = [b"key-%d" % n for n in range(60)]
PATIENT = Limits(HANG_S, HANG_S)


@pytest.fixture
def waiting_for_each_other() -> Iterator[MemcachedTier]:
    """Servers that have nothing, and say so when all of them have been asked."""
    all_asked = threading.Barrier(N)

    def behave(connection: socket.socket) -> None:
        while request := connection.recv(1 << 16):
            with contextlib.suppress(threading.BrokenBarrierError):
                all_asked.wait(HANG_S / 2)
                connection.sendall(b"END\r\n" if request.startswith(b"get ") else b"OK\r\n")

    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(servers.fake(behave)).port for _ in range(N)]
        tier = MemcachedTier([Address("127.0.0.1", port) for port in ports], PATIENT, Counts())
        stack.callback(tier.close)
        assert {tier.home(key).address.port for key in KEYS} == set(ports)
        yield tier


def test_servers_are_asked_at_once(waiting_for_each_other: MemcachedTier) -> None:
    """In a batch, and when they are cleared; again and again."""
    tier = waiting_for_each_other
    for _ in range(3):
        assert tier.get_many(KEYS) == {}
    assert tier.clear()
    assert all(server.breaker.closed for server in tier._servers)


def test_each_gives_its_own(start: Start) -> None:
    """Values, what was not stored, and what was not removed are those of the right keys."""
    hosts = ",".join("unix:" + start("memcached").where for _ in range(N))
    (place,) = parse(f"memcached://{hosts}{servers.PATIENT}")
    tier = MemcachedTier(place.addresses, PATIENT, Counts())  # type: ignore[union-attr]
    assert not tier.set_many([Parcel(key, key * 2, None) for key in KEYS])
    assert tier.get_many(KEYS) == {key: key * 2 for key in KEYS}
    gone = tier._servers[1]
    gone.breaker.failed()  # as if it were away
    gone.breaker._probe_at = float("inf")
    mine = {key for key in KEYS if tier.home(key) is gone}
    assert set(tier.get_many(KEYS)) == set(KEYS) - mine
    assert set(tier.delete_many(KEYS)) == mine
    assert set(tier.set_many([Parcel(key, b"v", None) for key in KEYS])) == mine
    tier.close()


def test_after_a_fork(node: Any, start: Start, fork: Any) -> None:
    """A child has threads of its own."""
    hosts = ",".join("unix:" + start("memcached").where for _ in range(N))
    url = f"memcached://{hosts}{servers.PATIENT}"
    one, other = node("one", url), node("other", url)
    one.set_many(dict.fromkeys(KEYS, 1))
    assert one.wait_remote(HANG_S)
    (layer,) = stack_of(other)._layers
    assert len(layer.tier.get_many(KEYS)) == len(KEYS)

    def found() -> int:
        return len(other.get_many(KEYS)) + len(layer.tier.get_many(KEYS))

    assert fork(found).result() == 2 * len(KEYS)


def test_at_the_end_of_a_process(python: Any, start: Start) -> None:
    """Servers are asked though there are no new threads any more."""
    hosts = ",".join("unix:" + start("memcached").where for _ in range(N))
    found = python(f"""
import atexit
import plib_cache
cache = plib_cache.Cache("ending", size="8MiB", remote="memcached://{hosts}{servers.PATIENT}")
cache.set_many(dict.fromkeys({KEYS}, 1))
assert cache.wait_remote(30)
cache.clear()
atexit.register(lambda: print(len(cache.get_many({KEYS}))))
""")
    assert int(found) == len(KEYS)


def test_an_error_is_raised() -> None:
    """It is the first one of the calls; the others were made all the same."""
    made: list[int] = []

    def call(n: int) -> int:
        made.append(n)
        if n > 1:
            raise ValueError(n)
        return n

    together = Together()
    with pytest.raises(ValueError, match="2"):
        together.run([lambda n=n: call(n) for n in range(4)])
    together.close()
    assert together.run([lambda n=n: n for n in range(40)]) == list(range(40))
    assert together.run([]) == []
    together.close()
    assert sorted(made) == [0, 1, 2, 3]


ANSWERS: dict[str, Any] = {"get": {}, "set": [], "delete": [], "clear": True}


def waiting(answer: Any) -> Callable[..., Any]:
    """Answers to one kind of question, when all other nodes have been asked it."""
    asked: list[object] = []
    all_asked = asyncio.Event()

    async def answer_together(**question: Any) -> Any:
        asked.append(question)
        if len(asked) == N - 1:
            all_asked.set()
        await all_asked.wait()
        return answer

    return answer_together


def test_nodes_of_a_dask_cluster_are_asked_at_once() -> None:
    """By looks, writes, deletes and clearing."""
    pytest.importorskip("distributed")
    from .dask_tiers import tiers_of

    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="plib-cache-tests-") as folder,
        tiers_of(Path(folder), N) as tiers,
    ):
        tier, *others = tiers
        handlers = {f"plib_cache_{name}": waiting(one) for name, one in ANSWERS.items()}
        for one in others:
            there: Any = one
            there._worker.handlers.update(handlers)
        tier.get_many(KEYS)
        assert not tier.set_many([Parcel(key, b"v", None) for key in KEYS])
        assert not tier.delete_many(KEYS)
        assert tier.clear()
        ring: Any = tier
        assert all(home.breaker.closed for home in ring._ring.others.values())


def test_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is made, once, also of those that were queued for a thread that never came."""
    together, made = Together(), list[str]()

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def call(name: str) -> Callable[[], str]:
        return lambda: made.append(name) or name

    def ask(names: str) -> None:
        assert together.run([call(name) for name in names]) == list(names)

    with monkeypatch.context() as none:
        none.setattr(threading.Thread, "start", refuse)
        ask("abc")
    ask("de")
    with monkeypatch.context() as none:
        none.setattr(threading.Thread, "start", refuse)
        ask("fghi")
    ask("jkl")
    together._pool.shutdown(wait=True)
    assert sorted(made) == list("abcdefghijkl")
