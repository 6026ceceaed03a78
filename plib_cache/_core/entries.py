# SPDX-License-Identifier: BSD-3-Clause
"""Entries with all that the core keeps of them, for whoever speaks for other programs (``serve``).

``values`` gives a reader what it needs to make a Python value; here is the rest: client flags,
deadline, and how the key was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from plib_cache._core import work as _work
from plib_cache._core.failures import Facts
from plib_cache._core.handle import AGAIN, FULL, MISS, OK, TOO_SMALL, WRONG_TYPE
from plib_cache._core.values import Values
from plib_cache._core.work import BUFFER_BYTES, Terms
from plib_cache._native import ffi, lib

_ALIGN = 16  # of the values of one plc_get_many
_MANY = 1024  # keys of one call
_unpack = ffi.unpack
_uncleared: Any = ffi.new_allocator(should_clear_after_alloc=False)


class Entry(NamedTuple):
    """One entry.  Times are milliseconds since 1970; a deadline of 0 is never."""

    type_code: int
    data: bytes
    flags: int
    token: int
    deadline_ms: int
    created_ms: int
    text: bool  # the last writer gave the key as text


class _Bytes(NamedTuple):
    type_code: int
    parts: tuple[bytes, ...]
    nbytes: int


def _entry(found: Any, data: bytes) -> Entry:
    return Entry(
        found.type,
        data,
        found.client_flags,
        found.token,
        found.deadline_ms,
        found.created_ms,
        bool(found.key_is_text),
    )


class Entries(Values):
    """The operations on whole entries."""

    def look(self, key: bytes) -> Entry | None:
        """The entry of a key."""
        return self._look(lib.plc_get, key, 0)

    def look_touch(self, key: bytes, deadline_ms: int) -> Entry | None:
        """The entry of a key, which has another deadline from now on."""
        return self._look(lib.plc_get_touch, key, deadline_ms)

    def _look(self, function: Any, key: bytes, argument: int) -> Entry | None:
        work = _work.take()
        try:
            found = work.found
            args = (key, len(key), argument, work.buffer, BUFFER_BYTES, found)
            status = self._insist_from(function, *args)
            if status == OK:
                return _entry(found, _unpack(work.buffer, found.length))
            if status == MISS:
                return None
            large = self._get_large(status, key, found)
            return None if large is None else _entry(found, bytes(large[1]))
        finally:
            _work.give_back(work)

    def look_many(self, keys: Sequence[bytes], most: int) -> list[Entry | None]:
        """The entries of the first of several keys: of as many as have ``most`` bytes together.

        There is always one of the first key, whatever its length.
        """
        entries: list[Entry | None] = []
        for start in range(0, len(keys), _MANY):
            asked = keys[start : start + _MANY]
            some = self._look_some(asked, most)
            entries += some
            if len(some) < len(asked):
                break
            most -= sum(len(one.data) for one in some if one is not None)
            if most <= 0:
                break
        return entries or [self.look(keys[0])]

    def _look_some(self, keys: Sequence[bytes], most: int) -> list[Entry | None]:
        listed, rows = _work.Keys(keys), ffi.new("plc_found[]", len(keys))
        buffer = _uncleared("char[]", max(most, _ALIGN))
        args = (len(keys), listed.pointers, listed.lengths, 0, buffer, max(most, _ALIGN), rows)
        self._call(lib.plc_get_many, *args)
        entries: list[Entry | None] = []
        for i, key in enumerate(keys):
            row = rows[i]
            if row.status == TOO_SMALL:
                break
            absent = self._absent(row.status, key)
            at = buffer + row.offset
            entries.append(None if absent else _entry(row, _unpack(at, row.length)))
        return entries

    def put(
        self,
        verb: int,
        key: bytes,
        value: bytes,
        type_code: int = 0,
        flags: int = 0,
        terms: Terms = Terms(),
        token: int = 0,
    ) -> tuple[int, int]:
        """Store bytes; the status (OK, MISS, EXISTS or WRONG_TYPE) and the token of what is stored.

        Raises:
            ValueTooLargeError, RegionFullError, BusyError: nothing was changed.
        """
        work = _work.take()
        try:
            given, stored = _Bytes(type_code, (value,), len(value)), ffi.new("uint64_t *")
            alive = _work.fill(work.entry, work.parts, key, given, terms, token)
            work.entry.client_flags = flags
            status = lib.plc_store(self._handle, verb, work.entry, stored)
            if status == AGAIN:
                status = self._insist(lib.plc_store_nogil, verb, work.entry, stored)
            del alive
        finally:
            work.entry.client_flags = 0
            _work.give_back(work)
        if status >= FULL and status != WRONG_TYPE:
            raise self._refused(status, Facts(self.path, key, len(value)))
        return status, int(stored[0])
