# SPDX-License-Identifier: BSD-3-Clause
"""The decorator and get_or_compute with tiers: local, remote, compute once between all nodes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from waiting import wait_until

import plib_cache
from plib_cache import Cache
from plib_cache.remote import leases
from plib_cache.tiers import TAKEN, THERE

from . import servers
from .conftest import stack_of
from .test_signing import counts
from .test_tiers_contract import DictTier

Start = Callable[..., servers.Running]
Node = Callable[..., Cache]


@pytest.fixture
def url(start: Start) -> str:
    return start("memcached").url


class Computation:
    """Something that is computed when it is let, and counts."""

    def __init__(self, answer: Any = 42) -> None:
        self.answer = answer
        self.runs = 0
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> Any:
        self.runs += 1
        self.began.set()
        assert self.go.wait(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Running(threading.Thread):
    """A call in a thread of its own; ``result()`` waits for what came of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._call()
        except Exception as error:
            self._answer = error

    def result(self) -> Any:
        self.join(30)
        assert not self.is_alive()
        return self._answer


class TestGetOrCompute:
    def test_found_elsewhere(self, url: str, node: Node) -> None:
        one, other = node("one", url), node("other", url)
        assert one.get_or_compute("k", lambda: [1]) == [1]
        one.wait_remote(30)
        assert other.get_or_compute("k", lambda: 1 / 0) == [1]
        assert other.get_or_compute("k", lambda: 1 / 0) == [1]
        assert counts(other).hits == 1

    def test_one_of_all_nodes_computes(self, url: str, node: Node) -> None:
        one, other = node("one", url), node("other", url)
        work, never = Computation(), Computation()
        first = Running(lambda: one.get_or_compute("k", work))
        assert work.began.wait(30)
        second = Running(lambda: other.get_or_compute("k", never))
        wait_until(lambda: counts(other).waits >= 2)
        work.go.set()
        assert first.result() == second.result() == 42
        assert (work.runs, never.runs) == (1, 0)
        assert counts(one).claims == 1
        assert counts(other).claims == 0

    def test_one_that_raises_lets_the_next_compute(self, url: str, node: Node) -> None:
        one, other = node("one", url), node("other", url)
        bad, good = Computation(ValueError("bad")), Computation(7)
        good.go.set()
        first = Running(lambda: one.get_or_compute("k", bad))
        assert bad.began.wait(30)
        second = Running(lambda: other.get_or_compute("k", good))
        wait_until(lambda: counts(other).waits >= 1)
        bad.go.set()
        assert isinstance(first.result(), ValueError)
        assert second.result() == 7
        assert good.runs == 1

    def test_a_value_that_cannot_be_sent_holds_up_nobody(self, url: str, node: Node) -> None:
        one, other = node("one", url), node("other", url)
        work, own = Computation(pytest), Computation("own")
        own.go.set()
        first = Running(lambda: one.get_or_compute("k", work))
        assert work.began.wait(30)
        second = Running(lambda: other.get_or_compute("k", own))
        wait_until(lambda: counts(other).waits >= 1)
        work.go.set()
        first.result()
        assert second.result() == "own"

    def test_a_claim_is_no_value(self, url: str, node: Node) -> None:
        one, other = node("one", url), node("other", url)
        work = Computation()
        first = Running(lambda: one.get_or_compute("k", work))
        assert work.began.wait(30)
        assert other.get("k") is None
        assert other.get_many(["k"]) == {}
        other["k"] = "stored meanwhile"
        assert other.wait_remote(30)
        work.go.set()
        assert first.result() == 42

    def test_claims_are_renewed(
        self, url: str, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A computation may take longer than a claim lives."""
        monkeypatch.setattr(leases, "LEASE_S", 3.0)  # memcached's clock has whole seconds
        monkeypatch.setattr(leases, "_RENEW_S", 0.1)
        one, other = node("one", url), node("other", url)
        work, never = Computation(), Computation()
        first = Running(lambda: one.get_or_compute("k", work))
        assert work.began.wait(30)
        (lease,) = stack_of(one)._leases._held.values()
        tokens = set()
        second = Running(lambda: other.get_or_compute("k", never))
        held = stack_of(one)._leases._held

        def renewed() -> bool:
            tokens.update(one.token for one in held.values())
            return len(tokens) > 40  # more than a life of a claim

        wait_until(renewed)
        assert lease.token in tokens
        work.go.set()
        assert first.result() == second.result() == 42
        assert never.runs == 0

    def test_claims_end_with_the_limit(
        self, url: str, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who takes longer than ``limit`` is not waited for any more."""
        monkeypatch.setattr(leases, "LEASE_S", 2.0)
        monkeypatch.setattr(leases, "_RENEW_S", 0.1)
        one, other = node("one", url), node("other", url)
        work = Computation()
        first = Running(lambda: one.get_or_compute("k", work, limit=0.5))
        assert work.began.wait(30)
        assert other.get_or_compute("k", lambda: "other") == "other"
        work.go.set()
        assert first.result() == 42

    def test_a_coroutine_that_is_cancelled_holds_up_nobody(self, url: str, node: Node) -> None:
        one, other = node("one", url), node("other", url)
        began = asyncio.Event()

        @plib_cache.cache(cache=one, version=1)
        async def f() -> int:
            began.set()
            await asyncio.sleep(300)
            return 1

        async def cancelled() -> None:
            task = asyncio.ensure_future(f())
            await began.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        assert stack_of(one)._leases._held == {}
        layer = stack_of(other)._layers[0]
        assert layer.tier.get(layer.name(f.cache_key())) is None

    def test_a_node_that_died_is_not_waited_for_long(
        self, url: str, node: Node, monkeypatch: pytest.MonkeyPatch, fork: Any
    ) -> None:
        monkeypatch.setattr(leases, "LEASE_S", 1.0)
        one, other = node("one", url), node("other", url)
        child = fork(lambda: one.get_or_compute("k", lambda: time.sleep(300)))
        layer = stack_of(other)._layers[0]
        wait_until(lambda: layer.tier.get(b"k") == b"")
        child.kill()
        assert other.get_or_compute("k", lambda: "other") == "other"

    def test_tagged_results_stay(self, url: str, node: Node) -> None:
        one, other = node("one", url), node("other", url)
        assert one.get_or_compute("k", lambda: 1, tags=["t"]) == 1
        one.wait_remote(30)
        assert other.get_or_compute("k", lambda: 2) == 2

    def test_a_server_that_knows_no_claims(self, node: Node, start: Start) -> None:
        redis = start("redis").url
        one, other = node("one", redis), node("other", redis)
        assert one.get_or_compute("k", lambda: 1) == 1
        one.wait_remote(30)
        assert other.get_or_compute("k", lambda: 2) == 1
        assert counts(one).claims == 0

    def test_an_old_memcached_knows_no_claims(self, node: Node) -> None:
        def behave(connection: Any) -> None:
            while request := connection.recv(1 << 16):
                get = request.startswith(b"get ")
                connection.sendall(b"END\r\n" if get else b"ERROR\r\n")

        with servers.fake(behave) as server:
            one = node("one", server.url)
            assert one.get_or_compute("k", lambda: 1) == 1
            assert one.get_or_compute("l", lambda: 1) == 1
            assert counts(one).claims == 0


class TestTierClaims:
    """memcached's meta commands."""

    def test_claims(self, url: str, node: Node) -> None:
        tier = stack_of(node("one", url))._layers[0].tier
        token = tier.claim(b"k", 30)
        assert token > 0
        assert tier.claim(b"k", 30) == TAKEN
        newer = tier.renew(b"k", token, 30)
        assert newer not in (None, 0, token)
        assert tier.renew(b"k", token, 30) == 0
        tier.abandon(b"k", token)
        assert tier.claim(b"k", 30) == TAKEN
        tier.abandon(b"k", newer)
        assert tier.claim(b"k", 30) > 0
        tier.set_many([(b"l", b"v", None)])
        assert tier.claim(b"l", 30) == THERE
        tier.set_many([(b"m", b"", None)])
        assert tier.claim(b"m", 30) == THERE  # an empty value of somebody else
        assert tier.get(b"l") == b"v"
        tier.abandon(b"l", 1)
        assert tier.get(b"l") == b"v"


class TestDecorator:
    def test_shared_between_nodes(self, url: str, node: Node) -> None:
        calls: list[int] = []

        def f(x: int) -> dict[str, int]:
            calls.append(x)
            return {"x": x}

        remote = url + "&write=sync"
        at_one = plib_cache.cache(cache=node("one", remote), version=1)(f)
        at_other = plib_cache.cache(cache=node("other", remote), version=1)(f)
        assert at_one(3) == at_other(3) == at_other(3) == {"x": 3}
        assert calls == [3]

    def test_its_own_remote(self, url: str, start: Start) -> None:
        calls: list[int] = []

        def f(x: int) -> int:
            calls.append(x)
            return x + 1

        remote = url + "&write=sync"
        with Cache("one", size="8MiB") as one, Cache("other", size="8MiB") as other:
            at_one = plib_cache.cache(cache=one, remote=remote, version=1)(f)
            at_other = plib_cache.cache(cache=other, remote=remote, version=1)(f)
            assert at_one(1) == at_other(1) == at_other(1) == 2
            assert calls == [1]
            assert at_other.cache_info()[:2] == (2, 0)  # found elsewhere is found
            at_other.invalidate(1)
            assert at_other(1) == 2
            assert calls == [1, 1]
            at_one.refresh(1)
            assert calls == [1, 1, 1]

    def test_configured(self, url: str) -> None:
        plib_cache.configure(size="8MiB", remote=url)

        @plib_cache.cache
        def f(x: int) -> int:
            return x

        assert f(1) == 1
        cache = plib_cache.get_cache()
        assert cache.stats().remote is not None
        assert cache.wait_remote(30)
        assert counts(cache).writes_delivered == 1
        cache.close()

    def test_nonsense_is_said_at_once(self) -> None:
        with pytest.raises(plib_cache.ConfigurationError, match="remote="):
            plib_cache.cache(remote="nonsense")(len)

    def test_tags_stay_on_the_node(self, node: Node) -> None:
        tier = DictTier()

        @plib_cache.cache(cache=node("one", tier), tags=["t"])
        def f(x: int) -> int:
            return x

        @plib_cache.cache(cache=node("two", tier), namespace="n")
        def g(x: int) -> int:
            return x

        assert f(1) == g(1) == 1
        assert tier.held == {}

    def test_coroutines(self, url: str, node: Node) -> None:
        calls: list[int] = []

        async def f(x: int) -> int:
            calls.append(x)
            await asyncio.sleep(0)
            return x

        remote = url + "&write=sync"
        at_one = plib_cache.cache(cache=node("one", remote), version=1)(f)
        at_other = plib_cache.cache(cache=node("other", remote), version=1)(f)

        async def all_at_once() -> list[int]:
            found = await asyncio.gather(*(at_one(1) for _ in range(5)))
            return found + await asyncio.gather(*(at_other(1) for _ in range(5)))

        assert asyncio.run(all_at_once()) == [1] * 10
        assert calls == [1]

    def test_in_place(self, url: str, node: Node) -> None:
        numpy = pytest.importorskip("numpy")
        remote = url + "&write=sync"

        def f() -> Any:
            return numpy.arange(50_000)

        at_one = plib_cache.cache(cache=node("one", remote), copy=False)(f)
        at_other = plib_cache.cache(cache=node("other", remote), copy=False)(f)
        at_one()
        found = at_other()
        assert (found == numpy.arange(50_000)).all()
        assert not found.flags.writeable

    def test_not_stored_when_invalidated_meanwhile(self, node: Node) -> None:
        """A result whose claim is gone goes nowhere."""
        tier = DictTier()
        cache = node("one", tier)

        @plib_cache.cache(cache=cache)
        def f() -> int:
            f.invalidate()
            return 1

        assert f() == 1
        assert cache.wait_remote(30)
        assert tier.held == {}
