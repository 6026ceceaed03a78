# SPDX-License-Identifier: BSD-3-Clause
"""Nodes of one cluster find what the others have computed and stored; none waits for a lost one."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dask_nodes import Nodes, look, store
from dask_tasks import workers_now
from distributed.security import Security
from waiting import stop, wait_until

import plib_cache
from plib_cache import ConfigurationError
from plib_cache.integrations.dask._memory import NANNY_PLUGIN
from plib_cache.remote import open as open_tiers

from .conftest import nodes_of

KEYS = 40


@pytest.fixture(scope="module")
def nodes(folder: Path) -> Iterator[Nodes]:
    """Three nodes, for tests that harm none."""
    with nodes_of(folder, 3) as made:
        yield made


def test_what_one_node_stores_the_others_find(nodes: Nodes) -> None:
    """Wherever a key is at home; and the second look finds it on the node."""
    keys = [f"key-{n}" for n in range(KEYS)]
    assert {nodes.home(key) for key in keys} == {0, 1, 2}
    nodes.on(0, store, keys)
    for node in (1, 2):
        wait_until(lambda node=node: all(nodes.on(node, look, keys)))
        asked = nodes.counts(node)["nodes_asked"]
        assert asked > 0
        assert all(nodes.on(node, look, keys))
        assert nodes.counts(node)["nodes_asked"] == asked


def test_many_are_one_request_for_each_node(nodes: Nodes) -> None:
    """``get_many`` asks each home once."""
    keys = [f"many-{n}" for n in range(KEYS)]
    nodes.on(0, store, keys)
    before = nodes.counts(1)["nodes_asked"]

    def look_together(keys: list[str]) -> int:
        return len(plib_cache.get_cache().get_many(keys))

    found = nodes.on(1, look_together, keys)
    assert nodes.counts(1)["nodes_asked"] - before <= 2
    assert found == KEYS or nodes.counts(1)["nodes_lost"]  # a busy machine may be too slow


def test_a_decorated_function_is_computed_once_for_all(nodes: Nodes) -> None:
    """Its results are found on the other nodes."""

    numbers = itertools.count()

    def call(number: int) -> int:
        runs = []

        @plib_cache.cache
        def function(x: int) -> int:
            runs.append(x)
            return x * x

        assert function(number) == number * number
        assert plib_cache.get_cache().wait_remote(30)
        return len(runs)

    def once() -> bool:  # but for a look that took too long, on a busy machine
        number = next(numbers)
        return [nodes.on(node, call, number) for node in (0, 1, 2)] == [1, 0, 0]

    wait_until(once, "a result to be found on the other nodes")


def test_deleted_on_one_node_is_gone_from_its_home(nodes: Nodes) -> None:
    """A node that has no copy does not find it any more."""
    keys = [f"gone-{n}" for n in range(KEYS)]
    nodes.on(0, store, keys)

    def remove(keys: list[str]) -> None:
        cache = plib_cache.get_cache()
        cache.delete_many(keys)
        assert cache.wait_remote(30)

    nodes.on(0, remove, keys)
    assert not any(nodes.on(1, look, keys))


def test_large_values(nodes: Nodes) -> None:
    """What is larger than a frame comes whole."""

    def make(size: int) -> None:
        cache = plib_cache.get_cache()
        cache["large"] = os.urandom(16) * (size // 16)
        assert cache.wait_remote(30)

    def length() -> int:
        return len(plib_cache.get_cache().get("large", b""))

    nodes.on(0, make, 5 << 20)
    for node in (0, 1, 2):
        wait_until(lambda node=node: nodes.on(node, length) == 5 << 20)


def test_their_nannies_are_told(nodes: Nodes) -> None:
    """A worker that is started with the plugin tells its nanny what not to count, once it can."""

    def told(dask_worker: Any) -> bool:
        return NANNY_PLUGIN in dask_worker.plugins

    wait_until(lambda: all(nodes.client.run(told, nanny=True).values()), "the nannies")


def test_a_cache_goes_to_workers_only(nodes: Nodes) -> None:
    """There it is that worker's own; elsewhere the error says why it cannot be had."""
    assert nodes.on(0, lambda: pickle.loads(pickle.dumps(plib_cache.get_cache())) is not None)
    sent = nodes.on(0, lambda: pickle.dumps(plib_cache.get_cache()))
    with pytest.raises(ConfigurationError, match="dask cluster"):
        pickle.loads(sent)


