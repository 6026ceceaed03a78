# SPDX-License-Identifier: BSD-3-Clause
"""The way out: one entry for each key, bounds, forks, and what is hidden until it is delivered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from waiting import wait_until

from plib_cache import Cache
from plib_cache.remote.counts import Counts
from plib_cache.remote.layer import Write
from plib_cache.remote.queue import BYTES_MOST, WRITES_MOST, Delivery, Queue
from plib_cache.remote.signing import Arrived

from . import servers
from .test_signing import counts
from .test_tiers_contract import DictTier

Start = Callable[..., servers.Running]
Node = Callable[..., Cache]


def write(key: bytes, payload: bytes = b"v", lasting: bool = False) -> Write:
    return Write(key, Arrived(0, memoryview(payload), 0, 0), None, lasting)


class Outside:
    """Takes what a queue delivers, when it is let."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.done: list[tuple[str, bytes]] = []
        self.failing: set[bytes] = set()
        self.counts = Counts()
        self.ended = threading.Semaphore(0)
        delivery = Delivery(self.write, self.delete, lambda: None, self.ended.release)
        self.queue = Queue(delivery, self.counts, "test")

    def _pass(self) -> None:
        self.reached.set()
        assert self.open.wait(30)

    def write(self, writes: Any) -> list[bytes]:
        self._pass()
        self.done += [("write", one.key) for one in writes]
        return [one.key for one in writes if one.key in self.failing]

    def delete(self, keys: Any) -> list[bytes]:
        self._pass()
        self.done += [("delete", key) for key in keys]
        return [key for key in keys if key in self.failing]


@pytest.fixture
def outside() -> Outside:
    return Outside()


def test_a_thread_that_ends_says_so(outside: Outside) -> None:
    """Once it has delivered everything: what it has opened can be closed then, and not before."""
    for number in range(2):  # the second one has a new thread
        outside.queue.put(write(b"%d" % number))
        assert outside.reached.wait(30)
        outside.queue.rest()
        assert not outside.ended.acquire(blocking=False)
        outside.open.set()
        assert outside.ended.acquire(timeout=30)
        assert outside.done[-1] == ("write", b"%d" % number)
        outside.reached.clear()
        outside.open.clear()


def test_the_last_operation_on_a_key_is_what_is_delivered(outside: Outside) -> None:
    queue = outside.queue
    queue.put(write(b"first"))
    assert outside.reached.wait(30)
    for _ in range(3):
        queue.put(write(b"k"))
        queue.delete([b"k"])
    queue.delete([b"l"])
    queue.put(write(b"l"))
    assert len(queue) == 3
    assert all(map(queue.hidden, (b"first", b"k", b"l")))
    assert not queue.hidden(b"m")
    outside.open.set()
    assert queue.wait(30)
    assert outside.done == [("write", b"first"), ("delete", b"k"), ("write", b"l")]
    assert not any(map(queue.hidden, (b"first", b"k", b"l")))


def test_full_by_number(outside: Outside) -> None:
    """What has no room is dropped, and what is there of its key is removed."""
    queue = outside.queue
    queue.put(write(b"first"))
    assert outside.reached.wait(30)
    for i in range(WRITES_MOST + 10):
        queue.put(write(b"key %d" % i))
    assert outside.counts.stats().dropped == 10
    assert len(queue) == WRITES_MOST + 11
    queue.put(write(b"lasting", lasting=True))  # nobody stores another value: no harm to remove
    assert not queue.hidden(b"lasting")
    outside.open.set()
    assert queue.wait(30)
    deletes = {key for kind, key in outside.done if kind == "delete"}
    assert deletes == {b"key %d" % i for i in range(WRITES_MOST, WRITES_MOST + 10)}


