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
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from plib_cache._core import (
    ADD,
    APPEND,
    CAS,
    EXISTS,
    MISS,
    OK,
    PREPEND,
    REMAKE,
    REPLACE,
    SET,
    WRONG_TYPE,
    Entry,
    Given,
    Region,
    Terms,
)
from plib_cache._marked import STALE, STALE_WON, VACANT, VALUES, WON
from plib_cache.cache import Cache
from plib_cache.exceptions import BusyError
from plib_cache.serve.words import GONE, spoken

__all__ = [
    "ADD",
    "APPEND",
    "CAS",
    "EXISTS",
    "MISS",
    "OK",
    "PREPEND",
    "REPLACE",
    "SET",
    "WRONG_TYPE",
    "Item",
    "Store",
]

_COUNT_S = 1.0  # a count of all entries is good for so long
_TRIES = 64  # at an entry that others change all the time
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

    @property
    def stale(self) -> bool:
        """Whether a client has marked it as out of date."""
        return self.type_code in (STALE, STALE_WON)

    @property
    def won(self) -> bool:
        """Whether a client was told to renew it."""
        return WON <= self.type_code < WON + VALUES or self.type_code in (STALE_WON, VACANT)


def item_of(entry: Entry) -> Item:
    """An entry as a client sees it."""
    code, data, flags, token, deadline_ms, created_ms, text = entry
    if not flags and code not in (STALE, STALE_WON, VACANT):
        flags = code - WON if WON <= code < WON + VALUES else code
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
        self._items = 0
        self._items_until = 0.0

    @property
    def _region(self) -> Region:
        return self.cache._region

    def stats(self) -> Mapping[str, int]:
        """What the region counts and holds, by name."""
        return self._region.stats()

    def items(self) -> int:
        """How many entries there are; as of a second ago, for all of the index is walked."""
        now = time.monotonic()
        if now >= self._items_until:
            self._items = self._region.count()
            self._items_until = time.monotonic() + _COUNT_S
        return self._items

    def some(self) -> Iterator[tuple[bytes, Item]]:
        """Keys that a command can have, and what there is of them, in no order."""
        for key, _text in self._region.scan():
            item = self.get(key, notice=False) if spoken(key) else None
            if item is not None:
                yield key, item

    # ---- reading

    def get(self, key: bytes, *, notice: bool = True) -> Item | None:
        """What there is of a key; without ``notice`` it has not been read for it."""
        entry = self._region.look(key) if notice else self._region.peek(key)
        return None if entry is None else item_of(entry)

    def was_read(self, key: bytes) -> bool:
        """Whether what there is of a key was read before."""
        return self._region.was_read(key)

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

    def answer(
        self, data: bytes | bytearray, start: int, most: int
    ) -> tuple[bytes, int, int, int, int]:
        """See ``Region.answer``."""
        return self._region.answer(data, start, most)

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
        own: int = 0,
        binary: bool = False,
    ) -> tuple[int, int]:
        """Store what a client gave; the status and the token of what is stored.

        Args:
            token: of what must still be there (CAS).
            own: the token that it gets, 0: one of the region's.
            binary: the key was given in base64.

        Returns:
            OK, MISS, EXISTS; or WRONG_TYPE, which only bytes that are appended to cannot have.
        """
        terms = Terms(deadline_ms=deadline_ms, text=not binary)
        given = Given(value, flags=flags, terms=terms, token=token, own=own)
        status, stored = self._region.put(verb, key, given)
        if status == WRONG_TYPE:  # also of bytes that are marked
            return self.extend(verb, key, value, own=own)[:2]
        return status, stored

    def vacate(self, key: bytes, deadline_ms: int, *, binary: bool = False) -> tuple[int, int]:
        """Make an empty entry that a client is told to fill; OK and its token, or EXISTS."""
        terms = Terms(deadline_ms=deadline_ms, text=not binary)
        return self._region.put(ADD, key, Given(b"", VACANT, terms=terms))

    def remake(
        self,
        key: bytes,
        seen: Item,
        value: bytes,
        type_code: int,
        *,
        flags: int | None = None,
        deadline_ms: int | None = None,
        own: int = 0,
    ) -> tuple[int, int]:
        """Put another value in the place of exactly what was seen; the rest of it stays.

        Args:
            flags, deadline_ms: None leaves them.
            own: the token that it gets, 0: one of the region's.

        Returns:
            The status (OK, MISS, EXISTS; WRONG_TYPE of what never changes) and the token.
        """
        given = Given(
            value,
            type_code,
            seen.flags if flags is None else flags,
            Terms(deadline_ms=deadline_ms or 0),
            seen.token,
            own,
            seen.type_code,
            deadline_ms is not None,
        )
        return self._region.put(REMAKE, key, given)

    def extend(
        self, verb: int, key: bytes, piece: bytes, token: int = 0, *, own: int = 0
    ) -> tuple[int, int, int]:
        """APPEND or PREPEND to bytes, marked or not, that have a token (0: any).

        Returns:
            The status as ``put``, the token, and the length of the whole.
        """
        for _ in range(_TRIES):
            item = self.get(key, notice=False)
            if item is None:
                return MISS, 0, 0
            if token and item.token != token:
                return EXISTS, 0, 0
            if item.type_code not in (0, WON, STALE, STALE_WON, VACANT):
                return WRONG_TYPE, 0, 0
            whole = item.value + piece if verb == APPEND else piece + item.value
            status, stored = self.remake(key, item, whole, 0, own=own)
            if status == OK:
                return OK, stored, len(whole)
        raise busy(key)

    def delete(self, key: bytes, token: int | None = None) -> int:
        """Remove an entry, if it has the token that is given; OK, MISS or EXISTS."""
        if token is None:
            return OK if self._region.delete(key) else MISS
        return self._region.put(CAS, key, Given(b"", terms=_GONE, token=token))[0]

    def touch(self, key: bytes, deadline_ms: int) -> bool:
        """Give an entry another deadline; False if there is none."""
        return self._region.touch(key, deadline_ms)

    def flush(self, at_ms: int = 0) -> None:
        """Remove everything: now, or at a moment in milliseconds since 1970."""
        self._region.flush(at_ms)


def busy(key: bytes) -> BusyError:
    """Others have changed an entry again and again."""
    return BusyError(f"{key!r:.100} is changed by others all the time: try again")