def processes(nodes: Nodes) -> list[int]:
    """The process of each node's worker."""
    pids = nodes.client.run(os.getpid)
    return [pids[address] for address in nodes.addresses]


def test_a_node_that_does_not_answer(tmp_path: Path) -> None:
    """One look waits for it, the next ones do not ask; when it answers again, it is asked again."""
    with nodes_of(tmp_path, 2) as made:
        keys = made.keys_at(1, 60)
        first, rest = keys[:20], keys[20:]
        made.on(1, store, first)
        made.on(1, store, rest)
        wait_until(lambda: all(made.on(0, look, first[:10])))
        before, stopped = made.counts(0), processes(made)[1]
        stop(stopped)
        try:
            assert not any(made.on(0, look, first[10:]))
            after = made.counts(0)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert after["nodes_lost"] - before["nodes_lost"] == 1
        assert after["nodes_asked"] - before["nodes_asked"] == 1
        wait_until(lambda: all(made.on(0, look, rest)), "it to be asked again")


def test_a_node_that_dies(tmp_path: Path) -> None:
    """Looks go on without it, by one failure at most; what it held is computed again."""
    with nodes_of(tmp_path, 2) as made:
        keys = made.keys_at(1, 40)
        made.on(1, store, keys)
        before, dying = made.counts(0), processes(made)[1]
        os.kill(dying, signal.SIGKILL)
        found = made.on(0, look, keys)
        assert made.counts(0)["nodes_lost"] - before["nodes_lost"] <= 1
        made.on(0, store, [key for key, there in zip(keys, found, strict=True) if not there])
        assert all(made.on(0, look, keys))
        # its nanny starts another worker, on the same region
        made.client.wait_for_workers(2, timeout=60)
        wait_until(lambda: len(workers_now(made.client)) == 2)


def test_without_the_plugin_nothing_is_left(tmp_path: Path) -> None:
    """Neither a thread, nor a handler, nor anything that keeps the worker."""
    with nodes_of(tmp_path, 2) as made:
        made.on(0, store, [f"key-{n}" for n in range(KEYS)])

        def left(dask_worker: Any) -> list[str]:
            threads = [one.name for one in threading.enumerate()]
            found = [name for name in threads if name.startswith("plib_cache")]
            found += [str(tier) for key in open_tiers._stacks for tier in key[0]]
            found += [name for name in dask_worker.handlers if name.startswith("plib_cache")]
            return found + [name for name in dask_worker.metrics if name.startswith("plib_cache")]

        async def end(dask_worker: Any) -> None:
            (name,) = [name for name in dask_worker.plugins if name.startswith("plib-cache")]
            await dask_worker.plugin_remove(name=name)

        worker = made.addresses[0]
        assert made.client.run(left, workers=[worker])[worker]
        made.client.run(end, workers=[worker])
        wait_until(lambda: not made.client.run(left, workers=[worker])[worker])


def test_tls(tmp_path: Path) -> None:
    """Over dask's own TLS, without a word about it."""
    security = Security.temporary()
    with nodes_of(tmp_path, 2, security=security) as made:
        assert all(address.startswith("tls://") for address in made.addresses)
        keys = [f"key-{n}" for n in range(KEYS)]
        made.on(0, store, keys)
        wait_until(lambda: all(made.on(1, look, keys)))
        assert made.counts(1)["nodes_asked"] > 0
