# SPDX-License-Identifier: BSD-3-Clause
"""The tiers of a dask cluster's nodes, in this process: each worker has a region of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Scheduler, SpecCluster, Worker
from waiting import wait_until

from plib_cache.integrations.dask import PlibCachePlugin
from plib_cache.tiers import Tier

from .servers import HANG_S

QUIET = {"distributed.admin.system-monitor.gil.enabled": False}
HERE = {"host": "127.0.0.1", "dashboard_address": ":0"}


@contextlib.contextmanager
def tiers_of(folder: Path, n: int) -> Iterator[list[Tier]]:
    """The tiers of n workers that know each other, which are patient as those of servers are."""

    def worker(at: int) -> dict[str, Any]:
        plugin = PlibCachePlugin(path=str(folder / f"node-{at}"), size="64MiB")
        return {"cls": Worker, "options": {**HERE, "nthreads": 1, "name": at, "plugins": [plugin]}}

    with (
        dask.config.set(QUIET),
        SpecCluster(
            workers={at: worker(at) for at in range(n)},
            scheduler={"cls": Scheduler, "options": HERE},
        ) as cluster,
        Client(cluster, timeout=HANG_S) as client,
    ):
        client.wait_for_workers(n, timeout=HANG_S)
        tiers: list[Any] = [one.extensions["plib_cache"].nodes for one in cluster.workers.values()]
        wait_until(lambda: all(len(tier.others) == n - 1 for tier in tiers), "the nodes")
        for tier in tiers:
            tier._limit = HANG_S
        yield tiers
