# SPDX-License-Identifier: BSD-3-Clause
"""The operations on one key: each is one step for all threads and processes."""

from __future__ import annotations

from typing import Any

from plib_cache.integrations.diskcache._base import Base, extras, moment, remaining
from plib_cache.integrations.diskcache._disk import ENOVAL
from plib_cache.integrations.diskcache._keys import shortened
from plib_cache.integrations.diskcache._record import Record


class Items(Base):
    """The mapping, and counters."""

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store a value; False, with one warning, if it is too large for the region.

        Args:
            expire: seconds until it is gone.
            read: the value is a file, opened for reading bytes.
            tag: a str, int, float or bytes; ``evict`` of it removes the entry.
            retry: go on trying where other writers are in the way.

        Raises:
            Timeout: other writers were in the way.
            SerializationError: the value cannot be stored.
        """
        packed = self._packed(key)
        record = self._fresh(packed, key, value, expire, read, tag)
        raw = shortened(packed)
        return self._kept(raw, retry, self._put, raw, record, expire) is True

    def _put(self, raw: bytes, record: Record, expire: float | None) -> bool:
        self._cache.set(raw, record, expire)
        return True

    def __setitem__(self, key: Any, value: Any) -> None:
        self.set(key, value, retry=True)

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store a value only if there is none; of all who try, one gets True.  See ``set``."""
        packed = self._packed(key)
        raw = shortened(packed)
        if raw in self._cache:
            return False
        record = self._fresh(packed, key, value, expire, read, tag)
        return bool(self._kept(raw, retry, self._cache.add, raw, record, expire))

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """The value of a key, or the default; with its expiry and its tag, if asked for.

        Args:
            read: a value that was stored as a file, or is bytes of ``disk_min_file_size`` or more,
                comes as a file object.
            retry: nothing; a reader waits for nobody.
        """
        record = self._find(shortened(self._packed(key)))
        value = ENOVAL if record is None else self._load(record, ENOVAL, read)
        self._count("misses" if value is ENOVAL else "hits")
        return self._answer(record, value, default, (expire_time, tag))

    def _answer(
        self, record: Record | None, value: Any, default: Any, wanted: tuple[bool, bool]
    ) -> Any:
        if record is None or value is ENOVAL:
            return extras(default, None, None, wanted)
        return extras(value, record.expire_time, record.tag, wanted)

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key, default=ENOVAL)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def read(self, key: Any, retry: bool = False) -> Any:
        """A value as a file object; see ``get``.

        Raises:
            KeyError: there is none.
        """
        reader = self.get(key, default=ENOVAL, read=True)
        if reader is ENOVAL:
            raise KeyError(key)
        return reader

    def __contains__(self, key: Any) -> bool:
        return shortened(self._packed(key)) in self._cache

    def pop(
        self,
        key: Any,
        default: Any = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove a key and return its value; of all who pop one entry, one gets it."""
        record = self._take(shortened(self._packed(key)), retry)
        value = ENOVAL if record is None else self._load(record, ENOVAL)
        return self._answer(record, value, default, (expire_time, tag))

    def _take(self, raw: bytes, retry: bool) -> Record | None:
        found: Record | None = self._insist(retry, self._cache.pop, raw, None)
        return found

    def __delitem__(self, key: Any, retry: bool = True) -> None:
        if not self.delete(key, retry):
            raise KeyError(key)

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove a key; False if it was not there."""
        raw = shortened(self._packed(key))
        return bool(self._insist(retry, self._cache.delete, raw))

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Give an entry another expiry, counted from now; False if there is none."""
        raw = shortened(self._packed(key))
        while (found := self._cache.gets(raw)) is not None:
            record, token = found
            changed = record._replace(expire_time=moment(expire))
            stored = self._kept(raw, retry, self._cache.cas, raw, changed, token, expire)
            if stored is not False:
                return stored is True
        return False

    def incr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Add to a number, which may be negative or a float, and return the sum.

        An entry that there is keeps its expiry and its tag.

        Args:
            default: where there is none, begin with this one; None: raise KeyError.

        Raises:
            TypeError: the value is no number.
        """
        packed = self._packed(key)
        raw = shortened(packed)
        while True:
            found = self._cache.gets(raw)
            value = ENOVAL if found is None else self._load(found[0], ENOVAL)
            if value is ENOVAL and default is None:
                raise KeyError(key)
            total = (default if value is ENOVAL else value) + delta
            fresh = self._fresh(packed, key, total, None, False, None)
            if found is None:
                stored = self._kept(raw, retry, self._cache.add, raw, fresh)
            else:
                old, token = found
                if value is not ENOVAL:
                    fresh = fresh._replace(
                        expire_time=old.expire_time, tag=old.tag, stored_ns=old.stored_ns
                    )
                left = remaining(fresh.expire_time)
                stored = self._kept(raw, retry, self._cache.cas, raw, fresh, token, left)
            if stored is not False:
                return total

    def decr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Take from a number; see ``incr``."""
        return self.incr(key, -delta, default, retry)
