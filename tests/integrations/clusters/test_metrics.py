# SPDX-License-Identifier: BSD-3-Clause
"""The workers' numbers: what Prometheus scrapes, and what heartbeats carry to the scheduler."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask_tasks as tasks
import msgpack
import pytest
from distributed import Client, LocalCluster
from prometheus_client import REGISTRY, parser
from waiting import HANG_S, wait_until

from plib_cache import PlibCacheError
from plib_cache.integrations.dask import PlibCachePlugin, _numbers
from plib_cache.integrations.dask._counts import Counts
from plib_cache.integrations.dask._store import HeldValues

MIB = 1 << 20
LOOK_S = 0.1  # between two looks at a cluster


def scrape(client: Client) -> list[dict[str, Any]]:
    """Each worker's families of ours, by name, as Prometheus reads them."""
    ports = client.run(lambda dask_worker: dask_worker.http_server.port)
    found = []
    for _, port in sorted(ports.items()):
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=HANG_S) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            families = list(parser.text_string_to_metric_families(answer.read().decode()))
        assert "dask_worker_threads" in [one.name for one in families]  # dask's, as ever
        ours = [one for one in families if one.name.startswith("plib_cache")]
        found.append({one.name: one for one in ours})
        assert len(found[-1]) == len(ours), "a family is told twice"
    return found


def summed(client: Client, name: str) -> float:
    """A family of the workers, added up."""
    return sum(sample.value for one in scrape(client) for sample in one[name].samples)


def of_region(client: Client, name: str) -> float:
    """A family of the region, which all workers tell alike."""
    return float(scrape(client)[0][f"plib_cache_region_{name}"].samples[0].value)


# ---- Prometheus


def test_metrics_grow_with_work(two: Any) -> None:
    """Each kind of work is in its family; what is held is told as long as it is."""
    client, size = two.client, tasks.numbers(1).nbytes
    assert summed(client, "plib_cache_placed") == summed(client, "plib_cache_held_bytes") == 0
    made = two.exchange()
    for name in ("placed", "handed", "taken", "misses", "kept"):
        assert summed(client, f"plib_cache_{name}") == 1, name
    for name in ("placed_bytes", "not_sent_bytes", "taken_bytes"):
        assert size <= summed(client, f"plib_cache_{name}") < size + MIB, name
    assert summed(client, "plib_cache_held") == 2  # the one copy, with a lease of each worker
    assert 2 * size <= summed(client, "plib_cache_held_bytes") < 2 * (size + MIB)
    assert of_region(client, "leased_bytes") >= 2 * size
    assert of_region(client, "leases") >= 2

    del made
    two.forget()
    wait_until(lambda: summed(client, "plib_cache_held") == 0, "leases given back", pause=LOOK_S)
    assert summed(client, "plib_cache_held_bytes") == 0
    assert client.submit(tasks.slow, 1, pure=True).result() == 2
    assert summed(client, "plib_cache_hits") == 1
    assert of_region(client, "saved_seconds") >= 0.04  # it sleeps for 0.05
    assert summed(client, "plib_cache_failures") == 0


def test_metrics_are_named_and_described(two: Any) -> None:
    """As Prometheus wants it: counters are ``_total``, units are in the name, each has its help."""
    (first, second) = scrape(two.client)
    assert len(first) > 20
    for name, family in first.items():
        assert family.type in ("counter", "gauge"), name
        assert family.documentation.endswith("."), name
        suffix = "_total" if family.type == "counter" else ""
        assert [sample.name for sample in family.samples] == [name + suffix], name
        label = "region" if name.startswith("plib_cache_region_") else "worker"
        assert list(family.samples[0].labels) == [label], name
    (region,) = {
        sample.labels["region"]
        for one in (first, second)
        for sample in one["plib_cache_region_size_bytes"].samples
    }
    assert region == str(two.path)
    told = [one["plib_cache_placed"].samples[0].labels["worker"] for one in (first, second)]
    assert sorted(told) == two.addresses


