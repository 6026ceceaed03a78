# SPDX-License-Identifier: BSD-3-Clause
"""Namespaces (invalidation and counts) and claims (single flight)."""

from __future__ import annotations

from typing import NamedTuple

from plib_cache._core import work as _work
from plib_cache._core.fast import fast
from plib_cache._core.handle import AGAIN, FULL, OK, SLICE_MS, Handle
from plib_cache._core.work import Terms
from plib_cache._native import ffi, lib

_NO_TAGS = (0, 0, 0, 0)
_KNOWN_MOST = 4096  # numbers that a process remembers: a program may have a namespace for each user
_MASK = 2**64 - 1


class Claim(NamedTuple):
    """The answer to a claim: its status, whose it is, and the generations that it captured."""

    status: int
    token: int
    total: int


class NameCounts(NamedTuple):
    """What all processes counted for a namespace since its last reset."""

    hits: int
    misses: int
    saved_us: int


class _NoValue(NamedTuple):
    type_code: int = 0
    parts: tuple[()] = ()
    nbytes: int = 0


_NO_VALUE = _NoValue()


class Names(Handle):
    """The operations on namespaces and claims."""

    def name(self, text: str) -> int:
        """The number of a namespace; the same for as long as the region lives."""
        number = self._names.get(text)
        if number is None:
            raw, out = text.encode("utf-8", "surrogatepass"), ffi.new("uint16_t *")
            self._call(lib.plc_name_nogil, raw, len(raw), out)
            if len(self._names) >= _KNOWN_MOST:
                self._names.clear()
            number = self._names[text] = int(out[0])
        return number

    def name_invalidate(self, number: int) -> None:
        """Invalidate what was written or begun under a namespace until now."""
        self._call(lib.plc_name_invalidate_nogil, number)

    def name_read(self, number: int) -> NameCounts:
        """The counts of a namespace."""
        counts = ffi.new("plc_name_counts *")
        self._call(lib.plc_name_read, number, counts)
        return NameCounts(counts.hits, counts.misses, counts.saved_us)

    def name_reset(self, number: int) -> None:
        """Begin the counts of a namespace anew."""
        self._call(lib.plc_name_reset, number)

    def name_count(self, number: int, hits: int = 0, misses: int = 0, saved_us: int = 0) -> None:
        """Raise the counts of a namespace; a negative number lowers them."""
        self._call(lib.plc_name_count, number, hits & _MASK, misses & _MASK, saved_us & _MASK)

    def total(self, name: int, tags: tuple[int, ...] = ()) -> int:
        """The generation sum of a namespace and tags, to be captured before the truth is read."""
        out = ffi.new("uint64_t *")
        padded = ffi.new("uint16_t[4]", (tags + _NO_TAGS)[:4])
        self._call(lib.plc_sum, name, padded, out)
        return int(out[0])

    def flush(self, at_ms: int = 0) -> None:
        """Invalidate everything: now (0), or at a moment in milliseconds since 1970."""
        self._call(lib.plc_flush_nogil, at_ms)

    def claim(self, key: bytes, terms: Terms, limit_ms: int) -> Claim:
        """Claim the computation of ``key``.

        Returns:
            Status OK: compute, then PUBLISH or ``abandon``.  EXISTS: a value is there.  CLAIMED:
            somebody else computes; ``wait``.
        """
        quick = self._claim_quickly(key, terms, limit_ms)
        if quick.status < FULL and quick.status != AGAIN:
            return quick
        work = _work.take()
        flight, answer = work.flight, None
        flight.token, status = 0, FULL
        try:
            alive = _work.fill(work.entry, work.parts, key, _NO_VALUE, terms)
            status = self._call(lib.plc_claim, work.entry, limit_ms, flight)
            del alive
            answer = Claim(status, flight.token, flight.sum)
            _work.give_back(work)
            return answer
        except BaseException:  # also of a signal handler: nobody else would give this claim back
            token = answer.token if answer is not None else int(flight.token)
            if token and status in (OK, FULL):
                self.abandon(key, token)
            raise

    def _claim_quickly(self, key: bytes, terms: Terms, limit_ms: int) -> Claim:
        """The same in C; AGAIN where there is no fast path, or more has to be done."""
        taken: list[int] = []
        try:
            if fast is not None:
                return Claim(*fast.claim(self._address, key, terms, limit_ms, taken))
        except BaseException:
            for token in taken:
                self.abandon(key, token)
            raise
        return Claim(AGAIN, 0, 0)

    def abandon(self, key: bytes, token: int) -> bool:
        """Give a claim back; False if it was gone already."""
        return self._call(lib.plc_abandon, key, len(key), token) == OK

    def wait(self, key: bytes, limit_ms: int = SLICE_MS) -> None:
        """Wait without the GIL until something may have happened to ``key``."""
        self._call(lib.plc_wait_nogil, key, len(key), limit_ms)
