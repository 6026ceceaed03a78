# SPDX-License-Identifier: BSD-3-Clause
"""The workers' numbers for Prometheus, at the address where dask tells its own (``/metrics``).

dask's endpoint tells all that is registered in ``prometheus_client``'s registry of the process.
There is one collector there for all workers of the process, as clusters of threads have several;
it is registered with the first and removed with the last of them.  Without ``prometheus_client``
dask has no metrics, and there is none here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from plib_cache import PlibCacheError
from plib_cache.integrations.dask._numbers import of_region, of_worker


class Family(NamedTuple):
    """One name in Prometheus; a name with ``_total`` is a counter, another one a gauge."""

    name: str
    field: str  # of the numbers
    help: str


OF_WORKER = (
    Family("hits_total", "found", "Kept results that were found instead of computed"),
    Family("misses_total", "missed", "Results that were looked for and had to be computed"),
    Family("kept_total", "kept", "Results that were stored to outlive the cluster"),
    Family("kept_bytes_total", "kept_bytes", "Bytes of results stored to outlive the cluster"),
    Family("placed_total", "placed", "Values that were put into the region"),
    Family("placed_bytes_total", "placed_bytes", "Bytes of values that were put into the region"),
    Family("refused_total", "refused", "Large values that stayed in the worker's own memory"),
    Family("handed_total", "handed", "Values that went to another worker by reference"),
    Family(
        "not_sent_bytes_total", "handed_bytes", "Bytes that went by reference instead of being sent"
    ),
    Family("taken_total", "taken", "Values that came from another worker by reference"),
    Family("taken_bytes_total", "taken_bytes", "Bytes of values that came by reference"),
    Family("hand_over_failures_total", "hand_over_failed", "Transfers that were repeated as bytes"),
    Family("take_failures_total", "take_failed", "Values that came by reference and were not had"),
    Family("strangers_total", "strangers", "Workers asked that do not have this region"),
    Family("nodes_asked_total", "nodes_asked", "Looks, stores and removals at another node"),
    Family("nodes_lost_total", "nodes_lost", "Times that another node did not answer"),
    Family("failures_total", "failures", "Failures of the cache, which changed nothing but speed"),
    Family("held", "held", "Values in the region that the worker has a lease on"),
    Family("held_bytes", "held_bytes", "Bytes of the values that the worker has a lease on"),
)
OF_REGION = (
    Family("region_hits_total", "hits", "Lookups of all processes that found a value"),
    Family("region_misses_total", "misses", "Lookups of all processes that found none"),
    Family("region_evictions_total", "evictions", "Entries that made room for others"),
    Family("region_leases_total", "leases", "Leases of all processes on values in place"),
    Family("region_leases_copied_total", "leases_copied", "Leases refused, so a copy was given"),
    Family("region_saved_seconds_total", "seconds_saved", "Computing time that kept results saved"),
    Family("region_leased_bytes", "leased", "Bytes under lease, once for each process"),
    Family("region_used_bytes", "used", "Bytes of the region that hold something"),
    Family("region_size_bytes", "size", "Bytes that the region can hold"),
)

_open: list[Any] = []  # the ``WorkerCache``s of this process


class Collector:
    """Gives ``prometheus_client`` the numbers of the workers in ``_open``."""

    def describe(self) -> Iterable[Any]:
        """Nothing is collected when this is registered."""
        return ()

    def collect(self) -> Iterable[Any]:
        """The families, each with all workers or regions; a failure leaves out whose it is."""
        regions, there = {one.cache.path: one for one in _open}, list(_open)
        return [
            *_families(OF_WORKER, "worker", there, lambda one: one.address, of_worker),
            *_families(
                OF_REGION, "region", regions.values(), lambda one: one.cache.path, of_region
            ),
        ]


def _families(
    meant: Iterable[Family],
    label: str,
    those: Iterable[Any],
    named: Callable[[Any], str],
    ask: Callable[[Any], dict[str, float]],
) -> list[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    numbers = {}
    for one in those:
        try:
            numbers[named(one)] = ask(one)
        except PlibCacheError as error:
            one.counts.failed("its numbers cannot be told", error)
    made: list[Any] = []
    for family in meant if numbers else ():
        kind = CounterMetricFamily if family.name.endswith("_total") else GaugeMetricFamily
        made.append(kind(f"plib_cache_{family.name}", family.help + ".", labels=[label]))
        for name, found in numbers.items():
            made[-1].add_metric([name], found[family.field])
    return made


_collector = Collector()


def begin(there: Any) -> None:
    """Have a worker's numbers told, from now on."""
    _open.append(there)
    if len(_open) == 1:
        _registry("register")


def end(there: Any) -> None:
    """Have them told no more."""
    if there in _open:
        _open.remove(there)
        if not _open:
            _registry("unregister")


def _registry(what: str) -> None:
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        return
    getattr(REGISTRY, what)(_collector)
