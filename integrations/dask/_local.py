# SPDX-License-Identifier: BSD-3-Clause
"""Kept results for dask's local schedulers (threads, processes, one after the other).

The schedulers tell a callback which graph they are about to run, and each result that they have.
What is kept is put into the graph in the place of its task, so what leads to it only is not run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dask._task_spec import DataNode, convert_legacy_graph
from dask.callbacks import Callback
from dask.utils import key_split

import plib_cache
from plib_cache import Cache, PlibCacheError
from plib_cache.integrations.dask._codes import graph_fingerprints
from plib_cache.integrations.dask._config import Keep
from plib_cache.integrations.dask._counts import Counts
from plib_cache.integrations.dask._results import memo
from plib_cache.integrations.dask._reuse import kept_results


@contextmanager
def cached(
    cache: Cache | str | None = None,
    *,
    keep: tuple[str, ...] = ("*",),
    min_duration: float = 0.0,
    max_bytes: int | None = None,
) -> Iterator[Counts]:
    """Keep the results of what dask's local schedulers compute in the block, and find them.

    Args:
        cache: a ``Cache``, or the name of one; None is ``plib_cache.get_cache()``.
        keep: names of tasks whose results are kept; ``"*"`` is all.
        min_duration: only results that took so many seconds.
        max_bytes: only results up to this size.

    Yields:
        What was found and kept, as it goes on (``found``, ``kept``, ``failures``).

    Notes:
        For ``scheduler="threads"``, ``"processes"`` and ``"sync"``; clusters have their own
        (``PlibCachePlugin(keep=...)``).  A failing cache is counted, and breaks no computation.
    """
    own = isinstance(cache, str)
    if cache is None:
        opened = plib_cache.get_cache()
    else:
        opened = Cache(cache) if isinstance(cache, str) else cache
    callback = _Keeping(opened, Keep(tuple(keep), min_duration, max_bytes))
    try:
        with callback:
            yield callback.counts
    finally:
        if own:
            opened.close()


class _Keeping(Callback):
    """What the schedulers tell."""

    def __init__(self, cache: Cache, keep: Keep) -> None:
        told: Any = super().__init__
        told(start=self.begins, pretask=self.runs, posttask=self.has_run, finish=self.ends)
        self.counts = Counts()
        self._cache = cache
        self._keep = keep
        self._memo = memo(cache, keep._replace(min_duration=0.0))  # it is looked at before
        self._names: dict[Any, bytes | None] = {}
        self._since: dict[Any, float] = {}

    def begins(self, graph: Any) -> None:
        """A graph is going to be run; what is reached from no wanted key will not be."""
        try:
            nodes = convert_legacy_graph(graph)
            names = graph_fingerprints(nodes)
            found = kept_results(nodes, names, self._cache, self._memo)
        except Exception as error:
            self.counts.failed("a graph could not be looked through", error)
            return
        graph.update({key: DataNode(key, value) for key, value in found.items()})
        self.counts.found += len(found)
        self._names.update((key, name) for key, name in names.items() if key not in found)

    def runs(self, key: Any, graph: Any, state: Any) -> None:
        """A task begins."""
        self._since[key] = time.perf_counter()

    def has_run(self, key: Any, value: Any, graph: Any, state: Any, worker: Any) -> None:
        """A task has ended."""
        seconds = time.perf_counter() - self._since.pop(key, 0.0)
        name = self._names.get(key)
        prefixes = self._keep.prefixes or ()
        if name is None or seconds < self._keep.min_duration:
            return
        if "*" not in prefixes and key_split(key) not in prefixes:
            return
        try:
            self._memo(name, lambda: value)
            self.counts.kept += self._memo.cache_key(name, None) in self._cache
        except PlibCacheError as error:
            self.counts.failed("a result could not be kept", error)

    def ends(self, graph: Any, state: Any, failed: bool) -> None:
        """The graph has been run."""
        self._names.clear()
        self._since.clear()
