# SPDX-License-Identifier: BSD-3-Clause
"""Clusters for the tests: workers as processes, with the plugin, on a region of their own."""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

import dask
import dask_tasks as tasks
from dask_nodes import Nodes, wait_until_forgotten
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster, wait
from waiting import wait_until

from plib_cache.integrations.dask import PlibCachePlugin, counts

from .steps import Steps

QUIET = {
    # it drops extra copies every two seconds, which tests count
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.comm.timeouts.connect": "30s",
}


# Of the plugin, where failures are counted: to ask a busy scheduler which nodes there are may take
# longer than the second that workers wait for it, and is such a failure.
NO_NODES = {"nodes": False}


class Workers:
    """A cluster, a client, and what tests ask of them."""

    def __init__(self, cluster: LocalCluster, client: Client, path: Path) -> None:
        self.cluster = cluster
        self.client = client
        self.path = path

    @property
    def addresses(self) -> list[str]:
        """The workers, in a fixed order."""
        return sorted(tasks.workers_now(self.client))

    def counts(self, *names: str) -> dict[str, float]:
        """The workers' counts, added up."""
        told = self.client.run(counts).values()
        return {name: sum(one[name] for one in told) for name in names}

    def settle(self) -> None:
        """Wait until all values that come into the region are there."""

        def pending(dask_worker: Any) -> int:
            there: int = dask_worker.extensions["plib_cache"].placing.pending
            return there

        wait_until(lambda: not any(self.client.run(pending).values()), "values to be placed")

    def exchange(self) -> Any:
        """One makes an array and another one looks at it; one keeps a result. Gives the array."""
        first, second, *_ = self.addresses
        made = self.client.submit(tasks.numbers, 1, workers=[first], pure=False)
        wait(self.client.submit(tasks.own_pid, made, workers=[second], pure=False))
        assert self.client.submit(tasks.slow, 1, workers=[first], pure=True).result() == 2
        return made

    def forget(self) -> None:
        """See ``wait_until_forgotten``."""
        wait_until_forgotten(self.client)


def be_patient(client: Client) -> None:
    """Have workers wait long for others to hear their notes: a busy machine is no deaf worker."""

    def wait_long(dask_worker: Any) -> None:
        results = dask_worker.extensions["plib_cache"].results
        if results is not None:
            results.notes._limit = 30.0

    client.run(wait_long)


@contextlib.contextmanager
def workers_of(path: Path, n: int, plugin: dict[str, Any] | None, **options: Any) -> Iterator[Any]:
    """A cluster of n workers; plugin None: without it."""
    config = {**QUIET, **options.pop("config", {})}
    options = {"dashboard_address": ":0", **options}
    with (
        dask.config.set(config),
        LocalCluster(n_workers=n, threads_per_worker=1, **options) as cluster,
        Client(cluster, timeout=60) as client,
    ):
        client.wait_for_workers(n, timeout=60)
        if plugin is not None:
            client.register_plugin(PlibCachePlugin(path=path, **{"size": "256MiB", **plugin}))
            be_patient(client)
        yield Workers(cluster, client, path)


@contextlib.contextmanager
def nodes_of(
    folder: Path, n: int, kind: type = Nanny, patient: bool = True, **options: Any
) -> Iterator[Nodes]:
    """N nodes in one cluster: each is a worker with a region of its own."""
    security = options.pop("security", None)
    common = {"nthreads": 1, "dashboard_address": ":0", "security": security, "host": "127.0.0.1"}

    def worker(at: int) -> dict[str, Any]:
        given = {"path": str(folder / f"node-{at}"), "size": "64MiB", **options}
        plugin = PlibCachePlugin(**given)
        return {"cls": kind, "options": {**common, "name": at, "plugins": [plugin]}}

    scheduler = {
        "cls": Scheduler,
        "options": {"dashboard_address": ":0", "security": security, "host": "127.0.0.1"},
    }
    with (
        dask.config.set(QUIET),
        SpecCluster(
            workers={at: worker(at) for at in range(n)}, scheduler=scheduler, security=security
        ) as made,
        Client(made, timeout=60, security=security) as client,
    ):
        client.wait_for_workers(n, timeout=60)
        nodes = Nodes.of(client)
        nodes.know_each_other()
        if patient:
            be_patient(client)
        yield nodes


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for regions of all tests of a module."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="plib-cache-tests-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def three(folder: Path) -> Iterator[Workers]:
    """Three workers that share a region, for all tests of a module that harm none."""
    with workers_of(folder / "three", 3, NO_NODES) as workers:
        yield workers


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Workers]]:
    """``start(n, plugin, **options)``: a cluster for one test; see ``workers_of``."""
    with contextlib.ExitStack() as stack:
        started = 0

        def begin(n: int, plugin: dict[str, Any] | None = None, **options: Any) -> Workers:
            nonlocal started
            started += 1
            path = options.pop("path", None) or folder / f"one-{started}"
            path.unlink(missing_ok=True)
            options.pop("before", lambda: None)()
            workers: Workers = stack.enter_context(workers_of(path, n, plugin or {}, **options))
            return workers

        yield begin


@pytest.fixture(scope="module")
def bare(folder: Path) -> Iterator[Workers]:
    """Two workers without the plugin, for all tests of a module that take it off again."""
    with workers_of(folder / "none", 2, None) as workers:
        yield workers


_numbers = itertools.count()


@pytest.fixture
def two(bare: Workers, folder: Path) -> Iterator[Workers]:
    """``bare``, with the plugin for one test, and a new region that keeps what ``slow`` gives."""
    workers = Workers(bare.cluster, bare.client, folder / f"two-{next(_numbers)}")
    plugin = PlibCachePlugin(path=workers.path, size="256MiB", keep=("slow",), **NO_NODES)
    workers.client.register_plugin(plugin)
    yield workers
    with contextlib.suppress(ValueError):  # the test did it
        workers.client.unregister_worker_plugin(plugin.name)
    workers.path.unlink()


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """The module, where workers find it."""
    monkeypatch.syspath_prepend(tmp_path)  # of which a worker's are a copy
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it is edited within a second
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return Steps(tmp_path)
