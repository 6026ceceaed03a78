# SPDX-License-Identifier: BSD-3-Clause
"""Figures of caches and decorated functions for Prometheus, by ``prometheus_client``.

::

    from plib_cache.integrations.prometheus import watch

    watch(plib_cache.get_cache(), slow)  # they are among what your /metrics tells, from now on

Names are ``plib_cache_hits_total``, ``plib_cache_used_bytes`` and so on, with a label ``cache``
(the region's file) or ``function``.  The figures are those of all processes of the machine, so one
process of a web server with several is enough to be scraped.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from plib_cache.integrations._figures import OF_CACHE, OF_FUNCTION, Board, Figure, subject

__all__ = ["Watch", "watch"]


def watch(*subjects: Any, registry: Any = None) -> Watch:
    """Tell the figures of caches and decorated functions, whenever somebody asks.

    Args:
        subjects: ``Cache`` objects and functions decorated by ``plib_cache.cache``.
        registry: a ``prometheus_client.CollectorRegistry``; None is that of the process.

    Raises:
        ConfigurationError: something else was given.
    """
    return Watch(subjects, prometheus_client.REGISTRY if registry is None else registry)


class Watch:
    """What one call of ``watch`` shows; ``close`` ends that."""

    def __init__(self, subjects: Iterable[Any], registry: Any) -> None:
        self._subjects = [subject(of) for of in subjects]
        self._collector = _collector_of(registry)
        self._collector.put(self._subjects)

    def close(self) -> None:
        """Tell nothing more; a second time does nothing."""
        self._collector.take(self._subjects)


class _Collector(Board):
    """All that is watched in one registry, for ``prometheus_client``."""

    def describe(self) -> Iterable[Any]:
        """Nothing is read when this is registered."""
        return ()

    def collect(self) -> Iterable[Any]:
        """All figures; what cannot be read now is left out."""
        for kind, figures in (("cache", OF_CACHE), ("function", OF_FUNCTION)):
            found = self.readings(kind)
            for figure in figures if found else ():
                family = _family(figure, kind)
                for name, numbers in found.items():
                    family.add_metric([name], numbers[figure.name])
                yield family


_collectors: weakref.WeakKeyDictionary[Any, _Collector] = weakref.WeakKeyDictionary()


def _collector_of(registry: Any) -> _Collector:
    """The one of a registry, for no name may be told twice there."""
    made = _Collector()
    collector = _collectors.setdefault(registry, made)
    if collector is made:
        registry.register(collector)
    return collector


def _family(figure: Figure, label: str) -> Any:
    make = CounterMetricFamily if figure.counts else GaugeMetricFamily
    return make(f"plib_cache_{figure.name}", figure.help, labels=[label], unit=figure.unit)
