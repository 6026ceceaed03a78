# SPDX-License-Identifier: BSD-3-Clause
"""A dask cluster of several nodes, as the tests see it: each worker has a region of its own.

As a program it serves a test from a machine (``machines.py``) where a client can reach them all:

    python dask_nodes.py SCHEDULER N    a line of standard input is a JSON list, the name of a
                                        method of ``Served`` and its arguments; so is the answer
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from dask_tasks import workers_now
from distributed import Client
from waiting import wait_until

import plib_cache
from plib_cache.integrations.dask import counts
from plib_cache.remote.naming import Rendezvous


def store(keys: list[str]) -> None:
    """Store something under each key, and see it delivered."""
    cache = plib_cache.get_cache()
    for key in keys:
        cache[key] = [key] * 10
    assert cache.wait_remote(30)


def look(keys: list[str]) -> list[bool]:
    """Whether what was stored is found."""
    cache = plib_cache.get_cache()
    return [cache.get(key) == [key] * 10 for key in keys]


def wait_until_forgotten(client: Client) -> None:
    """Wait until the workers have forgotten all tasks, as nobody wants their results."""

    def known(dask_worker: Any) -> int:
        return len(dask_worker.state.tasks)

    wait_until(lambda: not any(client.run(known).values()), "all to be forgotten")


class Nodes:
    """A cluster whose workers are nodes, each with a region of its own."""

    def __init__(self, client: Client, addresses: list[str]) -> None:
        self.client = client
        self.addresses = addresses  # in the order of their nodes

    @classmethod
    def of(cls, client: Client) -> Any:
        """The workers of a cluster, in the order of their names."""
        found = workers_now(client)
        return cls(client, sorted(found, key=lambda address: str(found[address]["name"])))

    def on(self, node: int, function: Callable[..., Any], *args: Any) -> Any:
        """What a function gives as a task on a node."""
        worker = self.addresses[node]
        return self.client.submit(function, *args, workers=[worker], pure=False).result(60)

    def counts(self, node: int) -> dict[str, float]:
        """What the plugin of a node's worker counted."""
        worker = self.addresses[node]
        told: dict[str, float] = self.client.run(counts, workers=[worker])[worker]
        return told

    def know_each_other(self) -> None:
        """Wait until all nodes know all others."""

        def known(dask_worker: Any) -> int:
            return len(dask_worker.extensions["plib_cache"].nodes.others)

        n = len(self.addresses)
        wait_until(lambda: set(self.client.run(known).values()) == {n - 1})

    def home(self, key: str) -> int:
        """The node that a key is at home at."""

        def region(dask_worker: Any) -> str:
            told: str = dask_worker.extensions["plib_cache"].nodes.region
            return told

        regions = self.client.run(region)
        return Rendezvous([regions[one] for one in self.addresses]).home(key.encode())

    def keys_at(self, node: int, n: int) -> list[str]:
        """That many keys that are at home at a node."""
        found = [key for key in (f"key-{i}" for i in range(40 * n)) if self.home(key) == node]
        return found[:n]


class Served(Nodes):
    """What a test on another machine may ask."""

    def look(self, node: int, keys: list[str]) -> list[bool]:
        """Look for keys on a node."""
        found: list[bool] = self.on(node, look, keys)
        return found

    def store(self, node: int, keys: list[str]) -> None:
        """Store keys on a node."""
        self.on(node, store, keys)


def main() -> None:
    """Serve until standard input ends."""
    with Client(sys.argv[1], timeout=60) as client:
        client.wait_for_workers(int(sys.argv[2]), timeout=60)
        served = Served.of(client)
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            name, *args = json.loads(line)
            print(json.dumps(getattr(served, name)(*args)), flush=True)


if __name__ == "__main__":
    main()
