# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of a worker and of its region, as heartbeats and Prometheus tell them.

A worker's numbers are its own, since the plugin was set up there.  A region's are those of all
processes that use it, also of earlier clusters, so every worker of a machine tells the same.
"""

from __future__ import annotations

import contextlib
from typing import Any

from plib_cache import PlibCacheError

METRIC = "plib_cache"  # the name of the numbers among a worker's metrics


def of_worker(there: Any) -> dict[str, float]:
    """What a ``WorkerCache`` has done, and what it holds.

    Returns:
        The fields of ``Counts``; ``held``: values in the region that the worker has a lease on;
        ``held_bytes``: theirs.
    """
    held = list(there.store.held.values())
    return {
        **there.counts.as_dict(),
        "held": len(held),
        "held_bytes": sum(one.nbytes for one in held),
    }


def of_region(there: Any) -> dict[str, float]:
    """What all processes have done with the region of a ``WorkerCache``.

    Returns:
        Fields of ``plib_cache.Stats``; ``size``: the most bytes that entries can have;
        ``seconds_saved``: computing time that kept results stood for when they were found.

    Raises:
        PlibCacheError: it cannot be asked.
    """
    stats = there.cache.stats()
    names = ("hits", "misses", "evictions", "leases", "leases_copied", "leased", "used")
    return {
        **{name: getattr(stats, name) for name in names},
        "size": stats.used + stats.free,
        "seconds_saved": seconds_saved(there),
    }


def seconds_saved(there: Any) -> float:
    """The computing time that kept results saved; 0 where none are kept.

    Raises:
        PlibCacheError: the region cannot be asked.
    """
    return float(there.results.memo.saved_seconds()) if there.results else 0.0


class Told:
    """The numbers in a worker's heartbeats, until ``stop``: so the scheduler has them."""

    def __init__(self, worker: Any, there: Any) -> None:
        self._metrics = worker.metrics
        self._there = there
        self._metrics[METRIC] = self._tell

    def _tell(self, _: Any) -> dict[str, Any]:
        there = self._there
        told = {"path": there.cache.path, "region": there.opened.proof.number}
        told["worker"] = of_worker(there)
        with contextlib.suppress(PlibCacheError):  # closed a moment ago, say
            told["all"] = of_region(there)
        return told

    def stop(self) -> None:
        """Tell no more."""
        if self._metrics.get(METRIC) == self._tell:
            del self._metrics[METRIC]
