# SPDX-License-Identifier: BSD-3-Clause
"""What is told to a monitoring system of caches and decorated functions, whichever system it is.

Figures of a cache are those of all processes that use it: scrape one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from plib_cache import Cache, ConfigurationError, PlibCacheError


class Figure(NamedTuple):
    """One figure: a count that only grows, until somebody resets it, or a gauge."""

    name: str
    counts: bool
    unit: str  # "" or "bytes" or "seconds"
    help: str


class Subject(NamedTuple):
    """What the figures are of."""

    kind: str  # "cache" or "function"
    name: str
    read: Callable[[], dict[str, float]]


OF_CACHE = (
    Figure("hits", True, "", "Reads that found a value"),
    Figure("misses", True, "", "Reads that found none"),
    Figure("sets", True, "", "Values stored, whatever was there"),
    Figure("deletes", True, "", "Entries deleted by name"),
    Figure("evictions", True, "", "Current entries that made room for others"),
    Figure("displaced", True, "", "Entries evicted because the places of their hash were taken"),
    Figure("claims", True, "", "Computations begun under a claim, for which others wait"),
    Figure("waits", True, "", "Waits for somebody else's computation"),
    Figure("stores_refused_busy", True, "", "Stores that gave way to other writers for too long"),
    Figure("stores_refused_full", True, "", "Stores for which no room could be made"),
    Figure("leases", True, "", "Values given out in place"),
    Figure("leases_copied", True, "", "Values asked for in place, but copied because of a limit"),
    Figure("corrupt_seen", True, "", "Damaged entries that were met"),
    Figure("reaps", True, "", "Processes that were found dead"),
    Figure("size", False, "bytes", "The most that the region may take"),
    Figure("taken", False, "bytes", "What the region takes"),
    Figure("used", False, "bytes", "What of the pool holds something"),
    Figure("leased", False, "bytes", "What processes keep in place"),
    Figure("processes", False, "", "Processes that are attached"),
)
OF_FUNCTION = (
    Figure("function_hits", True, "", "Calls that found their result"),
    Figure("function_misses", True, "", "Calls that did not"),
    Figure("function_saved", True, "seconds", "Computing time that hits saved"),
)


def subject(of: Any) -> Subject:
    """A cache, or a function decorated by ``plib_cache.cache``.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(of, Cache):
        return Subject("cache", of.path, lambda: _of_cache(of))
    if callable(of) and hasattr(of, "saved_seconds"):
        name = f"{of.__module__}.{of.__qualname__}"
        return Subject("function", name, lambda: _of_function(of))
    raise ConfigurationError(
        f"{of!r:.100} has no figures: give a plib_cache.Cache, or a function decorated by "
        "plib_cache.cache"
    )


class Board:
    """The subjects of all watches in one place: a registry or a provider takes each figure once."""

    def __init__(self) -> None:
        self._watches: list[list[Subject]] = []

    def put(self, subjects: list[Subject]) -> None:
        """Show the subjects of a watch."""
        self._watches.append(subjects)

    def take(self, subjects: list[Subject]) -> None:
        """Show those of that watch no longer; not shown already is no error."""
        self._watches = [shown for shown in self._watches if shown is not subjects]

    def readings(self, kind: str) -> dict[str, dict[str, float]]:
        """The figures of all of a kind, by name; what cannot be read now is left out.

        What is shown twice, or has the same name, is told once.
        """
        found: dict[str, dict[str, float]] = {}
        for one in [one for subjects in self._watches for one in subjects]:
            if one.kind == kind and one.name not in found:
                try:
                    found[one.name] = one.read()
                except PlibCacheError:
                    continue  # closed, or its region is being replaced: the next look finds it
        return found


def _of_cache(cache: Cache) -> dict[str, float]:
    numbers = {**cache.info().as_dict(), **cache.stats().as_dict()}
    return {figure.name: numbers[figure.name] for figure in OF_CACHE}


def _of_function(function: Any) -> dict[str, float]:
    counts = function.cache_info()
    return {
        "function_hits": counts.hits,
        "function_misses": counts.misses,
        "function_saved": function.saved_seconds(),
    }
