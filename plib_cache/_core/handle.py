# SPDX-License-Identifier: BSD-3-Clause
"""An attached region: opening and closing it, the loop behind "again", refusals as exceptions.

Waiting is done in slices of at most 50 ms without the GIL, so that the interpreter runs signal
handlers between them and Ctrl-C is answered at once.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

from plib_cache._core.failures import Facts, failure
from plib_cache._core.fast import make_port
from plib_cache._native import ffi, lib

KEY_MAX = int(lib.PLC_KEY_MAX)
TAGS_MAX = int(lib.PLC_TAGS_MAX)
SIZE_MIN = int(lib.PLC_SIZE_MIN)
SIZE_MAX = int(lib.PLC_SIZE_MAX)
COPIES_ONLY = int(lib.PLC_COPIES_ONLY)
LAYOUT = int(lib.plc_layout())

OK = int(lib.PLC_OK)
MISS = int(lib.PLC_MISS)
EXISTS = int(lib.PLC_EXISTS)
CLAIMED = int(lib.PLC_CLAIMED)
TOO_SMALL = int(lib.PLC_TOO_SMALL)
AGAIN = int(lib.PLC_AGAIN)
DONE = int(lib.PLC_DONE)
COPY = int(lib.PLC_COPY)
FULL = int(lib.PLC_FULL)
BUSY = int(lib.PLC_BUSY)
WRONG_TYPE = int(lib.PLC_WRONG_TYPE)
_TOO_LARGE = int(lib.PLC_TOO_LARGE)
_NO_SLOT = int(lib.PLC_NO_SLOT)
_CLOSED = int(lib.PLC_CLOSED)
_FIRST_REFUSAL = FULL

SLICE_MS = 50
_paths: dict[
    int, str
] = {}  # by handle: none is ever freed, so what lies in a closed one has a path
_PROTECTION = {"auto": 0, "none": 1, "pku": 2}
_REFUSALS = {
    int(getattr(lib, f"PLC_{name}")): name
    for name in (
        "FULL TOO_LARGE BUSY NOT_A_NUMBER WRONG_TYPE NO_SLOT "
        "NO_MEMORY NO_PERMISSION UNSUPPORTED SYSTEM NO_SPACE NOT_FOUND UNSAFE_FOLDER UNSAFE_FILE "
        "NO_PROTECTION NOT_A_REGION LAYOUT_MISMATCH CORRUPT SIZE_MISMATCH INVALID CLOSED"
    ).split()
}


def path_of(lease: Any) -> str:
    """The path of the region that a ``Lease`` is of; it may have been closed since."""
    return _paths[lease.handle]


def remove_region(path: str) -> None:
    """Remove a region's file; processes that are attached keep what they have mapped."""
    report = ffi.new("plc_report *")
    status = lib.plc_remove_nogil(os.fsencode(path), report)
    if status != OK:
        raise _refusal(status, _reported(path, report))


def explain_faults() -> None:
    """Let a stray access to a cache's memory say which cache it touched.

    Where a cache is protected (``info().protection == "pku"``), code other than plib_cache's that
    touches its memory gets SIGSEGV.  From this call on it also gets one line on standard error:
    whether it was a load or a store, at which address, and in which cache.  Then the signal goes
    where it would have gone: to ``faulthandler``, which shows where in Python that was, if it was
    enabled before, and else the process dies of it.

    Once for each process is enough.  PLIB_CACHE_EXPLAIN=1 in the environment calls it when the
    first cache is opened.
    """
    status = lib.plc_explain_faults()
    if status != OK:
        raise _refusal(status, Facts("the handler of SIGSEGV"))


def _refusal(status: int, facts: Facts) -> Exception:
    return failure(_REFUSALS.get(status, "INVALID"), facts)


def _reported(path: str, report: Any) -> Facts:
    return Facts(path=path, errno=report.system_error, owner=report.owner, a=report.a, b=report.b)


def _close(handles: list[Any], port: Any | None) -> None:
    if port is not None:
        port.close()
    while handles:
        lib.plc_close_nogil(handles.pop())


class Handle:
    """One attached region.

    Args:
        path: absolute path of the region's file.
        size: of the whole file in bytes; 0 attaches to any size.
        create: make the region if there is none.
        protection: "auto", "none" or "pku".
        expected_entry: bytes of a typical entry, 0 for the default; only used at creation.
        leased_share: percent of the pool that may be leased and reserved; 0 for the default, and
            a negative one for copies only.

    Any thread may use it, and a forked child may go on using it.
    """

    def __init__(
        self,
        path: str,
        *,
        size: int = 0,
        create: bool = False,
        protection: str = "auto",
        expected_entry: int = 0,
        leased_share: int = 0,
    ) -> None:
        name = ffi.new("char[]", os.fsencode(path))
        options = ffi.new("plc_options *")
        options.path, options.size_bytes = name, size
        options.create, options.expected_entry = create, expected_entry
        options.protection = _PROTECTION[protection]
        options.leased_share = COPIES_ONLY if leased_share < 0 else leased_share
        handle, report = ffi.new("plc_cache **"), ffi.new("plc_report *")
        status = lib.plc_open_nogil(options, handle, report)
        if status != OK:
            raise _refusal(status, _reported(path, report))
        self.path = path
        self._handle: Any = handle[0]
        self._address = int(ffi.cast("uintptr_t", self._handle))
        _paths[self._address] = path
        self.copies_only = leased_share < 0  # also if another handle of this process is not
        self.port = make_port(self._address)
        self._names: dict[str, int] = {}
        self._finalizer = weakref.finalize(self, _close, [self._handle], self.port)

    def close(self) -> None:
        """Give the region back; a second close does nothing."""
        self._handle = ffi.NULL
        self._address = 0
        self._finalizer()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return not self._handle

    def _call(self, function: Callable[..., int], *args: Any) -> int:
        """Call a function of the core until it has an answer; the status is an outcome.

        Raises:
            PlibCacheError: the core refused.
        """
        status = function(self._handle, *args)
        if status == AGAIN:
            status = self._insist(function, *args)
        if status >= _FIRST_REFUSAL:
            raise self._refused(status, Facts(self.path))
        return status

    def _insist(self, function: Callable[..., int], *args: Any) -> int:
        """The function answered "again": do what it wants, and call it again."""
        status = AGAIN
        while status == AGAIN:
            if (trouble := lib.plc_assist_nogil(self._handle, SLICE_MS)) != OK:
                return int(trouble)
            status = function(self._handle, *args)
        return status

    def _refused(self, status: int, facts: Facts) -> Exception:
        """The exception for a status, with what only the region knows filled in."""
        if self.closed:
            status = _CLOSED
        info = ffi.new("plc_info *")
        known = status in (_TOO_LARGE, _NO_SLOT, FULL)
        if known and lib.plc_info_read(self._handle, info) == OK:
            facts = facts.with_limits(info.value_max, info.processes_max)
            if info.growth_stopped:
                facts = facts._replace(path=self.path, a=info.taken_bytes, b=info.size_bytes)
        stats = ffi.new("plc_stats *")
        if status == FULL and lib.plc_stats_read(self._handle, stats) == OK:
            pool = stats.used_bytes + stats.free_bytes
            facts = facts.with_holders(pool, stats.leased_bytes, stats.reserved_bytes)
        return _refusal(status, facts)
