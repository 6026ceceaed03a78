# SPDX-License-Identifier: BSD-3-Clause
"""A user's program on a node of ``test_hybrid.py``: two joblib processes, and maybe a dask client.

python hybrid_node.py [SCHEDULER N]     a line of standard input is a JSON list, the name of a
                                        method of ``Node`` and its arguments; so is the answer
"""

from __future__ import annotations

import json
import sys
from typing import Any

import hybrid_work
from dask_nodes import Nodes
from distributed import Client
from joblib import Parallel, delayed


class Node:
    """What the test asks for."""

    def __init__(self, client: Client | None, n: int) -> None:
        self._client = client
        if client is not None:
            client.wait_for_workers(n, timeout=60)
            self._nodes = Nodes.of(client)
            self._nodes.know_each_other()

    def joblib(self, name: str, numbers: list[int], url: str) -> list[Any]:
        """Results, as two joblib processes have them."""
        work = delayed(hybrid_work.outcome)
        made: list[Any] = Parallel(n_jobs=2)(work("joblib", name, x, url) for x in numbers)
        return made

    def dask(self, node: int | None, name: str, numbers: list[int], url: str) -> list[Any]:
        """Results, as a dask worker has them: that of a node, or (None) any."""
        made: list[Any] = self._gathered(self._begin(node, name, numbers, url))
        return made

    def together(self, name: str, numbers: list[int], url: str) -> list[Any]:
        """Results of both, at the same time."""
        begun = self._begin(None, name, numbers, url)
        return self.joblib(name, numbers, url) + self._gathered(begun)

    def limit(self, seconds: float) -> None:
        """Have the dask workers wait so long for each other."""
        assert self._client is not None

        def wait_so_long(dask_worker: Any) -> None:
            dask_worker.extensions["plib_cache"].nodes._limit = seconds

        self._client.run(wait_so_long)

    def _begin(self, node: int | None, name: str, numbers: list[int], url: str) -> Any:
        assert self._client is not None
        workers = None if node is None else [self._nodes.addresses[node]]
        args = [[one] * len(numbers) for one in ("dask", name)]
        urls = [url] * len(numbers)
        return self._client.map(
            hybrid_work.outcome, *args, numbers, urls, workers=workers, pure=False
        )

    def _gathered(self, begun: Any) -> list[Any]:
        assert self._client is not None
        found: list[Any] = self._client.gather(begun)
        return found


def main() -> None:
    """Serve until standard input ends."""
    client, n = None, 0
    if len(sys.argv) > 1:
        client, n = Client(sys.argv[1], timeout=60), int(sys.argv[2])
    node = Node(client, n)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *args = json.loads(line)
        print(json.dumps(getattr(node, name)(*args)), flush=True)


if __name__ == "__main__":
    main()
