# SPDX-License-Identifier: BSD-3-Clause
"""The client with pymemcache's interface and no socket; pymemcache's own tests are in upstream/."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from network.serve.running import Server
from pymemcache.client import base
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheIllegalInputError,
    MemcacheServerError,
)
from pymemcache.fallback import FallbackClient
from pymemcache.serde import pickle_serde

import plib_cache
from plib_cache.integrations import _entries
from plib_cache.integrations.pymemcache import Client


@pytest.fixture
def cache() -> Iterator[plib_cache.Cache]:
    """The region that a client is given."""
    with plib_cache.Cache("clients", size="8MiB", strict=True) as opened:
        yield opened


@pytest.fixture
def client(cache: plib_cache.Cache) -> Client:
    """A client that waits for replies, with pymemcache's serializer."""
    return Client(cache, serde=pickle_serde, default_noreply=False)


VALUES = [b"bytes", b"", "text", "ol\xe9", 7, -7, 2**70, {"a": [1, 2.5]}, None, b"x" * 300_000]


def test_the_same_entries_as_a_server(tmp_path: Path) -> None:
    """What a client of the network stores is read here, flags and all, and the other way round."""
    with Server(tmp_path, "--size", "64MiB") as server:
        server.ready()
        theirs = base.Client(("127.0.0.1", server.port), serde=pickle_serde, default_noreply=False)
        ours = Client(server.region, serde=pickle_serde, default_noreply=False)
        for writer, reader in ((theirs, ours), (ours, theirs)):
            for n, value in enumerate(VALUES):
                key = f"key-{n}"
                assert writer.set(key, value, expire=1000)
                assert reader.get(key, "missing") == value
                found, token = reader.gets(key)
                assert (found, token) == writer.gets(key)
                assert reader.cas(key, "newer", token) is True
                assert writer.get(key) == "newer"
            writer.set("flagged", b"data", flags=0xFFFF_FFFF)
            assert raw(reader, "flagged") == raw(writer, "flagged") == (b"data", 0xFFFF_FFFF)
        ours.close()
        theirs.close()


def test_no_key_is_removed_beside_a_wrong_one(client: Client) -> None:
    """All are looked at before the first is removed, as pymemcache does."""
    client.set_many({"a": 1, "b": 2})
    with pytest.raises(MemcacheIllegalInputError):
        client.delete_many(["a", "not one", "b"])
    assert client.get_many(["a", "b"]) == {"a": 1, "b": 2}
    assert client.delete_many(["a", "b"]) is True
    assert client.get_many(["a", "b"]) == {}


def raw(client: Any, key: str) -> tuple[bytes, int]:
    """A value as it is stored, and its flags."""
    answer = client.raw_command(f"get {key}", "END\r\n")
    head, data, _ = answer.split(b"\r\n")
    return data, int(head.split()[2])


def test_values_of_python(cache: plib_cache.Cache) -> None:
    """What Python stored comes as its bytes, with the number of its type as flags."""
    seen = []

    class Serde:
        def serialize(self, _key: Any, value: Any) -> tuple[Any, int]:
            return value, 0

        def deserialize(self, _key: Any, value: bytes, flags: int) -> bytes:
            seen.append(flags)
            return value

    cache.set_many({"a": b"bytes", "b": "text", "c": 12})
    client = Client(cache, serde=Serde())
    assert client.get_many(["a", "b", "c", "d"]) == {"a": b"bytes", "b": b"text", "c": b"12"}
    assert seen == [0, 1, 2]
    assert client.incr("c", 3) == 15
    assert cache["c"] == 15
    client.set("e", b"from a client")
    assert cache["e"] == b"from a client"


def test_many_large_values(client: Client) -> None:
    """A batch gives all values, however long they are together."""
    given = {f"k{n}": bytes([n]) * 200_000 for n in range(12)}
    assert client.set_many(given) == []
    assert client.get_many([*given, "none"]) == given
    assert {key: value for key, (value, _) in client.gets_many(given).items()} == given


