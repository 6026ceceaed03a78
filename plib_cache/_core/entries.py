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
from plib_cache._core.fast import fast
from plib_cache._core.handle import AGAIN, FULL, TOO_SMALL, WRONG_TYPE
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


class Given(NamedTuple):
    """What is to be stored.

    ``token`` is that of the entry that must still be there (CAS, REMAKE), and ``seen_type`` its
    type (REMAKE).  ``own`` is the token that the new one gets; 0: one of its own.  REMAKE leaves
    the deadline, unless it is a new one.
    """

    value: bytes
    type_code: int = 0
    flags: int = 0
    terms: Terms = Terms()
    token: int = 0
    own: int = 0
    seen_type: int = 0
    new_deadline: bool = False


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
        return self._look(lib.plc_get, (key, len(key), 0))

    def peek(self, key: bytes) -> Entry | None:
        """The entry of a key, which has not been read for it; nothing is counted."""
        return self._look(lib.plc_peek, (key, len(key)))

    def was_read(self, key: bytes) -> bool:
        """Whether the value of a key has been read since it was stored, as far as is known."""
        answer = ffi.new("uint32_t *")
        self._call(lib.plc_was_read, key, len(key), answer)
        return bool(answer[0])

    def look_touch(self, key: bytes, deadline_ms: int) -> Entry | None:
        """The entry of a key, which has another deadline from now on."""
        return self._look(lib.plc_get_touch, (key, len(key), deadline_ms))

    def _look(self, function: Any, asked: tuple[Any, ...]) -> Entry | None:
        work = _work.take()
        try:
            buffer, room, found = work.buffer, BUFFER_BYTES, work.found
            status = self._insist_from(function, *asked, buffer, room, found)
            while status == TOO_SMALL:  # and may grow meanwhile
                room = found.length
                buffer = _uncleared("char[]", room)
                status = self._insist_from(function, *asked, buffer, room, found)
            if self._absent(status, asked[0]):
                return None
            return _entry(found, _unpack(buffer, found.length))
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

    def answer(
        self, data: bytes | bytearray, start: int, most: int
    ) -> tuple[bytes, int, int, int, int]:
        """Answer memcached's gets that stand in ``data`` from ``start`` on, if they are usual.

        Args:
            most: bytes that the answer may have.

        Returns:
            The answer; where the first command begins that it is not for; lines, hits and misses.
        """
        if fast is None:
            return b"", start, 0, 0, 0
        answer: tuple[bytes, int, int, int, int] = fast.answer(self._address, data, start, most)
        return answer

    def put(self, verb: int, key: bytes, given: Given) -> tuple[int, int]:
        """Store bytes; the status (OK, MISS, EXISTS or WRONG_TYPE) and the token of what is stored.

        Raises:
            ValueTooLargeError, RegionFullError, BusyError: nothing was changed.
        """
        work = _work.take()
        entry, stored = work.entry, ffi.new("uint64_t *")
        try:
            encoded = _Bytes(given.type_code, (given.value,), len(given.value))
            alive = _work.fill(entry, work.parts, key, encoded, given.terms, given.token)
            entry.client_flags, entry.own_token = given.flags, given.own
            entry.seen_type = given.seen_type
            if given.new_deadline:
                entry.options |= lib.PLC_NEW_DEADLINE
            large = len(given.value) > BUFFER_BYTES
            function = lib.plc_store_nogil if large else lib.plc_store
            status = function(self._handle, verb, entry, stored)
            if status == AGAIN:
                status = self._insist(lib.plc_store_nogil, verb, entry, stored)
            del alive
        finally:
            entry.client_flags = entry.own_token = entry.seen_type = 0  # the others leave these
            _work.give_back(work)
        if status >= FULL and status != WRONG_TYPE:
            raise self._refused(status, Facts(self.path, key, len(given.value)))
        return status, int(stored[0])
