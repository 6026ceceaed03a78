# SPDX-License-Identifier: BSD-3-Clause
"""A region as memcached's commands see it.

What a client stores is ``bytes`` in Python, with the client's flags beside them.  What Python has
stored has no such flags, and is shown with the number of its type in their place.

A client can mark an entry as stale, as won (one client was told to compute it anew), or make an
empty one to win.  memcached keeps this beside a value; here it is in the type code:

==========  ============================================================================
0 to 11     a value (``serialize``)
16 to 27    the same, and a client was told that it is to renew it; Python reads it as before
12          stale bytes; a miss for Python
13          the same, and a client was told to renew it
14          empty, made by a client that was told to fill it; a miss for Python
==========  ============================================================================
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from plib_cache._core import ADD, APPEND, CAS, OK, PREPEND, REPLACE, SET, Entry, Region, Terms
from plib_cache._marked import STALE, STALE_WON, VACANT, WON
from plib_cache.cache import Cache
from plib_cache.serve.words import GONE

__all__ = ["ADD", "APPEND", "CAS", "OK", "PREPEND", "REPLACE", "SET", "Item", "Store"]

_GONE = Terms(deadline_ms=GONE)


class Item(NamedTuple):
    """What a client sees of an entry.  The deadline is in milliseconds since 1970, 0 is never."""

    value: bytes
    flags: int
    token: int
    deadline_ms: int
    created_ms: int
    binary: bool  # its key was given in base64
    type_code: int
    fetched: bool = False  # somebody has read it before

    @property
    def stale(self) -> bool:
        """Whether a client has marked it as out of date."""
        return self.type_code in (STALE, STALE_WON)

    @property
    def won(self) -> bool:
        """Whether a client was told to renew it."""
        return self.type_code >= WON or self.type_code in (STALE_WON, VACANT)


def item_of(entry: Entry) -> Item:
    """An entry as a client sees it."""
    code, data, flags, token, deadline_ms, created_ms, text = entry
    if not flags and code not in (STALE, STALE_WON, VACANT):
        flags = code - WON if code >= WON else code
    return Item(data, flags, token, deadline_ms, created_ms, not text, code)


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Store:
    """The region of a cache.

    All methods may raise ``PlibCacheError``: the region refused, and nothing was changed.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache  # may be exchanged for another one

    @property
    def _region(self) -> Region:
        return self.cache._region

    @property
    def value_max(self) -> int:
        """The longest value that can be stored, in bytes."""
        return self._region.info()["value_max"]

    # ---- reading

    def get(self, key: bytes) -> Item | None:
        """What there is of a key."""
        entry = self._region.look(key)
        return None if entry is None else item_of(entry)

    def get_many(self, keys: Sequence[bytes], most: int) -> list[Item | None]:
        """What there is of the first of several keys, together up to ``most`` bytes of values.

        At least one of them is looked at, whatever its length.
        """
        found = self._region.look_many(keys, most)
        return [None if entry is None else item_of(entry) for entry in found]

    def get_touch(self, key: bytes, deadline_ms: int) -> Item | None:
        """What there is of a key, which has another deadline from now on."""
        if deadline_ms and deadline_ms <= now_ms():  # what is gone could not be read any more
            item = self.get(key)
            if item is not None:
                self.delete(key, item.token)
            return item
        entry = self._region.look_touch(key, deadline_ms)
        return None if entry is None else item_of(entry)

    # ---- writing

    def put(
        self,
        verb: int,
        key: bytes,
        value: bytes,
        flags: int = 0,
        deadline_ms: int = 0,
        token: int = 0,
        *,
        binary: bool = False,
    ) -> tuple[int, int]:
        """Store what a client gave; the status (OK, MISS, EXISTS or WRONG_TYPE) and the token."""
        terms = Terms(deadline_ms=deadline_ms, text=not binary)
        return self._region.put(verb, key, value, 0, flags, terms, token)

    def delete(self, key: bytes, token: int | None = None) -> int:
        """Remove an entry, if it has the token that is given; OK, MISS or EXISTS."""
        if token is None:
            return OK if self._region.delete(key) else 1
        return self._region.put(CAS, key, b"", terms=_GONE, token=token)[0]

    def touch(self, key: bytes, deadline_ms: int) -> bool:
        """Give an entry another deadline; False if there is none."""
        return self._region.touch(key, deadline_ms)

    def incr(self, key: bytes, delta: int, down: bool) -> int | None:
        """Count a number up or down; None if there is none.

        Raises:
            ValueError: it is no number.
        """
        return self._region.incr(key, delta, down=down)

    def flush(self, at_ms: int = 0) -> None:
        """Remove everything: now, or at a moment in milliseconds since 1970."""
        self._region.flush(at_ms)
