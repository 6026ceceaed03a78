# SPDX-License-Identifier: BSD-3-Clause
"""Results that outlive the cluster: kept under what was computed, and found instead of computing.

A task that is to be kept is run inside ``plib_cache.cache``: whoever has its result finds it, of
all clusters of the machine that miss it together one computes, and one that dies is replaced.
Its key in the cache is the task's fingerprint (``_codes``).

A worker knows the code of the tasks that it runs, but of their inputs only the keys: others may
have computed them.  So each notes the fingerprints of all that it holds, and notes go along with
the data (``_notes``).  An input without a note (of a worker without the plugin, say) has no known
code, so what depends on it is computed, and not kept.
"""

from __future__ import annotations

from typing import Any

from dask.utils import key_split

import plib_cache
from plib_cache import Cache, PlibCacheError
from plib_cache.integrations.dask._codes import data_fingerprint, does_more, fingerprint
from plib_cache.integrations.dask._config import Keep
from plib_cache.integrations.dask._counts import Counts
from plib_cache.integrations.dask._notes import Notes
from plib_cache.integrations.dask._store import Store

NOTHING: Any = object()


def _compute(name: bytes, run: Any) -> Any:
    """What is cached, under ``name`` alone."""
    return run()


def _name_alone(name: bytes, run: Any) -> bytes:
    return name


def memo(cache: Cache, keep: Keep, copy: Any = True) -> Any:
    """``memo(name, run)``: the result of that name, or of ``run()``, which is kept then."""
    decorate: Any = plib_cache.cache(
        key=_name_alone,
        version="1",
        cache=cache,
        copy=copy,
        min_duration=keep.min_duration,
        max_bytes=keep.max_bytes,
    )
    return decorate(_compute)


class Results:
    """The kept results, as one worker sees them."""

    def __init__(
        self, worker: Any, cache: Cache, store: Store, keep: Keep, counts: Counts, notes: Notes
    ) -> None:
        self._worker = worker
        self._cache = cache
        self._keep = keep
        self.notes = notes
        self.store = store
        self.counts = counts
        self.memo = memo(cache, keep, "cow" if store.writeable else False)

    def before(self, task: Any) -> None:
        """A task is going to run."""
        if isinstance(task.run_spec, Once):  # it has run before, maybe on other data
            task.run_spec = task.run_spec.task
        known = [self.notes.get(one.key) for one in task.dependencies]
        name = fingerprint(task.key, task.run_spec, known)
        self.notes.set(task.key, name)
        if name is None or not self._wanted(task) or does_more(task.run_spec):
            return
        if not task.run_spec.is_coro and self._in_threads(task):
            task.run_spec = Once(task.run_spec, name, self)

    def given(self, key: Any) -> None:
        """Data was given to the cluster under a key."""
        if self.notes.get(key) is None and not self.notes.is_gathered(key):
            self.notes.set(key, data_fingerprint(key))

    def kept(self, name: bytes) -> Any:
        """The value that is kept under a name; ``NOTHING`` if there is none.

        Raises:
            PlibCacheError: it cannot be read.
        """
        key = self.memo.cache_key(name, None)
        shared = self.store.find(key)
        if shared is not None and shared.where is not None:
            return shared.value
        return self._cache.get(key, NOTHING)

    def _wanted(self, task: Any) -> bool:
        meant = (task.annotations or {}).get("plib_cache")
        asked = meant.get("keep") if isinstance(meant, dict) else None
        if asked is not None:
            return bool(asked)
        prefixes = self._keep.prefixes or ()
        return "*" in prefixes or key_split(task.key) in prefixes

    def _in_threads(self, task: Any) -> bool:
        name = (task.annotations or {}).get("executor", "default")
        return "ThreadPoolExecutor" in type(self._worker.executors.get(name)).__name__


class Once:
    """What a worker runs in the place of a task: finds its result, or computes and keeps it."""

    def __init__(self, task: Any, name: bytes, results: Results) -> None:
        self.task = task
        self.name = name
        self.results = results

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        computed: list[Any] = []

        def run() -> Any:
            computed.append(self.task(*args, **kwargs))
            return computed[0]

        results = self.results
        value = results.memo(self.name, run)
        results.counts.found += not computed
        results.counts.missed += bool(computed)
        try:
            shared = results.store.find(results.memo.cache_key(self.name, run))
        except PlibCacheError as error:
            results.counts.failed("a kept result cannot be shared", error)
            shared = None
        if shared is None:
            return value
        if computed:
            results.counts.kept += 1
            results.counts.kept_bytes += shared.nbytes
        return value if shared.where is None else shared.value
