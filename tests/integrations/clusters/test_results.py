# SPDX-License-Identifier: BSD-3-Clause
"""Results that outlive the cluster: found by the next one, and by other clients."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client, wait

import plib_cache
from plib_cache.integrations.dask import PlibCachePlugin, cached, reuse

from .steps import ALL, SUM, Steps, load_anew


def test_the_next_cluster_computes_nothing(
    start: Callable[..., Any], steps: Steps, folder: Path
) -> None:
    """It finds every result; with ``reuse`` the tasks that lead to them are not even run."""
    path = folder / "next"
    workers = start(2, {"keep": ("*",)}, path=path)
    assert steps.graph().compute(scheduler=workers.client) == 2 * SUM
    assert steps.computed() == ALL
    workers.client.close()
    workers.cluster.close()
    workers = start_again(start, path, 1)
    assert steps.graph().compute(scheduler=workers.client) == 2 * SUM
    assert steps.computed() == []
    assert workers.counts("found", "kept") == {"found": 7, "kept": 0}
    workers.forget()
    kept = reuse(workers.client, steps.graph())
    assert len(kept) == 1  # the last one is all that is needed
    assert workers.counts("found") == {"found": 8}
    assert steps.graph().compute(scheduler=workers.client) == 2 * SUM
    assert steps.computed() == []
    assert workers.counts("found") == {"found": 8}


def start_again(start: Callable[..., Any], path: Path, n: int, **plugin: Any) -> Any:
    """Another cluster on the same region."""
    saved = path.with_suffix(".saved")
    path.rename(saved)  # ``start`` begins with a new file

    def back() -> None:
        saved.rename(path)

    return start(n, {"keep": ("*",), **plugin}, path=path, before=back)


def test_a_part_of_a_graph(start: Callable[..., Any], steps: Steps) -> None:
    """What is kept of a larger graph is used, and only the rest is computed."""
    workers = start(2, {"keep": ("double",)})
    assert steps.graph().compute(scheduler=workers.client) == 2 * SUM
    assert steps.computed() == ALL
    workers.forget()
    kept = reuse(workers.client, steps.graph())
    assert len(kept) == 3
    assert steps.graph().compute(scheduler=workers.client) == 2 * SUM
    assert steps.computed() == ["total"]
    del kept


def test_edited_code_is_computed_anew(start: Callable[..., Any], steps: Steps) -> None:
    """Its key is the same for dask; what depends on it is computed, too."""
    workers = start(1, {"keep": ("*",)})
    before = steps.graph()
    assert before.compute(scheduler=workers.client) == 2 * SUM
    assert steps.computed() == ALL
    steps.write(factor=3)
    workers.forget()
    workers.client.run(load_anew)
    after = steps.graph()
    assert after.key == before.key
    assert len(reuse(workers.client, after)) == 3  # the loads
    assert after.compute(scheduler=workers.client) == 3 * SUM
    assert steps.computed() == ["double", "double", "double", "total"]


ASKED = {"plib-cache.keep.min-duration": "200ms", "plib-cache.keep.max-bytes": "1 MiB"}


@pytest.fixture
def asked() -> Any:
    """A configuration that asks for slow and small results, also when workers are restarted."""
    with dask.config.set(ASKED):
        yield


def test_only_what_is_asked_for(asked: None, start: Callable[..., Any], steps: Steps) -> None:
    """By annotation, duration and size."""
    workers = start(1, {"keep": ()})
    steps.graph()
    module = importlib.import_module("kept_steps")

    def run(function: Any, annotation: Any) -> None:
        with dask.annotate(**({} if annotation is None else {"plib_cache": annotation})):
            future = workers.client.submit(function, 1, pure=True)
            wait(future)
        future.release()
        workers.forget()

    for annotation, expected in ((None, 2), ({"keep": True}, 1), ({"keep": False}, 2)):
        run(module.slow, annotation)
        run(module.slow, annotation)
        assert steps.computed() == ["slow 1"] * expected, annotation
        with plib_cache.Cache(path=workers.path) as cache:
            cache.clear()
    run(module.load, {"keep": True})  # fast, and large
    run(module.load, {"keep": True})
    assert steps.computed() == ["load 1"] * 2


def test_two_clusters_compute_once(start: Callable[..., Any], steps: Steps, folder: Path) -> None:
    """Of two that miss one result together, one computes and the other gets that."""
    path = folder / "two"
    one = start(1, {"keep": ("*",)}, path=path)
    other = start_again(start, path, 1)
    steps.graph()
    module = importlib.import_module("kept_steps")
    futures = []
    threads = [
        threading.Thread(target=lambda c=c: futures.append(c.submit(module.slow, 7).result()))
        for c in (one.client, other.client)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert futures == [7, 7]
    assert steps.computed() == ["slow 7"]


def test_values_that_are_kept_are_shared(start: Callable[..., Any], steps: Steps) -> None:
    """They lie in the region once, writable as ever, and nobody else sees what is written."""
    workers = start(2, {"keep": ("*",)})
    first, second = workers.addresses
    steps.graph()
    module = importlib.import_module("kept_steps")

    def spoil(array: Any) -> int:
        array += 1
        return int(array.sum())

    base = int(np.arange(200_000).sum())
    made = workers.client.submit(module.load, 0, workers=[first])
    for address in (first, second):
        seen = workers.client.submit(spoil, made, workers=[address], pure=False)
        assert seen.result() == base + 200_000
    assert workers.counts("placed", "kept")["placed"] == 0
    del made, seen
    workers.forget()
    again = workers.client.submit(module.load, 0)
    np.testing.assert_array_equal(again.result(), np.arange(200_000))
    assert steps.computed() == ["load 0"]


def test_inside_tasks(start: Callable[..., Any]) -> None:
    """``get_cache`` and ``@cache`` use the worker's region without configuration."""
    workers = start(2)

    def where(dask_worker: Any) -> str:
        return plib_cache.get_cache().path

    assert set(workers.client.run(where).values()) == {str(workers.path)}


