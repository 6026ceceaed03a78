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

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import metrics

from plib_cache.integrations._figures import (
    OF_CACHE,
    OF_FUNCTION,
    Board,
    Figure,
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
    """What one call of ``watch`` shows; ``close`` ends that (the API cannot remove instruments)."""

    def __init__(self, subjects: Iterable[Any], meter_provider: Any) -> None:
        self._subjects = [subject(of) for of in subjects]
        self._board = _board_of(meter_provider)
        self._board.put(self._subjects)
        self._board.tell({one.kind for one in self._subjects})

    def close(self) -> None:
        """Observe nothing more; a second time does nothing."""
        self._board.take(self._subjects)


class _Board(Board):
    """All that is watched for one provider, by instruments that are made once."""

    def __init__(self, meter_provider: Any) -> None:
        super().__init__()
        self._meter = metrics.get_meter("plib_cache", meter_provider=meter_provider)
        self._told: set[str] = set()

    def tell(self, kinds: set[str]) -> None:
        """Make the instruments for figures of these kinds."""
        for kind, figures in (("cache", OF_CACHE), ("function", OF_FUNCTION)):
            for figure in figures if kind in kinds - self._told else ():
                create = (
                    self._meter.create_observable_counter
                    if figure.counts
                    else self._meter.create_observable_gauge
                )
                create(
                    f"plib_cache.{figure.name}",
                    callbacks=[self._callback(kind, figure)],
                    unit=_UNITS[figure.unit],
                    description=figure.help,
                )
        self._told |= kinds

    def _callback(self, kind: str, figure: Figure) -> Callable[[Any], list[metrics.Observation]]:
        def observe(options: Any) -> list[metrics.Observation]:
            return [
                metrics.Observation(numbers[figure.name], {f"plib_cache.{kind}": name})
                for name, numbers in self.readings(kind).items()
            ]

        return observe


_boards: weakref.WeakKeyDictionary[Any, _Board] = weakref.WeakKeyDictionary()


def _board_of(provider: Any) -> _Board:
    """The one of a provider, which would pass over a second instrument of the same name."""
    if provider is None or provider is metrics.get_meter_provider():
        return _boards.setdefault(metrics, _Board(None))  # the global one, set by now or later
    return _boards.setdefault(provider, _Board(provider))
