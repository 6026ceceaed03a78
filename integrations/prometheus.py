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

from collections.abc import Iterable
from typing import Any

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from plib_cache.integrations._figures import OF_CACHE, OF_FUNCTION, Figure, readings, subject

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
    """A collector of ``prometheus_client``; ``close`` takes it out of its registry."""

    def __init__(self, subjects: Iterable[Any], registry: Any) -> None:
        self._subjects = [subject(of) for of in subjects]
        self._registry = registry
        registry.register(self)

    def close(self) -> None:
        """Tell nothing more; a second time does nothing."""
        if self._registry is not None:
            self._registry.unregister(self)
            self._registry = None

    def describe(self) -> Iterable[Any]:
        """Nothing is read when this is registered."""
        return ()

    def collect(self) -> Iterable[Any]:
        """All figures; what cannot be read now is left out."""
        for kind, figures in (("cache", OF_CACHE), ("function", OF_FUNCTION)):
            found = list(readings(self._subjects, kind))
            for figure in figures if found else ():
                family = _family(figure, kind)
                for name, numbers in found:
                    family.add_metric([name], numbers[figure.name])
                yield family


def _family(figure: Figure, label: str) -> Any:
    make = CounterMetricFamily if figure.counts else GaugeMetricFamily
    return make(f"plib_cache_{figure.name}", figure.help, labels=[label], unit=figure.unit)