@pytest.mark.parametrize("scheduler", ["threads", "sync", "processes"])
def test_local_schedulers(steps: Steps, scheduler: str) -> None:
    """``cached`` keeps what they compute, and skips what leads to it."""
    with dask.config.set({"multiprocessing.context": "spawn"}):
        with cached() as counts:
            assert steps.graph().compute(scheduler=scheduler) == 2 * SUM
        assert steps.computed() == ALL
        assert (counts.kept, counts.found) == (7, 0)
        with cached() as counts:
            assert steps.graph().compute(scheduler=scheduler) == 2 * SUM
        assert steps.computed() == []
        assert (counts.kept, counts.found, counts.failures) == (0, 1, 0)
        assert steps.graph().compute(scheduler=scheduler) == 2 * SUM  # outside of it
        assert steps.computed() == ALL


def test_local_schedulers_keep_what_is_asked_for(steps: Steps) -> None:
    """By name; and parts of a graph that are wanted themselves are right, too."""
    with cached("local", keep=("double",)) as counts:
        assert steps.graph().compute(scheduler="sync") == 2 * SUM
        assert counts.kept == 3
    steps.computed()
    with cached("local", keep=("double",), min_duration=60) as counts:
        graph = steps.graph()
        (middle,) = [key for key in graph.dask if str(key).startswith("total")]
        assert middle == graph.key
        both = dask.compute(graph, graph + 1, scheduler="sync")
        assert both == (2 * SUM, 2 * SUM + 1)
        assert counts.found == 3
        assert counts.kept == 0
    assert steps.computed() == ["total"]


def test_a_failing_cache_breaks_nothing(steps: Steps) -> None:
    """A cache that was closed meanwhile is counted."""
    cache = plib_cache.Cache("closed", size="8MiB")
    with cached(cache) as counts:
        cache.close()
        assert steps.graph().compute(scheduler="sync") == 2 * SUM
        assert counts.failures > 0
        assert counts.kept == 0


def test_two_plugins_of_different_regions(start: Callable[..., Any], folder: Path) -> None:
    """The second one is refused, and says what to do; the first one again changes nothing."""
    workers = start(1)
    with pytest.raises(plib_cache.ConfigurationError, match="shares the region .* already"):
        workers.client.register_plugin(PlibCachePlugin(path=folder / "another"))
    workers.client.register_plugin(PlibCachePlugin(path=workers.path))
    assert workers.counts("placed") == {"placed": 0}


def test_a_second_client(start: Callable[..., Any], steps: Steps) -> None:
    """It gets what the first one has computed, also when that has gone."""
    workers = start(1, {"keep": ("*",)})
    with Client(workers.cluster) as first:
        assert steps.graph().compute(scheduler=first) == 2 * SUM
    with Client(workers.cluster) as second:
        assert steps.graph().compute(scheduler=second) == 2 * SUM
    assert steps.computed() == ALL