def test_times(client: Client, cache: plib_cache.Cache) -> None:
    """An expiry below zero is past; ``touch``, ``gat`` and ``gats`` set another one."""
    client.set("k", b"v", expire=-1)
    assert client.get("k") is None
    client.set("k", b"v", expire=1000)
    assert client.gat("k", 500) == b"v"
    value, token = client.gats("k", 500)
    assert (value, client.cas("k", b"w", token, expire=-1)) == (b"v", True)
    assert client.gat("k", 10, default="none") == "none"
    assert client.gats("k", 10, default=1, cas_default=2) == (1, 2)
    client.set("k", b"v")
    assert client.touch("k", -1) is True
    assert client.touch("k", 10) is False
    assert "k" not in cache
    client.set("k", b"v")
    assert client.gat("k", -1) == b"v"
    assert client.get("k") is None


def test_counting(client: Client) -> None:
    """As memcached counts: up to 64 bits and around, down to 0, and nothing that is no number."""
    client.set("n", 2**64 - 1)
    assert client.incr("n", 2) == 1
    assert client.decr("n", 5) == 0
    assert client.incr("none", 1) is None
    assert client.incr("n", 1, noreply=True) is None
    assert client.get("n") == 1
    client.set("text", "text")
    for wrong in (lambda: client.incr("text", 1), lambda: client.incr("n", -1)):
        with pytest.raises(MemcacheClientError):
            wrong()
    assert client.incr("text", 1, noreply=True) is None
    with pytest.raises(MemcacheIllegalInputError, match="must be integer"):
        client.incr("n", "1")


@pytest.mark.parametrize(
    "key", ["", "a b", "a\n", "a\0", "x" * 251, "snow\u2603", b" a"], ids=lambda key: repr(key)[:9]
)
def test_keys(client: Client, key: Any) -> None:
    """A key that no server would take is refused by every method, with pymemcache's error."""
    calls: list[Callable[[], Any]] = [
        lambda: client.get(key),
        lambda: client.get_many(["fine", key]),
        lambda: client.set(key, b"v"),
        lambda: client.set_many({"fine": b"v", key: b"v"}),
        lambda: client.delete(key),
        lambda: client.incr(key, 1),
        lambda: client.touch(key),
        lambda: client.gat(key),
    ]
    for call in calls:
        with pytest.raises(MemcacheIllegalInputError):
            call()
    assert client.get("fine") is None  # nothing was done of what was wrong


def test_prefix_and_unicode(cache: plib_cache.Cache) -> None:
    """Keys are stored behind the prefix, and come back as they were given."""
    client = Client(cache, key_prefix=b"app:", allow_unicode_keys=True)
    client.set("snow\u2603", b"v")
    assert cache["app:snow\u2603"] == b"v"
    assert client.get_many(["snow\u2603", b"other"]) == {"snow\u2603": b"v"}


def test_what_is_refused(client: Client, cache: plib_cache.Cache) -> None:
    """What the region refuses is an error of the server, or unseen without a reply; the old value
    does not stay."""
    client.set("k", b"old")
    with pytest.raises(MemcacheServerError, match="can never be stored"):
        client.set("k", b"x" * (16 << 20))
    assert client.get("k") is None
    assert client.set("k", b"x" * (16 << 20), noreply=True) is True
    cache["text"] = "no bytes"
    with pytest.raises(MemcacheClientError, match="not bytes"):
        client.append("text", b"more")
    assert client.append("text", b"more", noreply=True) is True
    with pytest.raises(MemcacheClientError, match="bad command line"):
        client.set("k", b"v", flags=1 << 32)
    with pytest.raises(MemcacheClientError, match="bad command line"):
        client.cas("k", b"v", 1 << 64)


