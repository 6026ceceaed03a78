# SPDX-License-Identifier: BSD-3-Clause
"""Whole parts of a graph that need not be computed, as results of them are kept.

A kept result spares one task.  What that task depends on would be computed all the same, for the
scheduler does not know that it is not needed.  There are two ways to tell it, of which each leaves
out everything that leads to a kept result only:

* ``reuse(client, x)`` puts the kept results of ``x`` into the memory of workers before ``x`` is
  computed.  No bytes go through the client; workers find them in their region.
* ``kept_results`` gives those that a graph needs, to be put there in the place of their tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dask._task_spec import DataNode, convert_legacy_graph
from dask.base import collections_to_expr
from dask.sizeof import sizeof
from distributed import Client, Future

from plib_cache import Cache, PlibCacheError
from plib_cache.integrations.dask._codes import graph_fingerprints
from plib_cache.integrations.dask._results import NOTHING
from plib_cache.integrations.dask._worker import EXTENSION


def reuse(client: Client, *collections: Any) -> list[Any]:
    """Have the workers use the kept results of collections that are to be computed.

    Args:
        client: of a cluster whose workers have a ``PlibCachePlugin`` with ``keep``.
        collections: dask arrays, frames, bags or delayed objects.

    Returns:
        Futures of what was found. Keep them until the collections are computed: with them the
        results go from the workers' memory. None of the arguments is computed by this.
    """
    expr: Any = collections_to_expr(collections).optimize()
    graph = convert_legacy_graph(expr.__dask_graph__())
    names = {key: name for key, name in graph_fingerprints(graph).items() if name is not None}
    found: dict[str, list[Any]] = client.run(_look, names=names, on_error="ignore")
    where: dict[Any, str] = {}
    for address, keys in found.items():
        for key in keys:
            where.setdefault(key, address)
    plan: dict[str, dict[Any, bytes]] = {}
    for key in _needed(graph, _flat(expr.__dask_keys__()), where):
        plan.setdefault(where[key], {})[key] = names[key]
    return [future for address, keys in plan.items() for future in _seed(client, address, keys)]


def _seed(client: Client, address: str, names: dict[Any, bytes]) -> list[Any]:
    placed = client.run(_place, names=names, workers=[address], on_error="ignore").get(address)
    if not isinstance(placed, dict) or not placed:
        return []
    told: Any = client
    told.sync(
        told.scheduler.update_data,
        who_has={key: [address] for key in placed},
        nbytes=placed,
        client=client.id,
    )
    return [Future(key, client) for key in placed]


def _flat(keys: Any) -> list[Any]:
    if not isinstance(keys, list):
        return [keys]
    return [key for one in keys for key in _flat(one)]


def _needed(graph: Mapping[Any, Any], wanted: Iterable[Any], there: Any) -> list[Any]:
    """Of what is there, what a computation would look at."""
    pending, seen, needed = list(wanted), set(), []
    while pending:
        key = pending.pop()
        if key in seen or key not in graph:
            continue
        seen.add(key)
        if key in there:
            needed.append(key)
        else:
            pending += graph[key].dependencies
    return needed


def _look(dask_worker: Any, names: dict[Any, bytes]) -> list[Any]:
    """In a worker: which keys' results its region has."""
    results = _results(dask_worker)
    if results is None:
        return []
    cache, memo = dask_worker.extensions[EXTENSION].cache, results.memo
    return [key for key, name in names.items() if memo.cache_key(name, None) in cache]


def _place(dask_worker: Any, names: dict[Any, bytes]) -> dict[Any, int]:
    """In a worker: have results in its memory; their sizes."""
    results = _results(dask_worker)
    data: dict[Any, Any] = {}
    for key, name in names.items() if results is not None else ():
        try:
            value = results.kept(name)
        except PlibCacheError as error:
            results.counts.failed("a kept result could not be read", error)
            continue
        if value is not NOTHING and key not in dask_worker.data:
            results.notes.set(key, name)
            results.counts.found += 1
            data[key] = value
    if data:
        dask_worker.update_data(data)
    return {key: int(sizeof(value)) for key, value in data.items()}


def _results(dask_worker: Any) -> Any:
    there = dask_worker.extensions.get(EXTENSION)
    return None if there is None else there.results


def kept_results(
    graph: Mapping[Any, Any], names: Mapping[Any, bytes | None], cache: Cache, memo: Any
) -> dict[Any, Any]:
    """The results of a graph that are kept, without those that only lead to others of them.

    Args:
        graph: of ``GraphNode``s.
        names: their fingerprints.
    """
    below = {key for node in graph.values() for key in node.dependencies}
    pending = [key for key in graph if key not in below]
    found: dict[Any, Any] = {}
    seen: set[Any] = set()
    while pending:
        key = pending.pop()
        if key in seen or key not in graph:
            continue
        seen.add(key)
        name, value = names.get(key), NOTHING
        if name is not None and not isinstance(graph[key], DataNode):
            value = cache.get(memo.cache_key(name, None), NOTHING)
        if value is NOTHING:
            pending += graph[key].dependencies
        else:
            found[key] = value
    return found