def test_full_by_bytes(outside: Outside) -> None:
    queue, payload = outside.queue, bytes(BYTES_MOST // 4)
    queue.put(write(b"first"))
    assert outside.reached.wait(30)
    for i in range(6):
        queue.put(write(b"key %d" % i, payload))
    assert outside.counts.stats().dropped == 3
    queue.put(write(b"key 0"))  # makes room
    queue.put(write(b"last", payload))
    assert outside.counts.stats().dropped == 3
    outside.open.set()
    assert queue.wait(30)


def test_deletes_are_tried_again(outside: Outside) -> None:
    outside.failing = {b"k"}
    outside.open.set()
    outside.queue.delete([b"k", b"l"])
    assert outside.queue.wait(30, tried=True)
    assert outside.queue.hidden(b"k")
    assert not outside.queue.hidden(b"l")
    outside.failing = set()
    assert outside.queue.wait(30)
    assert outside.done.count(("delete", b"l")) == 1
    assert outside.done.count(("delete", b"k")) >= 2


def test_a_later_write_replaces_a_delete_that_failed(outside: Outside) -> None:
    outside.failing = {b"k"}
    outside.open.set()
    outside.queue.delete([b"k"])
    assert outside.queue.wait(30, tried=True)
    outside.failing = set()
    outside.queue.put(write(b"k"))
    assert outside.queue.wait(30)
    assert outside.done[-1] == ("write", b"k")


def test_what_raises_does_not_end_the_thread(outside: Outside) -> None:
    outside.open.set()
    broken = outside.queue._deliver._replace(write=lambda writes: 1 // 0)  # type: ignore[arg-type]
    fine, outside.queue._deliver = outside.queue._deliver, broken
    outside.queue.put(write(b"k"))
    wait_until(lambda: outside.counts.stats().errors == 1)
    outside.queue._deliver = fine
    outside.queue.put(write(b"l"))
    assert outside.queue.wait(30)
    assert ("delete", b"k") in outside.done
    assert outside.done[-1] == ("write", b"l")
    assert outside.counts.stats().errors == 1


class Slow(DictTier):
    """A tier that takes its time, until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.reached = threading.Event()

    def set_many(self, parcels: Any) -> list[bytes]:
        self.reached.set()
        assert self.open.wait(30)
        return super().set_many(parcels)


class TestCaches:
    """The same through a cache."""

    def test_a_write_that_waits_hides_what_is_there(self, node: Node) -> None:
        """Else the old value would be found once the new one was evicted here."""
        tier = Slow()
        tier.open.set()
        one = node("one", tier)
        one["k"] = "old"
        assert one.wait_remote(30)
        tier.open.clear()
        one["k"] = "new"
        one._region.delete(b"k")  # as if it were evicted
        assert one.get("k") is None
        assert counts(one).hidden == 1
        tier.open.set()
        assert one.wait_remote(30)
        assert one["k"] == "new"

    def test_a_caller_does_not_wait(self, node: Node) -> None:
        tier = Slow()
        one = node("one", tier)
        for i in range(100):
            one[f"k{i}"] = i
        assert counts(one).pending == 100
        tier.open.set()
        assert one.wait_remote(30)
        assert len(tier.held) == 100

    def test_mutable_values_are_sent_as_they_were(self, node: Node) -> None:
        numpy = pytest.importorskip("numpy")
        tier, array = Slow(), numpy.zeros(1000)
        one = node("one", tier)
        one["k"] = array
        array[:] = 1
        tier.open.set()
        assert one.wait_remote(30)
        assert not node("other", tier)["k"].any()

    def test_a_delete_between_look_and_promotion(self, node: Node) -> None:
        """What a tier had when it was asked does not come back after a delete."""

        class Interrupting(DictTier):
            act: Any = None

            def get_many(self, keys: Any) -> dict[bytes, bytes]:
                found = super().get_many(keys)
                if self.act:
                    self.act()
                return found

        tier = Interrupting()
        one = node("one", tier)
        for act in (
            lambda: one.delete("k"),
            lambda: one.delete_many(["k"]),
            one.clear,
            lambda: one.set("k", "new"),
        ):
            one["k"] = "old"
            assert one.wait_remote(30)
            one._region.delete(b"k")
            tier.act = act
            one.get("k")
            tier.act = None
            found = one._region.get(b"k")
            assert found is None or found[1] == b"new"
            one.wait_remote(30)

    def test_fork(self, node: Node, start: Start, fork: Any) -> None:
        """A child goes on with connections, a thread and counts of its own."""
        url = start("memcached").url
        one, other = node("one", url), node("other", url)
        one["before"] = 1
        assert one.wait_remote(30)
        one._region.delete(b"before")
        assert one["before"] == 1

        def child() -> Any:
            one._region.delete(b"before")
            found = one["before"], counts(one).hits
            one["child"] = 2
            return found, one.wait_remote(30)

        assert fork(child).result() == ((1, 1), True)
        one["parent"] = 3
        assert one.wait_remote(30)
        assert other.get_many(["child", "parent"]) == {"child": 2, "parent": 3}

    def test_fork_while_something_waits(self, node: Node, fork: Any) -> None:
        """The parent delivers what was stored before; the child does not wait for that."""
        tier = Slow()
        one = node("one", tier)
        one["k"] = 1
        assert tier.reached.wait(30)
        one["l"] = 2

        def child() -> Any:
            tier.open.set()
            one["c"] = 3
            return one.wait_remote(30), sorted(tier.held)

        done, held = fork(child).result()
        assert done
        assert held == [b"c"]
        tier.open.set()
        assert one.wait_remote(30)
        assert sorted(tier.held) == [b"k", b"l"]

    def test_close_delivers(self, start: Start, node: Node) -> None:
        url = start("memcached").url
        one = node("one", url)
        one["k"] = 1
        one.close()
        assert node("other", url)["k"] == 1

    def test_the_end_of_a_process_delivers(
        self, start: Start, node: Node, python: Callable[..., str]
    ) -> None:
        url = start("memcached").url
        python(f"""
import plib_cache
cache = plib_cache.Cache("child", size="8MiB", remote={url!r})
for i in range(200):
    cache[f"k{{i}}"] = i
""")
        found = node("other", url).get_many([f"k{i}" for i in range(200)])
        assert len(found) == 200

    def test_many_threads(self, start: Start, node: Node) -> None:
        """Each thread finds what it has stored, by connections that no two use at once."""
        url = start("memcached").url + "&write=sync"
        one, other = node("one", url), node("other", url)
        wrong: list[Any] = []

        def work(number: int) -> None:
            for i in range(100):
                key, value = f"{number}-{i}", f"{number} {i}" * 50
                one[key] = value
                found = other.get(key)
                if found != value:
                    wrong.append((key, found))
                if i % 3 == 0:
                    del one[key]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert wrong == []
        assert counts(other).hits == 800
        assert counts(one).deletes_delivered == 8 * 34