def test_failures_are_misses_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``ignore_exc`` a get that fails is a miss; a set is an error, as in pymemcache."""
    strict, lenient = Client("none/such"), Client("none/such", ignore_exc=True)
    with pytest.raises(MemcacheServerError):
        strict.get("k")
    assert lenient.get("k", "default") == "default"
    assert lenient.gets("k") == (None, None)
    assert lenient.get_many(["k"]) == {}
    assert lenient.gat("k") is None
    assert lenient.set("k", b"v", noreply=True) is True
    with pytest.raises(MemcacheServerError):
        lenient.set("k", b"v", noreply=False)


def test_closing(cache: plib_cache.Cache) -> None:
    """``close`` and ``quit`` close what the client has opened, and the next call opens it again."""
    client = Client("mine", size="8MiB", default_noreply=False)
    client.set("k", b"v")
    opened = client._store.cache
    client.close()
    assert opened.closed
    assert client.get("k") == b"v"
    client.quit()
    client.close()
    assert client["k"] == b"v"
    for path in (opened.path, f"unix:{opened.path}", Path(opened.path)):
        assert Client(path).get("k") == b"v"
    given = Client(cache)
    given.set("k", b"v")
    given.quit()
    assert not cache.closed
    with pytest.raises(TypeError, match="has no socket"):
        Client(("localhost", 11211))  # type: ignore[arg-type]


def test_an_error_does_not_close(client: Client, cache: plib_cache.Cache) -> None:
    """A command that is refused leaves the region open."""
    alone = Client("mine", size="8MiB")
    for one in (client, alone):
        one.get("k")  # so that it is open
        with pytest.raises(Exception, match="MEMLIMIT"):
            one.cache_memlimit(64)
        assert one.set("k", b"v")
        assert one.get("k") == b"v"
    alone.close()


def test_commands_of_a_server(client: Client) -> None:
    """``stats``, ``version`` and ``flush_all`` say what a server says."""
    client.set("k", b"value")
    client.get_many(["k", "none"])
    stats = client.stats()
    assert (stats[b"get_hits"], stats[b"get_misses"]) == (1, 1)
    assert stats[b"cmd_set"] == stats[b"curr_items"] == 1
    assert client.stats("cachedump", "1", "10") == {b"k": b"[5 b; 0 s]"}
    assert client.version().startswith(b"1.6")
    assert client.flush_all() is True
    assert client.get("k") is None


def test_threads_share_a_client(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """No count is lost, and no answer comes to another thread."""
    say = _entries.Line.sendall
    monkeypatch.setattr(_entries.Line, "sendall", lambda *told: (say(*told), sleep(0.0001)))
    client.set("n", 0)
    wrong = []

    def work(me: int) -> None:
        for i in range(200):
            client.incr("n", 1)
            client.set(f"mine-{me}", f"{me}-{i}")
            said = client.raw_command(f"get mine-{me}", "END\r\n")
            if client.get(f"mine-{me}") != f"{me}-{i}" or f"{me}-{i}".encode() not in said:
                wrong.append((me, i, said))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert client.get("n") == 800


def test_a_forked_process_goes_on(client: Client, fork: Callable[..., Any]) -> None:
    """What the parent has set is there in a child, and the other way round."""
    client.set("k", [1])

    def child() -> Any:
        client.set("from", "child")
        return client.get("k")

    assert fork(child).result() == [1]
    assert client.get("from") == "child"


def test_inside_of_pymemcaches_own(client: Client, cache: plib_cache.Cache) -> None:
    """It can be the client of a pool, of a HashClient, and one of several to fall back to."""
    cache["k"] = b"v"

    class Pool(base.PooledClient):  # type: ignore[misc]
        client_class = Client

    class Several(HashClient):  # type: ignore[misc]
        client_class = Client

    pool, several = Pool(f"unix:{cache.path}"), Several([f"unix:{cache.path}"])
    for one in (pool, several, FallbackClient((Client("empty", size="8MiB"), client))):
        assert one.get("k") == b"v"
    pool.close()
    several.close()
