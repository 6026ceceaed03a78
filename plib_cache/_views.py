# SPDX-License-Identifier: BSD-3-Clause
"""``items()`` and ``values()`` of a mapping that others change meanwhile.

The views of the standard library read each key that was listed, and raise KeyError for one that
is gone by then.  These leave it out.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

from plib_cache._flight import MISSING

if TYPE_CHECKING:
    from plib_cache._attached import Key


def pairs(cache: Mapping[Key, Any]) -> Iterator[tuple[Key, Any]]:
    """Each key and its value; what comes and goes meanwhile may or may not appear."""
    for key in cache:
        value = cache.get(key, MISSING)
        if value is not MISSING:
            yield key, value


class Items(ItemsView["Key", Any]):
    """The items of a cache."""

    _mapping: Mapping[Key, Any]

    def __iter__(self) -> Iterator[tuple[Key, Any]]:
        return pairs(self._mapping)


class Values(ValuesView[Any]):
    """The values of a cache."""

    _mapping: Mapping[Key, Any]

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in pairs(self._mapping))
