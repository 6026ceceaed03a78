# SPDX-License-Identifier: BSD-3-Clause
"""Figures of caches and decorated functions for OpenTelemetry, by its metrics API.

::

    from plib_cache.integrations.opentelemetry import watch

    watch(plib_cache.get_cache(), slow)

Instruments are ``plib_cache.hits``, ``plib_cache.used`` and so on, observed when the provider
collects, with an attribute ``plib_cache.cache`` (the region's file) or ``plib_cache.function``.
The figures are those of all processes of the machine: let one process tell them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import metrics

from plib_cache.integrations._figures import (
    OF_CACHE,
    OF_FUNCTION,
    Figure,
    Subject,
    readings,
    subject,
)

__all__ = ["Watch", "watch"]

_UNITS = {"bytes": "By", "seconds": "s", "": "1"}


def watch(*subjects: Any, meter_provider: Any = None) -> Watch:
    """Tell the figures of caches and decorated functions, whenever they are collected.

    Args:
        subjects: ``Cache`` objects and functions decorated by ``plib_cache.cache``.
        meter_provider: None is the global one.

    Raises:
        ConfigurationError: something else was given.
    """
    return Watch(subjects, meter_provider)


class Watch:
    """The instruments; ``close`` has them observe nothing more (the API cannot remove them)."""

    def __init__(self, subjects: Iterable[Any], meter_provider: Any) -> None:
        self._subjects: list[Subject] = [subject(of) for of in subjects]
        meter = metrics.get_meter("plib_cache", meter_provider=meter_provider)
        kinds = {one.kind for one in self._subjects}
        for kind, figures in (("cache", OF_CACHE), ("function", OF_FUNCTION)):
            for figure in figures if kind in kinds else ():
                create = (
                    meter.create_observable_counter
                    if figure.counts
                    else meter.create_observable_gauge
                )
                create(
                    f"plib_cache.{figure.name}",
                    callbacks=[self._callback(kind, figure)],
                    unit=_UNITS[figure.unit],
                    description=figure.help,
                )

    def close(self) -> None:
        """Observe nothing more."""
        self._subjects = []

    def _callback(self, kind: str, figure: Figure) -> Callable[[Any], list[metrics.Observation]]:
        def observe(options: Any) -> list[metrics.Observation]:
            return [
                metrics.Observation(numbers[figure.name], {f"plib_cache.{kind}": name})
                for name, numbers in readings(self._subjects, kind)
            ]

        return observe
