# SPDX-License-Identifier: BSD-3-Clause
"""What looks at all entries: iteration, and removing by tag, expiry or age.

A walk looks at the head of every entry, and copies no large value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from plib_cache import SerializationError
from plib_cache.integrations.diskcache._base import extras
from plib_cache.integrations.diskcache._disk import ENOVAL
from plib_cache.integrations.diskcache._items import Items
from plib_cache.integrations.diskcache._keys import order, unpack
from plib_cache.integrations.diskcache._record import NOTHING, Record, Tag

_EXTRA = 128  # bytes of an entry besides its key and its value, at most (without its tag)
_LARGE, _PAGE = 8 << 10, 4 << 10  # from here on a value may have pages of its own


class Head(NamedTuple):
    """An entry without its value."""

    stored_ns: int
    packed: bytes
    raw: bytes
    expire_time: float | None
    tag: Tag
    nbytes: int  # that it takes, at most


_by_age = attrgetter("stored_ns", "packed")


class Walks(Items):
    """Everything that is not about one key."""

    def _heads(self) -> Iterator[Head]:
        """All entries, in no order; those that come and go meanwhile may be missing."""
        for raw in self._cache:
            if not isinstance(raw, bytes):
                continue  # stored by something else
            try:
                record: Record | None = self._cache.get(raw, copy=False)
            except SerializationError as error:
                self._failed(error)
                continue
            if record is not None:
                packed = record.key or raw
                nbytes = _taken(len(raw) + len(record.key) + record.nbytes)
                yield Head(record.stored_ns, packed, raw, record.expire_time, record.tag, nbytes)

    def _aged(self, newest_first: bool = False) -> list[Head]:
        """All entries, by when they were stored."""
        return sorted(self._heads(), key=_by_age, reverse=newest_first)

    def _given(self, packed: bytes) -> Any:
        """A key as it was given; ENOVAL if it cannot be read."""
        try:
            return self._disk.get(*unpack(packed))
        except (SerializationError, ValueError) as error:
            self._failed(error)
            return ENOVAL

    def _keys(self, packed: list[bytes]) -> Iterator[Any]:
        return (key for key in map(self._given, packed) if key is not ENOVAL)

    def __iter__(self) -> Iterator[Any]:
        """The keys that there are now, by when they were last stored, the oldest first."""
        return self._keys([head.packed for head in self._aged()])

    def __reversed__(self) -> Iterator[Any]:
        """The keys that there are now, the one stored last first."""
        return self._keys([head.packed for head in self._aged(newest_first=True)])

    def iterkeys(self, reverse: bool = False) -> Iterator[Any]:
        """The keys that there are now, sorted: numbers, texts, then all others by their bytes."""
        found = [head.packed for head in self._heads()]
        return self._keys(sorted(found, key=order, reverse=reverse))

    def __len__(self) -> int:
        """How many entries there are; those that have expired do not count."""
        return len(self._cache)

    def peekitem(
        self, last: bool = True, expire_time: bool = False, tag: bool = False, retry: bool = False
    ) -> Any:
        """The key and value that were stored last, or first.

        Raises:
            KeyError: the cache is empty.
        """
        for head in self._aged(newest_first=last):
            record, key = self._find(head.raw), self._given(head.packed)
            value = ENOVAL if record is None else self._load(record, ENOVAL)
            if record is not None and value is not ENOVAL and key is not ENOVAL:
                return extras((key, value), record.expire_time, record.tag, (expire_time, tag))
        raise KeyError("the cache is empty")

    # ---- removing

    def _drop(self, head: Head, retry: bool) -> bool:
        """Remove exactly this entry: not what was stored in its place meanwhile."""
        while (found := self._cache.gets(head.raw)) is not None:
            record, token = found
            if (record.stored_ns, record.tag) != (head.stored_ns, head.tag):
                break
            if self._insist(retry, self._cache.cas, head.raw, NOTHING, token, 0):
                return True
        return False

    def _drop_all(self, wanted: Callable[[Head], bool], retry: bool) -> int:
        return sum(self._drop(head, retry) for head in list(filter(wanted, self._heads())))

    def evict(self, tag: Any, retry: bool = False) -> int:
        """Remove the entries that were stored with a tag; how many they were."""
        return self._drop_all(lambda head: head.tag is not None and head.tag == tag, retry)

    def expire(self, now: float | None = None, retry: bool = False) -> int:
        """Remove what expires before a moment, in seconds since 1970; how many they were.

        What has expired by now is gone already, and does not count.
        """
        moment = now or time.time()
        return self._drop_all(
            lambda head: head.expire_time is not None and head.expire_time < moment, retry
        )

    def cull(self, retry: bool = False) -> int:
        """Remove what was stored first until ``size_limit`` is kept; how many entries."""
        count, limit = self.expire(retry=retry), self._set["size_limit"]
        oldest = self._aged() if self.volume() > limit else []
        total = sum(head.nbytes for head in oldest)
        for head in oldest:
            if total <= limit:
                break
            count += bool(self._insist(retry, self._cache.delete, head.raw))
            total -= head.nbytes
        return count

    def clear(self, retry: bool = False) -> int:
        """Remove everything, in one step for all processes; how many entries there were."""
        count = len(self)
        self._insist(retry, self._cache.clear)
        for name in [name for name in self._state if name not in ("hits", "misses")]:
            self._state.delete(name)
        return count

    def volume(self) -> int:
        """Bytes that the entries take, also those that have expired and are not taken back yet."""
        return self._cache.info().live


def _taken(nbytes: int) -> int:
    """The bytes that an entry of so many takes, at most."""
    taken = nbytes + _EXTRA
    return taken if taken < _LARGE else -(-taken // _PAGE) * _PAGE
