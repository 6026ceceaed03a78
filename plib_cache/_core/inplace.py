# SPDX-License-Identifier: BSD-3-Clause
"""Reading values where they lie, and filling them there.

The memory is handed out as objects in C (``Lease``, ``Filling``) that live as long as anything
derived from them; with either binding, for cffi cannot make such objects.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from plib_cache._core import work as _work
from plib_cache._core.failures import Facts
from plib_cache._core.fast import objects
from plib_cache._core.handle import AGAIN, BUSY, COPY, MISS, OK, SLICE_MS, TOO_SMALL, Handle
from plib_cache._core.work import Encoding, Found, Terms
from plib_cache._native import ffi, lib
from plib_cache.exceptions import ConfigurationError

_TOO_LARGE, _INVALID = int(lib.PLC_TOO_LARGE), int(lib.PLC_INVALID)
_UNSUPPORTED = int(lib.PLC_UNSUPPORTED)
_EVICTION_S = (
    10  # an eviction takes microseconds; one that was stopped in the middle may take as long
)


Lease: Any = objects.Lease


class InPlace(Handle):
    """The operations on values in place."""

    def lease(self, key: bytes, name: int = 0, *, private: bool = False) -> Found | None:
        """What is stored under ``key``, in place; counts a hit or a miss of ``name``.

        Args:
            private: writable, each page that is written to being copied first.

        Returns:
            As ``get``, with a read-only buffer for the value's bytes; None if there is none.

        Raises:
            NotInPlaceError: it is to be had as a copy only.
        """
        status, found = COPY if self.copies_only and not self.closed else AGAIN, None
        while status == AGAIN:
            status, found = objects.lease(self._address, key, name, private)
            if status == AGAIN:
                self._assist(key)
        if status == COPY:
            raise NotInPlaceError
        if status not in (OK, MISS):
            raise self._refused(status, Facts(self.path, key))
        return found

    def lease_told(self, run: int, token: int, *, private: bool = False) -> Found | None:
        """The value that another process has told of, in place; whatever became of its key.

        Args:
            run: what its lease's ``run()`` said, there.
            private: as for ``lease``.

        Returns:
            As ``lease``, and a copy if that cannot be; None if nobody has kept it.
        """
        status, found = COPY if self.copies_only and not self.closed else AGAIN, None
        deadline = time.monotonic() + _EVICTION_S
        while status == AGAIN or (status == BUSY and time.monotonic() < deadline):
            status, found = objects.lease_at(self._address, run, token, private)
            if status == AGAIN:
                self._assist(b"")
            elif status == BUSY:  # an eviction is at it, in this thread's way for a moment
                time.sleep(0)
        if status == COPY:
            found = self._get_told(run, token)
            if found is not None and not private:
                return (found[0], memoryview(found[1]).toreadonly(), *found[2:])
            return found
        if status not in (OK, MISS):
            raise self._refused(status, Facts(self.path))
        return found

    def _get_told(self, run: int, token: int) -> Found | None:
        found, data = ffi.new("plc_found *"), bytearray()
        status = TOO_SMALL
        while status == TOO_SMALL:
            data = bytearray(found.length)
            with ffi.from_buffer("char[]", data, require_writable=True) as raw:
                args = (run, token, raw, len(data), found)
                status = self._call(lib.plc_get_at_nogil, *args)
        if status == MISS:
            return None
        return found.type, memoryview(data), found.cost, found.token

    def reserve(self, key: bytes, value: Encoding, terms: Terms) -> Any:
        """Room for a value of ``value.nbytes`` bytes, to be filled; see ``Filling`` in C.

        Raises:
            ValueTooLargeError, RegionFullError: there is none.
            ConfigurationError: this handle has copies only.
        """
        if value.nbytes > sys.maxsize:  # the core's numbers would have no room for it
            raise self._refused(_TOO_LARGE, Facts(self.path, key, value.nbytes))
        if self.copies_only:
            raise self._only_copies()
        work = _work.take()
        try:
            alive = _work.fill(work.entry, work.parts, key, value, terms)
            status, filling = AGAIN, None
            while status == AGAIN:
                address = int(ffi.cast("uintptr_t", work.entry))
                status, filling = objects.reserve(self._address, address, value.nbytes)
                if status == AGAIN:
                    self._assist(key)
            del alive
        finally:
            _work.give_back(work)
        if status == _UNSUPPORTED:
            raise self._only_copies()
        if status != OK:
            raise self._refused(status, Facts(self.path, key, value.nbytes))
        return filling

    def seal(self, filling: Any, key: bytes, deadline_ms: int) -> int:
        """Publish what was filled; the token of the new entry.

        Raises:
            ValueError: it was reserved before a fork, by the parent.
            BusyError, RegionFullError: it may be sealed again.
        """
        status, token = AGAIN, 0
        while status == AGAIN:
            status, token = filling.seal(deadline_ms)
            if status == AGAIN:
                self._assist(key)
        if status == _INVALID:  # what was sealed or given back does not come here
            raise ValueError(
                "the reservation is that of this process's parent: reserve the key here"
            )
        if status != OK:
            raise self._refused(status, Facts(self.path, key))
        return int(token)

    def _only_copies(self) -> Exception:
        return ConfigurationError(
            f"{self.path} was opened by this process for copies only (in_place=False), so no value "
            "can be written in place: use set, or open it with in_place=True everywhere"
        )

    def _assist(self, key: bytes) -> None:
        if (trouble := lib.plc_assist_nogil(self._handle, SLICE_MS)) != OK:
            raise self._refused(int(trouble), Facts(self.path, key))


class NotInPlaceError(Exception):
    """The value is small, or a limit is reached: it is to be read as a copy."""
