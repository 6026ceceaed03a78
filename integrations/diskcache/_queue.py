# SPDX-License-Identifier: BSD-3-Clause
"""Queues: ``push``, ``pull`` and ``peek`` of entries whose keys are numbers in a row.

The keys are those of diskcache: 500000000000000 and its neighbours, or "prefix-500000000000000".
Where a queue begins and ends (its window) is noted in the other region, so that nobody has to look
for it.  An item is added first, then the window is moved over it; it is taken first, then the
window is moved past it.  Whoever finds that somebody has done the first and not yet the second
(or has died) does the second for him.  A note that is missing is made again from the keys.

A queue that is emptied goes on counting.  If numbers came again, who has looked at the window and
been slow would take an item out of the middle.  Pushing and pulling at the same end makes them come
again: then two who do so at once may get items in another order, and lose none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from plib_cache import ConfigurationError
from plib_cache.integrations.diskcache._base import extras
from plib_cache.integrations.diskcache._disk import ENOVAL
from plib_cache.integrations.diskcache._items import Items
from plib_cache.integrations.diskcache._keys import pack, unpack
from plib_cache.integrations.diskcache._record import NOTHING, Record

START = 500_000_000_000_000
_END = 999_999_999_999_999
_SIDES = ("front", "back")


class _Window(NamedTuple):
    """The numbers of a queue: from ``front`` up to ``back``, which is not in it."""

    front: int
    back: int

    @property
    def empty(self) -> bool:
        return self.front >= self.back

    def grown(self, side: str) -> _Window:
        if side == "back" or self.empty:
            return self._replace(back=self.back + 1)
        return self._replace(front=self.front - 1)

    def shrunk(self, side: str) -> _Window:
        if side == "back":
            return self._replace(back=self.back - 1)
        return self._replace(front=self.front + 1)

    def beyond(self, side: str) -> int:
        """The number that comes next on a side; of an empty queue on both."""
        return self.back if side == "back" or self.empty else self.front - 1

    def last(self, side: str) -> int:
        """The number that stands at a side."""
        return self.back - 1 if side == "back" else self.front


class Queues(Items):
    """The queues of a cache."""

    def push(
        self,
        value: Any,
        prefix: str | None = None,
        side: str = "back",
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> Any:
        """Put a value at a side of a queue; the key that it has there.

        Args:
            prefix: which queue; the keys of None are numbers.
            side: "back" or "front".

        Raises:
            ConfigurationError: the value is too large for the region.
        """
        _check_side(side)
        record = self._fresh(b"", None, value, expire, read, tag)
        while True:
            window, token = self._window(prefix)
            number = window.beyond(side)
            raw = _raw(prefix, number)
            added = self._kept(raw, retry, self._cache.add, raw, record, expire)
            if added is None:
                raise ConfigurationError(
                    f"an item of {record.nbytes} bytes cannot be put into the queue: the region is "
                    "too small or full; see the warning, and give a larger size_limit"
                )
            moved = self._move(prefix, window.grown(side), token)
            if added and (moved or not self._withdrawn(raw, record)):
                return _key(prefix, number)

    def pull(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove the item at a side of a queue, and return its key and value; else the default."""
        for number, record in self._items(prefix, side, take=True, retry=retry):
            value = self._load(record, ENOVAL)
            if value is not ENOVAL:
                pair = (_key(prefix, number), value)
                return extras(pair, record.expire_time, record.tag, (expire_time, tag))
        return extras(default, None, None, (expire_time, tag))

    def peek(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """The key and value of the item at a side of a queue, which stays; else the default.

        Raises:
            SerializationError: it cannot be read here; ``pull`` takes it away.
        """
        for number, record in self._items(prefix, side, take=False, retry=retry):
            value = self._disk.fetch(record.mode, None, record.loaded(self._values), False)
            pair = (_key(prefix, number), value)
            return extras(pair, record.expire_time, record.tag, (expire_time, tag))
        return extras(default, None, None, (expire_time, tag))

    def _items(
        self, prefix: str | None, side: str, take: bool, retry: bool
    ) -> Iterator[tuple[int, Record]]:
        """The items at a side, one after the other, and the window moved past what is gone."""
        _check_side(side)
        while True:
            window, token = self._window(prefix)
            if window.empty:
                if not self._grown_unnoticed(prefix, window, token):
                    return
                continue
            number = window.last(side)
            raw = _raw(prefix, number)
            record = self._take(raw, retry) if take else self._find(raw)
            if record is None or take:
                self._move(prefix, window.shrunk(side), token)
            if record is not None:
                yield number, record

    def _grown_unnoticed(self, prefix: str | None, window: _Window, token: int) -> bool:
        """Whether somebody has put an item into an empty queue, and not moved its window yet."""
        if _raw(prefix, window.back) not in self._cache:
            return False
        self._move(prefix, window.grown("back"), token)
        return True

    def _withdrawn(self, raw: bytes, record: Record) -> bool:
        """Take an item back; False if somebody has pulled it.

        Others have moved the window since it was looked at. They may have moved it over this item,
        or past its place before it was there: that cannot be told, so it is pushed once more.
        """
        while (found := self._cache.gets(raw)) is not None:
            if found[0].stored_ns != record.stored_ns:
                break
            if self._cache.cas(raw, NOTHING, found[1], 0):
                return True
        return False

    # ---- windows

    def _window(self, prefix: str | None) -> tuple[_Window, int]:
        """Where a queue begins and ends, and the token of that note."""
        name = _name(prefix)
        while (found := self._state.gets(name)) is None:
            self._state.add(name, tuple(self._looked_for(prefix)))
        (front, back), token = found
        return _Window(front, back), token

    def _move(self, prefix: str | None, window: _Window, token: int) -> bool:
        return bool(self._state.cas(_name(prefix), tuple(window), token))

    def _looked_for(self, prefix: str | None) -> _Window:
        """Where a queue begins and ends, from the keys that there are."""
        numbers = [number for raw in self._cache if (number := _number(prefix, raw)) is not None]
        return _Window(min(numbers), max(numbers) + 1) if numbers else _Window(START, START)


def _check_side(side: str) -> None:
    if side not in _SIDES:
        raise ConfigurationError(f"side={side!r}: use 'front' or 'back'")


def _name(prefix: str | None) -> str:
    return "numbers" if prefix is None else "prefix " + prefix


def _key(prefix: str | None, number: int) -> Any:
    return number if prefix is None else f"{prefix}-{number:015d}"


def _raw(prefix: str | None, number: int) -> bytes:
    return pack(_key(prefix, number), True)


def _number(prefix: str | None, raw: str | bytes) -> int | None:
    """The number of a key in a queue; None if it is none of that queue."""
    kind = b"i" if prefix is None else b"s"
    if not isinstance(raw, bytes) or raw[:1] != kind:
        return None
    key = unpack(raw)[0]
    if prefix is not None:
        head, _, digits = key.rpartition("-")
        if head != prefix or not (digits.isascii() and digits.isdigit() and len(digits) == 15):
            return None
        key = int(digits)
    return key if 0 < key < _END else None
