# SPDX-License-Identifier: BSD-3-Clause
"""Many graphs, one behind the other: workers grow neither in memory, pages, files nor threads.

    python tests/integrations/clusters/life.py [--graphs N]

Prints what was measured as JSON in the last line; a row for ``make soak``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import dask
import dask_tasks as tasks
from distributed import Client, LocalCluster
from waiting import wait_until

import plib_cache
from plib_cache.integrations.dask import PlibCachePlugin

TIMES = 4  # of the usual limit for what hangs
GROWTH_KIB = 40 << 10  # that dask's own logs and profiles of so many tasks may take
QUIET = {"distributed.scheduler.active-memory-manager.start": False}


def measured(dask_worker: Any) -> dict[str, int]:
    """A worker's own memory in KiB, its files, its threads, and what it holds."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    store = dask_worker.extensions["plib_cache"].store
    return {
        "memory": int(re.findall(r"^RssAnon:\s+(\d+)", status, re.M)[0]),
        "threads": int(re.findall(r"^Threads:\s+(\d+)", status, re.M)[0]),
        "files": len(os.listdir("/proc/self/fd")),
        "held": len(store.held),
    }


def graph(client: Client, number: int, addresses: list[str]) -> None:
    """Arrays on one worker, sums on the other."""
    first, second = addresses if number % 2 else addresses[::-1]
    made = client.map(tasks.numbers, [number, number + 1], [1, 1], workers=[first], pure=False)
    sums = client.map(tasks.total, made, workers=[second], pure=False)
    expected = [tasks.total(tasks.numbers(number + i, 1)) for i in range(2)]
    assert client.gather(sums) == expected


def settled(client: Client, cache: plib_cache.Cache) -> dict[str, dict[str, int]]:
    """What the workers are like when they hold nothing any more."""

    def told() -> Any:
        numbers = client.run(measured)
        held = any(one["held"] for one in numbers.values()) or cache.stats().leased
        return None if held else numbers

    found: dict[str, dict[str, int]] = wait_until(told, "what is held", TIMES, pause=0.05)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--graphs", type=int, default=10_000 if os.environ.get("SOAK") else 150)
    options = parser.parse_args()
    graphs = max(50, options.graphs * int(os.environ.get("ROUNDS", "100")) // 100)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="plib-cache-life-") as name,
        dask.config.set(QUIET),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        path = Path(name) / "region"
        plugin = PlibCachePlugin(path=path, size="64MiB", threshold="64 KiB", keep=("total",))
        client.register_plugin(plugin)
        addresses = sorted(tasks.workers_now(client))
        with plib_cache.Cache(path=path) as cache:
            for number in range(graphs // 5):  # until everything has been used
                graph(client, number, addresses)
            before = settled(client, cache)
            for number in range(graphs // 5, graphs):
                graph(client, number, addresses)
            after = settled(client, cache)
            faults = [str(one) for one in cache.check()]
            cache.clear()
            faults += cache._drain()  # what is out of date keeps its pages until they are wanted
            pages = cache.stats().used
        grown = {
            what: max(after[one][what] - before[one][what] for one in after)
            for what in ("memory", "threads", "files")
        }
    found = {"graphs": graphs, "grown": grown, "faults": faults, "pages": pages}
    fine = grown["memory"] < GROWTH_KIB and grown["threads"] <= 2 and grown["files"] <= 4
    fine = fine and not faults and not pages
    if table := os.environ.get("SOAK_TABLE"):
        with Path(table).open("a") as rows:
            figures = f"{graphs} graphs; grown by {grown['memory']} KiB, {grown['files']} files"
            rows.write(f"| dask: a long life | {figures} | {'ok' if fine else found} |\n")
    print(json.dumps(found))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
