# SPDX-License-Identifier: BSD-3-Clause
"""What ``plib-cache top`` shows, in numbers: one look after the other, and what changed between.

What costs much (a walk over the pages, over the names, over the entries) is done at most so often
that it takes a twentieth of a processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from plib_cache._core import NameCounts, Region
from plib_cache.cache import Cache
from plib_cache.cli.census import Census, Share, Steady
from plib_cache.cli.watching import since
from plib_cache.exceptions import PlibCacheError
from plib_cache.stats import Stats

T = TypeVar("T")

_REST = 20.0  # a costly look is repeated after so many times what it took
GETS = ("hits", "misses")
STORES = ("sets", "adds", "replaces", "cas", "appends", "incrs")
OTHERS = ("deletes", "touches")


class Named(NamedTuple):
    """A function, a namespace or a tag."""

    number: int
    kind: str  # "function", "namespace" or "tag"
    name: str
    hits: int
    misses: int
    saved_s: float
    hits_per_s: float
    misses_per_s: float
    entries: int
    nbytes: int

    @property
    def ratio(self) -> float:
        """Hits among all calls; -1.0 before the first one."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else -1.0


class Picture(NamedTuple):
    """All that is known at one moment; rates are per second since the look before."""

    path: str
    at: float  # seconds since 1970
    seconds: float  # since the look before; 0.0: there was none
    stats: Stats
    rates: Mapping[str, float]
    info: Mapping[str, int]
    usage: Mapping[str, int]
    census: Census
    named: tuple[Named, ...]
    warnings: tuple[str, ...]

    def rate(self, *names: str) -> float:
        """The sum of some rates."""
        return sum(self.rates[name] for name in names)


class Seldom(Generic[T]):
    """The answer to a costly question, asked anew when it is old in proportion to its cost."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask, self._next = ask, 0.0
        self._answer: T | None = None

    def answer(self) -> T:
        """The answer, as of a moment ago."""
        begun = time.monotonic()
        if self._answer is None or begun >= self._next:
            self._answer = self._ask()
            ended = time.monotonic()
            self._next = ended + _REST * (ended - begun)
        return self._answer


class Feed:
    """Looks at one region, and goes on with what takes its place when it was removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin(Cache(path=path, create=False))

    def _begin(self, cache: Cache) -> None:
        self.cache = cache
        region = cache._region
        self._usage = Seldom(region.usage)
        self._names = Seldom(lambda: _names_in(region))
        self._census = Steady(region)
        self._before: Stats | None = None
        self._counts: dict[int, NameCounts] = {}
        self._looked = 0.0

    def close(self) -> None:
        """Detach."""
        self.cache.close()

    def look(self) -> Picture:
        """Look at everything.

        Raises:
            PlibCacheError: the region cannot be looked at any more.
        """
        removed = self.cache.removed() and not self._reopened()
        region = self.cache._region
        stats, now, census = self.cache.stats(), time.monotonic(), self._census.step()
        seconds = now - self._looked if self._before is not None else 0.0
        rates = _rates(self._before, stats, seconds)
        named = tuple(self._look_at(number, *what, seconds, census) for number, what in self._all())
        info = region.info()
        self._before, self._looked = stats, now
        usage = self._usage.answer()
        warnings = tuple(_warnings(stats, rates, info, removed))
        at = time.time()
        path = self.cache.path
        return Picture(path, at, seconds, stats, rates, info, usage, census, named, warnings)

    def forget(self, number: int) -> None:
        """Forget what was stored under a name, and its counts."""
        self.cache._region.name_invalidate(number)
        self.cache._region.name_reset(number)
        self._counts.pop(number, None)
        self._begin_census()

    def forget_all(self) -> None:
        """Forget everything in the cache."""
        self.cache.clear()
        self._begin_census()

    def _begin_census(self) -> None:
        self._census = Steady(self.cache._region)

    def _reopened(self) -> bool:
        """Go on with the region that has the path now; False if there is none."""
        try:
            fresh = Cache(path=self._path, create=False)
        except PlibCacheError:
            return False
        self.cache.close()
        self._begin(fresh)
        return True

    def _all(self) -> list[tuple[int, tuple[str, str]]]:
        return sorted(self._names.answer().items())

    def _look_at(self, number: int, kind: str, name: str, seconds: float, census: Census) -> Named:
        counts = self.cache._region.name_read(number)
        before = self._counts.get(number, counts)
        self._counts[number] = counts
        share = census.by_name.get(number, Share())
        hits, misses = (
            since(then, now) / seconds if seconds else 0.0
            for now, then in zip(counts[:2], before[:2], strict=True)
        )
        saved = counts.saved_us / 1e6
        return Named(number, kind, name, counts.hits, counts.misses, saved, hits, misses, *share)


_KINDS = {"f": "function", "n": "namespace", "t": "tag"}


def _names_in(region: Region) -> dict[int, tuple[str, str]]:
    """The kind and the name of each number that is known, or has counted something."""
    found = {}
    for number, note in region.notes().items():
        kind = _KINDS.get(note.text[:1], "namespace")
        found[number] = kind, note.shown or note.text[2:]
    for number, _ in region.names_used():
        found.setdefault(number, ("function", f"function #{number}"))
    return found


def _rates(before: Stats | None, now: Stats, seconds: float) -> dict[str, float]:
    """What was counted per second."""
    counts = now.as_dict()
    had = counts if before is None else before.as_dict()
    return {
        name: since(had[name], count) / seconds if seconds else 0.0
        for name, count in counts.items()
        if isinstance(count, int)
    }


def _warnings(
    stats: Stats, rates: Mapping[str, float], info: Mapping[str, Any], removed: bool
) -> list[str]:
    found = []
    if removed or info["retired"]:
        found.append("the file was removed: programs that open the cache now make a new one")
    if info["growth_stopped"]:
        found.append("the folder is full: the cache stays as small as it is; free some space there")
    if stats.corrupt_seen:
        found.append(f"{stats.corrupt_seen:,} damaged entries met: plib-cache check says more")
    if rates["evicted_visited_dropped"]:
        found.append("values in use are evicted: the cache is too small for what is used of it")
    if rates["stores_refused_full"]:
        found.append("stores are refused, because the cache is full of what is leased or reserved")
    if rates["stores_refused_busy"]:
        found.append("stores are refused, because a lock is held too long: a stopped process?")
    if rates["leases_copied"]:
        found.append("leases are copied: the share of the pool for values in place is used up")
    if info["processes"] * 10 >= info["processes_max"] * 9:
        found.append(f"{info['processes']} of {info['processes_max']} places for processes taken")
    return found
