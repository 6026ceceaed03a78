# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of a worker and of its region, as heartbeats and Prometheus tell them.

A worker's numbers are its own, since the plugin was set up there.  A region's are those of all
processes that use it, also of earlier clusters, so every worker of a machine tells the same.
"""

from __future__ import annotations

import time
from typing import Any

from plib_cache import PlibCacheError

METRIC = "plib_cache"  # the name of the numbers among a worker's metrics
# Heartbeats come twice a second. To ask a region takes most of a millisecond, ten times what the
# rest does: it looks at some 65,000 pages. So heartbeats repeat what they heard for so long.
REGION_S = 5.0


def of_worker(there: Any) -> dict[str, float]:
    """What a ``WorkerCache`` has done, and what it holds.

    Returns:
        The fields of ``Counts``; ``held``: values in the region that the worker has a lease on;
        ``held_bytes``: theirs.
    """
    held = there.store.held
    return {**there.counts.as_dict(), "held": len(held), "held_bytes": held.nbytes}


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
    """The numbers in a worker's heartbeats, until ``stop``: so the scheduler has them.

    The worker's are of this moment; the region's are at most ``REGION_S`` old.
    """

    def __init__(self, worker: Any, there: Any) -> None:
        self._metrics = worker.metrics
        self._there = there
        self._region: dict[str, float] | None = None
        self._until = 0.0
        self._metrics[METRIC] = self._tell

    def _tell(self, _: Any) -> dict[str, Any]:
        there = self._there
        told = {"path": there.cache.path, "region": there.opened.proof.number}
        told["worker"] = of_worker(there)
        now = time.monotonic()
        if now >= self._until:
            self._until = now + REGION_S
            try:
                self._region = of_region(there)
            except PlibCacheError:  # closed a moment ago, say
                self._region = None
        if self._region is not None:
            told["all"] = self._region
        return told

    def stop(self) -> None:
        """Tell no more."""
        if self._metrics.get(METRIC) == self._tell:
            del self._metrics[METRIC]
