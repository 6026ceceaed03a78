# SPDX-License-Identifier: BSD-3-Clause
"""``PlibCachePlugin``: workers share the machine's cache, also over clusters."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import plib_cache

pytest.importorskip("distributed")

SLOW = """
import json, os
from distributed import Client, LocalCluster
import plib_cache
from plib_cache.integrations.dask import PlibCachePlugin


@plib_cache.cache
def slow(n):
    with open("computed", "a") as log:
        log.write(f"{n}\\n")
    return n * n
"""

CLUSTERS = """

def where(dask_worker):
    cache = plib_cache.get_cache()
    return [os.getpid(), cache.path, cache.info().size, "plib_cache" in dask_worker.extensions]


def cluster(workers):
    return LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)


if __name__ == "__main__":
    seen = {}
    with cluster(1) as first, Client(first) as client:
        client.register_plugin(PlibCachePlugin("shared", size="8MiB"))
        client.register_plugin(PlibCachePlugin("shared", size="8MiB"))  # changes nothing
        seen["squares"] = client.gather(client.map(slow, range(5)))
        first.scale(2)
        client.wait_for_workers(2)
        seen["workers"] = list(client.run(where).values())
        client.submit(lambda: plib_cache.get_cache().set("k", 1)).result()
    with cluster(1) as second, Client(second) as client:
        client.register_plugin(PlibCachePlugin("shared", size="32MiB"))  # it keeps its size
        seen["again"] = client.gather(client.map(slow, range(6)))
        seen["later"] = list(client.run(where).values())
        seen["value"] = client.submit(lambda: plib_cache.get_cache().get("k")).result()
    print(json.dumps(seen))
"""


def test_results_are_shared_by_workers_and_survive_the_cluster(
    program: Callable[..., Any], tmp_path: Path, regions: Path
) -> None:
    """All workers, also one that joined later and the next cluster's, use one region."""
    seen = program(SLOW + CLUSTERS)
    assert seen["squares"] == [0, 1, 4, 9, 16]
    assert seen["again"] == [0, 1, 4, 9, 16, 25]
    assert sorted((tmp_path / "computed").read_text().split()) == ["0", "1", "2", "3", "4", "5"]
    workers = seen["workers"] + seen["later"]
    assert len({pid for pid, *_ in workers}) == 3
    assert {tuple(rest) for _, *rest in workers} == {(str(regions / "shared"), 8 << 20, True)}
    assert seen["value"] == 1


IN_PROCESS = """
import json
import plib_cache
from distributed import Client, LocalCluster
from plib_cache.integrations.dask import PlibCachePlugin

seen = []
with LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster:
    with Client(cluster) as client:
        client.register_plugin(PlibCachePlugin("shared", size="8MiB"))
        workers = list(cluster.workers.values())
        seen.append(plib_cache.get_cache().path)
        opened = [worker.extensions["plib_cache"].cache for worker in workers]
        client.unregister_worker_plugin(PlibCachePlugin("shared").name)
        seen.append(["plib_cache" in worker.extensions for worker in workers])
        seen.append([cache.closed for cache in opened])
        seen.append(plib_cache.get_cache().path)
print(json.dumps(seen))
"""


def test_nothing_is_left_behind(program: Callable[..., Any], regions: Path) -> None:
    """When the plugin is removed the workers have detached and the default cache is as before."""
    shared, default = str(regions / "shared"), str(regions / "default")
    assert program(IN_PROCESS) == [shared, [False, False], [True, True], default]


PRELOAD = """
import json
from distributed import Client, LocalCluster
import plib_cache

if __name__ == "__main__":
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None,
        preload=["plib_cache.integrations.dask"],
    ) as cluster, Client(cluster) as client:
        path = client.submit(lambda: plib_cache.get_cache().path).result()
    print(json.dumps(path))
"""


def test_preload(program: Callable[..., Any], regions: Path) -> None:
    """A worker that is started with --preload has the cache that dask's configuration names."""
    environment = {"DASK_PLIB_CACHE__NAME": "preloaded", "DASK_PLIB_CACHE__SIZE": "8MiB"}
    assert program(PRELOAD, **environment) == str(regions / "preloaded")


REFUSED = """
import json
from distributed import Client
import plib_cache
from plib_cache.integrations.dask import PlibCachePlugin

client = Client(processes=False, dashboard_address=None)
try:
    client.register_plugin(PlibCachePlugin("no/name"))
except plib_cache.ConfigurationError as error:
    print(json.dumps(str(error)))
finally:
    client.close()
"""


def test_what_cannot_be_opened_is_told_at_once(program: Callable[..., Any]) -> None:
    """Registering a plugin that no worker can use is an error that says what to do."""
    assert "cannot name a region" in program(REFUSED)


BUSY = """

if __name__ == "__main__":
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster, Client(cluster) as client:
        client.register_plugin(PlibCachePlugin("shared"))
        seen = [client.submit(slow, n, pure=False).result() for n in (1, 2, 2)]
    print(json.dumps(seen))
"""


def test_a_stopped_process_holds_the_locks(
    program: Callable[..., Any], tmp_path: Path, stopped_holder: Any
) -> None:
    """Tasks return their results, and what cannot be stored just now is computed again."""
    with plib_cache.Cache("shared", size="8MiB") as cache:
        child = stopped_holder(cache)
        assert program(SLOW + BUSY) == [1, 4, 4]
        child.kill(signal.SIGCONT)
        assert child.result() is None
        assert program(SLOW + BUSY) == [1, 4, 4]
        assert (tmp_path / "computed").read_text().split() == ["1", "2", "2", "1", "2"]
        assert cache.check() == []
