# SPDX-License-Identifier: BSD-3-Clause
"""What a cache holds, by kind of value and by name: counted by looking at each entry.

Counting a million entries takes seconds, so it is done in steps by who shows it meanwhile.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from plib_cache._core import Region
from plib_cache.cli.kinds import kind

T = TypeVar("T")

_KEYS = 8  # that are kept as examples of each name


class Share(NamedTuple):
    """Entries and the bytes of their values."""

    entries: int = 0
    nbytes: int = 0


class Census:
    """Counts of one walk; incomplete until it is ``done``."""

    def __init__(self) -> None:
        self.done = False
        self.entries = 0
        self.by_kind: dict[str, Share] = {}
        self.by_name: dict[int, Share] = {}  # by number, of namespaces and of tags
        self.kinds_of: dict[int, dict[str, Share]] = defaultdict(dict)
        self.keys_of: dict[int, list[bytes]] = defaultdict(list)

    def add(self, region: Region, raw: bytes) -> None:
        """Count an entry, if it is still there."""
        found = region.describe(raw)
        if found is None:
            return
        self.entries += 1
        word = kind(found.type_code)
        _raise(self.by_kind, word, found.nbytes)
        for number in {found.name, *found.tags} - {0}:
            _raise(self.by_name, number, found.nbytes)
            _raise(self.kinds_of[number], word, found.nbytes)
            if len(self.keys_of[number]) < _KEYS:
                self.keys_of[number].append(raw)


def _raise(shares: dict[T, Share], key: T, nbytes: int) -> None:
    had = shares.get(key, Share())
    shares[key] = Share(had.entries + 1, had.nbytes + nbytes)


def walk(region: Region) -> Iterator[Census]:
    """The census of a region: as it is behind each entry, and at last when it is done."""
    census = Census()
    for raw, _ in region.scan():
        census.add(region, raw)
        yield census
    census.done = True
    yield census


def whole(region: Region) -> Census:
    """The census of a region, complete."""
    census = Census()
    for raw, _ in region.scan():
        census.add(region, raw)
    return census


class Steady:
    """The latest census, counted anew all the time with a small part of a processor.

    Args:
        budget_s: of each step.
        rest: a finished walk is begun anew after so many times what it took.
    """

    def __init__(self, region: Region, budget_s: float = 0.05, rest: float = 20.0) -> None:
        self._region, self._budget_s, self._rest = region, budget_s, rest
        self._walk = walk(region)
        self._latest = self._last_done = Census()
        self._spent_s, self._next = 0.0, 0.0

    def step(self) -> Census:
        """Go on for a moment; the last that was finished, or the first one as far as it is."""
        begun = time.monotonic()
        if begun >= self._next:
            self._go_on(begun)
        return self._last_done if self._last_done.done else self._latest

    def _go_on(self, begun: float) -> None:
        for census in self._walk:
            self._latest = census
            if time.monotonic() >= begun + self._budget_s:
                break
        self._spent_s += time.monotonic() - begun
        if self._latest.done:
            self._last_done = self._latest
            self._walk = walk(self._region)
            self._next = time.monotonic() + self._rest * self._spent_s
            self._spent_s = 0.0
