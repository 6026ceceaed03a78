# SPDX-License-Identifier: BSD-3-Clause
"""Clusters for the tests: workers as processes, with the plugin, on a region of their own."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

import dask
from dask_nodes import Nodes
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster
from waiting import wait_until

from plib_cache.integrations.dask import PlibCachePlugin, counts

from .steps import Steps

QUIET = {
    # it drops extra copies every two seconds, which tests count
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.comm.timeouts.connect": "30s",
}


class Workers:
    """A cluster, a client, and what tests ask of them."""

    def __init__(self, cluster: LocalCluster, client: Client, path: Path) -> None:
        self.cluster = cluster
        self.client = client
        self.path = path

    @property
    def addresses(self) -> list[str]:
        """The workers, in a fixed order."""
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def counts(self, *names: str) -> dict[str, float]:
        """The workers' counts, added up."""
        told = self.client.run(counts).values()
        return {name: sum(one[name] for one in told) for name in names}

    def forget(self) -> None:
        """Wait until the workers have forgotten all tasks, as nobody wants their results."""

        def known(dask_worker: Any) -> int:
            return len(dask_worker.state.tasks)

        wait_until(lambda: not any(self.client.run(known).values()), "all to be forgotten")


@contextlib.contextmanager
def workers_of(path: Path, n: int, plugin: dict[str, Any] | None, **options: Any) -> Iterator[Any]:
    """A cluster of n workers; plugin None: without it."""
    config = {**QUIET, **options.pop("config", {})}
    with (
        dask.config.set(config),
        LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=":0", **options
        ) as cluster,
        Client(cluster, timeout=60) as client,
    ):
        client.wait_for_workers(n, timeout=60)
        if plugin is not None:
            client.register_plugin(PlibCachePlugin(path=path, **{"size": "256MiB", **plugin}))
        yield Workers(cluster, client, path)


@contextlib.contextmanager
def nodes_of(folder: Path, n: int, kind: type = Nanny, **options: Any) -> Iterator[Nodes]:
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
        yield nodes


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for regions of all tests of a module."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="plib-cache-tests-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def three(folder: Path) -> Iterator[Workers]:
    """Three workers that share a region, for all tests of a module that harm none."""
    with workers_of(folder / "three", 3, {}) as workers:
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


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """The module, where workers find it."""
    monkeypatch.syspath_prepend(tmp_path)  # of which a worker's are a copy
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it is edited within a second
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return Steps(tmp_path)
