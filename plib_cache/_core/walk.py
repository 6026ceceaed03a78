# SPDX-License-Identifier: BSD-3-Clause
"""Walking the region in slices, and what it says of itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from plib_cache._core import work as _work
from plib_cache._core.handle import DONE, MISS, Handle
from plib_cache._native import ffi, lib

_FINDINGS = 256
_RECORD = struct.Struct("<HBx")


class Finding(NamedTuple):
    """A place of the region that contradicts a numbered invariant of its layout."""

    invariant: int
    where: int
    value: int


class Walks(Handle):
    """The operations that look at everything, a slice at a time and without a lock."""

    def scan(self, name: int = 0) -> Iterator[tuple[bytes, bool]]:
        """Each key, and whether it was given as text; what comes and goes meanwhile may appear."""
        cursor, used = ffi.new("uint64_t *"), ffi.new("size_t *")
        buffer = ffi.new("char[]", _work.BUFFER_BYTES)
        status = 0
        while status != DONE:
            status = self._call(lib.plc_scan, cursor, name, buffer, _work.BUFFER_BYTES, used)
            yield from _records(ffi.unpack(buffer, used[0]))

    def count(self, name: int = 0) -> int:
        """How many entries there are (of a namespace)."""
        cursor, count = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        while self._call(lib.plc_count, cursor, name, count) != DONE:
            pass
        return int(count[0])

    def check(self) -> list[Finding]:
        """What contradicts the layout; what others change meanwhile may appear."""
        cursor, count = ffi.new("uint64_t *"), ffi.new("size_t *")
        findings = ffi.new("plc_finding[]", _FINDINGS)
        found: list[Finding] = []
        status = 0
        while status != DONE:
            status = self._call(lib.plc_check, cursor, findings, _FINDINGS, count)
            found += [Finding(f.invariant, f.where, f.value) for f in findings[0 : count[0]]]
        return found

    def sync(self) -> None:
        """Write a region on a disk to it, without the GIL; in memory do nothing."""
        self._call(lib.plc_sync_nogil)

    def removed(self) -> bool:
        """Whether the file has lost its name."""
        return self._call(lib.plc_linked) == MISS

    def prefault(self) -> None:
        """Take all the memory there is room for and map it, in slices without the GIL."""
        cursor = ffi.new("uint64_t *")
        while self._call(lib.plc_prefault_nogil, cursor) != DONE:
            pass

    def drain(self) -> tuple[int, int]:
        """Evict everything; how many pages are free then, and the longest stretch of them."""
        cursor, free, longest = (ffi.new("uint64_t *") for _ in range(3))
        while self._call(lib.plc_drain, cursor, free, longest) != DONE:
            pass
        return int(free[0]), int(longest[0])

    def usage(self) -> Mapping[str, int]:
        """What the pages of the pool hold, by the names of plc_usage."""
        cursor, usage = ffi.new("uint64_t *"), ffi.new("plc_usage *")
        while self._call(lib.plc_usage_read, cursor, usage) != DONE:
            pass
        return _fields(usage)

    def stats(self) -> Mapping[str, int]:
        """The counters of all processes since the last reset, and the pool's bytes, by name."""
        stats = ffi.new("plc_stats *")
        self._call(lib.plc_stats_read, stats)
        return _work.counters(stats)

    def stats_reset(self) -> None:
        """Begin the counters anew."""
        self._call(lib.plc_stats_reset)

    def info(self) -> Mapping[str, int]:
        """The sizes and the state of the region, by the names of plc_info."""
        info = ffi.new("plc_info *")
        self._call(lib.plc_info_read, info)
        fields = _fields(info)
        return {**fields, "in_place": fields["in_place"] and not self.copies_only}


def _fields(struct: Any) -> dict[str, int]:
    return {name: getattr(struct, name) for name, _ in ffi.typeof(struct).item.fields}


def _records(data: bytes) -> Iterator[tuple[bytes, bool]]:
    start = 0
    while start < len(data):
        length, is_text = _RECORD.unpack_from(data, start)
        start += _RECORD.size
        yield data[start : start + length], bool(is_text)
        start += length