def test_workers_of_one_process(folder: Path) -> None:
    """Each family is told once, with a label for each of them; the last one removes it."""
    with (
        LocalCluster(
            n_workers=2, processes=False, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(PlibCachePlugin(path=folder / "threads", size="64MiB"))
        for told in scrape(client):
            workers = {sample.labels["worker"] for sample in told["plib_cache_placed"].samples}
            assert workers == set(tasks.workers_now(client))
            assert len(told["plib_cache_region_hits"].samples) == 1
    assert not [one for one in REGISTRY.collect() if one.name.startswith("plib_cache")]


def test_a_cache_that_cannot_be_asked(start: Callable[..., Any]) -> None:
    """The region's families are left out, the endpoint and the heartbeats go on."""
    workers = start(1, processes=False)

    def close(dask_worker: Any) -> None:
        dask_worker.extensions["plib_cache"].cache.close()

    workers.client.run(close)
    (told,) = scrape(workers.client)
    assert "plib_cache_placed" in told
    assert "plib_cache_region_hits" not in told
    assert summed(workers.client, "plib_cache_failures") >= 1


# ---- heartbeats


def metrics(dask_scheduler: Any) -> list[Any]:
    """What the newest heartbeats told of our numbers; None of a worker that told nothing."""
    return [one.metrics.get(_numbers.METRIC) for one in dask_scheduler.workers.values()]


def test_numbers_come_and_go_with_the_plugin(two: Any) -> None:
    """Without it there are dask's own only, also after it was there."""
    client = two.client

    def told() -> list[Any]:
        found: list[Any] = client.run_on_scheduler(metrics)
        return found

    assert all(scrape(client))
    wait_until(lambda: all(told()), "heartbeats", pause=LOOK_S)
    name = PlibCachePlugin(path=two.path).name
    client.unregister_worker_plugin(name)
    assert scrape(client) == [{}, {}]
    wait_until(lambda: told() == [None, None], "heartbeats without it", pause=LOOK_S)
    client.register_plugin(PlibCachePlugin(path=two.path))
    assert all(scrape(client))
    wait_until(lambda: all(told()), "heartbeats with it", pause=LOOK_S)


class FakeCache:
    """A cache of a long life; asking it is noted."""

    path = "/dev/shm/plib-cache-1000/a-name-that-says-what-it-is"

    def __init__(self) -> None:
        self.asked = 0
        self.closed = False

    def stats(self) -> Any:
        """Large numbers."""
        self.asked += 1
        if self.closed:
            raise PlibCacheError("closed")
        names = ("hits", "misses", "evictions", "leases", "leases_copied", "leased")
        return SimpleNamespace(**dict.fromkeys(names, 2**50), used=2**50, free=2**50)


@pytest.fixture
def told() -> Any:
    """A ``Told``, its cache, and a heartbeat's numbers."""
    counts = Counts(**dict.fromkeys(Counts().as_dict(), 2**50))
    memo = SimpleNamespace(saved_seconds=lambda: 1e9 / 7)
    there = SimpleNamespace(
        cache=FakeCache(),
        counts=counts,
        store=SimpleNamespace(held=HeldValues()),
        results=SimpleNamespace(memo=memo),
        opened=SimpleNamespace(proof=SimpleNamespace(number=2**63)),
    )
    worker = SimpleNamespace(metrics={})
    made = _numbers.Told(worker, there)
    return SimpleNamespace(
        made=made, worker=worker, cache=there.cache, beat=lambda: worker.metrics["plib_cache"](None)
    )


def test_what_a_heartbeat_carries(told: Any) -> None:
    """Less than a kilobyte, of large numbers too; and nothing once it has stopped."""
    assert 500 < len(msgpack.packb({"plib_cache": told.beat()})) < 1000
    told.made.stop()
    assert told.worker.metrics == {}


def test_a_region_is_asked_now_and_then(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in ``REGION_S``, as that takes long; what it said is repeated, and forgotten when it
    cannot be asked."""
    now = [1000.0]
    monkeypatch.setattr(_numbers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert [told.beat()["all"]["hits"] for _ in range(100)] == [2**50] * 100
    assert told.cache.asked == 1
    now[0] += _numbers.REGION_S
    assert "all" in told.beat()
    assert told.cache.asked == 2
    told.cache.closed = True
    assert "all" in told.beat()
    now[0] += _numbers.REGION_S
    assert "all" not in told.beat()
    assert told.beat()["worker"]["placed"] == 2**50
    assert told.cache.asked == 3
    told.cache.closed = False
    now[0] += _numbers.REGION_S
    assert "all" in told.beat()
