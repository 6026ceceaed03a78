# SPDX-License-Identifier: BSD-3-Clause
"""Reading, storing, counting and removing entries.

A short call keeps the GIL; what copies more than 64 KiB gives it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plib_cache._core import work as _work
from plib_cache._core.failures import Facts
from plib_cache._core.fast import fast
from plib_cache._core.handle import AGAIN, FULL, MISS, OK, SLICE_MS, TOO_SMALL, Handle
from plib_cache._core.work import BUFFER_BYTES, Encoding, Found, Item, Terms
from plib_cache._native import ffi, lib

SET = int(lib.PLC_SET)
ADD = int(lib.PLC_ADD)
REPLACE = int(lib.PLC_REPLACE)
CAS = int(lib.PLC_CAS)
APPEND = int(lib.PLC_APPEND)
PREPEND = int(lib.PLC_PREPEND)
PUBLISH = int(lib.PLC_PUBLISH)
REMAKE = int(lib.PLC_REMAKE)

_ALIGN = 16  # of the values of one plc_get_many
_uncleared: Any = ffi.new_allocator(should_clear_after_alloc=False)
_plc_get = lib.plc_get
_plc_store = lib.plc_store


class Values(Handle):
    """The operations on entries."""

    def get(self, key: bytes, name: int = 0) -> Found | None:
        """What is stored under ``key``; counts a hit or a miss for the namespace ``name``."""
        work = _work.take()
        try:
            found = work.found
            args = (key, len(key), name, work.buffer, BUFFER_BYTES, found)
            status = _plc_get(self._handle, *args)
            if status == AGAIN:
                status = self._insist(_plc_get, *args)
            if status == OK:
                kind = found.type
                data = _work.copy_out(work.buffer, found.length, kind)
                return kind, data, found.cost, found.token
            return None if status == MISS else self._get_large(status, key, found, name)
        finally:
            _work.give_back(work)

    def _get_large(self, status: int, key: bytes, found: Any, name: int = 0) -> Found | None:
        """A value that is larger than the buffer, and may grow or vanish meanwhile."""
        data = bytearray()
        while status == TOO_SMALL:
            data = bytearray(found.length)
            with ffi.from_buffer("char[]", data, require_writable=True) as raw:
                args = (key, len(key), name, raw, len(data), found)
                status = self._insist_from(lib.plc_get_nogil, *args)
        if self._absent(status, key):
            return None
        del data[found.length :]
        kind = found.type
        value = bytes(data) if kind < _work.FIRST_OWNED_TYPE else data
        return kind, value, found.cost, found.token

    def _insist_from(self, function: Any, *args: Any) -> int:
        status: int = function(self._handle, *args)
        return self._insist(function, *args) if status == AGAIN else status

    def _absent(self, status: int, key: bytes) -> bool:
        """False if the key is there, True if it is not; anything else is raised."""
        if status not in (OK, MISS):
            raise self._refused(status, Facts(self.path, key))
        return status == MISS

    def get_touch(self, key: bytes, deadline_ms: int) -> Found | None:
        """What is stored under ``key``, which has another deadline from now on."""
        work = _work.take()
        try:
            found = work.found
            while True:
                args = (key, len(key), deadline_ms, work.buffer, BUFFER_BYTES, found)
                status = self._insist_from(lib.plc_get_touch, *args)
                if status == OK:
                    data = _work.copy_out(work.buffer, found.length, found.type)
                    return found.type, data, found.cost, found.token
                if status != TOO_SMALL:
                    return self._get_large(status, key, found)
                touched = found.token
                large = self._get_large(status, key, found)
                if large is None or large[3] == touched:  # else that was a newer one, untouched
                    return large
        finally:
            _work.give_back(work)

    def get_many(self, keys: Sequence[bytes]) -> list[Found | None]:
        """What is stored under each key; in one call, or two if there are more than 64 KiB."""
        work = _work.take()
        try:
            found, large = self._read_many(lib.plc_get_many, keys, work.buffer, BUFFER_BYTES)
        finally:
            _work.give_back(work)
        if large:
            rest = [keys[i] for i in large]
            room = sum(-(-length // _ALIGN) * _ALIGN for length in large.values())
            buffer = _uncleared("char[]", room)
            again, grown = self._read_many(lib.plc_get_many_nogil, rest, buffer, room)
            for to, i in enumerate(large):
                found[i] = self.get(keys[i]) if to in grown else again[to]
        return found

    def _read_many(
        self, function: Any, keys: Sequence[bytes], buffer: Any, room: int
    ) -> tuple[list[Found | None], dict[int, int]]:
        """What was found and fitted into the buffer, and the lengths of what did not."""
        listed, rows = _work.Keys(keys), ffi.new("plc_found[]", len(keys))
        pointers, lengths = listed.pointers, listed.lengths
        self._call(function, len(keys), pointers, lengths, 0, buffer, room, rows)
        found: list[Found | None] = []
        large: dict[int, int] = {}
        for i, key in enumerate(keys):
            row, one = rows[i], None
            if row.status == TOO_SMALL:
                large[i] = row.length
            elif not self._absent(row.status, key):
                data = _work.copy_out(buffer + row.offset, row.length, row.type)
                one = row.type, data, row.cost, row.token
            found.append(one)
        return found, large

    def store(self, verb: int, key: bytes, value: Encoding, terms: Terms, token: int = 0) -> int:
        """Store a value.

        Args:
            token: of the value to be replaced (CAS), or of the claim to be ended (PUBLISH).

        Returns:
            OK, or MISS or EXISTS as the verb says.

        Raises:
            ValueTooLargeError, RegionFullError, BusyError: nothing was changed.
        """
        if fast is not None:
            status: int = fast.store(
                self._address, verb, key, value.type_code, value.parts, terms, token
            )
            if status < FULL and status != AGAIN:
                return status
        work = _work.take()
        try:
            alive = _work.fill(work.entry, work.parts, key, value, terms, token)
            function = _plc_store if value.nbytes <= BUFFER_BYTES else lib.plc_store_nogil
            status = function(self._handle, verb, work.entry, ffi.NULL)
            if status == AGAIN:
                status = self._insist(lib.plc_store_nogil, verb, work.entry, ffi.NULL)
            del alive
        finally:
            _work.give_back(work)
        if status >= FULL:
            grows = verb in (APPEND, PREPEND)
            raise self._refused(status, Facts(self.path, key, value.nbytes, grows=grows))
        return status

    def store_many(self, items: Sequence[Item]) -> None:
        """Store many values in one call; raises for the first that was refused, after all."""
        entries, alive = _work.fill_many(items)
        statuses = ffi.new("uint32_t[]", len(items))
        large = sum(item.value.nbytes for item in items) > BUFFER_BYTES
        function = lib.plc_store_many_nogil if large else lib.plc_store_many
        status = function(self._handle, len(items), entries, statuses)
        pending = list(range(len(items)))
        while status == AGAIN:
            if (trouble := lib.plc_assist_nogil(self._handle, SLICE_MS)) != OK:
                raise self._refused(int(trouble), Facts(self.path))
            pending = [i for i in pending if statuses[i] == AGAIN]
            again, answers = (
                ffi.new("plc_entry[]", len(pending)),
                ffi.new("uint32_t[]", len(pending)),
            )
            for to, i in enumerate(pending):
                again[to] = entries[i]
            status = lib.plc_store_many_nogil(self._handle, len(pending), again, answers)
            for to, i in enumerate(pending):
                statuses[i] = answers[to]
        if status >= FULL:
            raise self._refused(status, Facts(self.path))
        del alive
        for item, status in zip(items, statuses, strict=True):
            if status >= FULL:
                raise self._refused(status, Facts(self.path, item.key, item.value.nbytes))

    def delete(self, key: bytes) -> bool:
        """Remove a key; False if it was not there."""
        return self._call(lib.plc_delete, key, len(key)) == OK

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Remove many keys in one call; how many were there."""
        listed, removed = _work.Keys(keys), ffi.new("uint64_t *")
        self._call(lib.plc_delete_many, len(keys), listed.pointers, listed.lengths, removed)
        return int(removed[0])

    def incr(self, key: bytes, delta: int, *, down: bool = False) -> int | None:
        """Count a decimal number up or down; None if it is not there."""
        result = ffi.new("uint64_t *")
        status = self._insist_from(lib.plc_incr, key, len(key), delta, down, result)
        return None if self._absent(status, key) else int(result[0])

    def touch(self, key: bytes, deadline_ms: int) -> bool:
        """Give a key another deadline; False if it is not there."""
        return self._call(lib.plc_touch, key, len(key), deadline_ms) == OK
