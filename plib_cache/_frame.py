# SPDX-License-Identifier: BSD-3-Clause
"""The frame of a pickled value: a pickle and the buffers that it left out.

::

    OFFSET          SIZE     FIELD
    0               u32      number of buffers, n
    4               u32      CRC-32 of the rows and the pickle
    8               u64      length of the pickle
    16              24 x n   one row per buffer: u64 offset, u64 length, u64 flags (1 = read-only)
    16 + 24 n       ...      the pickle
    aligned         ...      buffer 0, then the others, each at the next aligned offset

Aligned is a multiple of 4096 for a buffer of 1 MiB or more, and of 64 for any other.  All numbers
are little-endian.  The frame ends with its last byte of payload.  There is one legal offset for
each buffer, so reading a frame proves every number in it before any is used.  The checksum is
there because a pickle with one wrong byte can crash the interpreter; it is no help against who
damages on purpose.

A frame may lie in memory that others can change while it is read.  So the header, the rows and
the pickle are copied once, and what was copied is checked and used.  The buffers are not copied:
they are views of that memory.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from typing import NamedTuple

from plib_cache.exceptions import SerializationError

ALIGNMENT = 64
PAGE = 4096
LARGE = 1 << 20  # from here on a buffer has pages of its own, which can be mapped by themselves
_READ_ONLY = 1
_HEADER = struct.Struct("<IIQ")
_ROW = struct.Struct("<QQQ")


class Encoded(NamedTuple):
    """A value as bytes: the type code and the parts whose concatenation is the frame."""

    type_code: int
    parts: list[bytes | memoryview]
    nbytes: int


def padding(offset: int, nbytes: int) -> int:
    """How many bytes lead from ``offset`` to the first place for a buffer of ``nbytes``."""
    return -offset % (PAGE if nbytes >= LARGE else ALIGNMENT)


class DamagedValueError(SerializationError):
    """The bytes of a value make no sense; a cache treats the entry as absent."""


def damaged(detail: str) -> DamagedValueError:
    """The error for bytes that no writer of this package can have produced."""
    return DamagedValueError(
        f"{detail}: the entry is damaged; it is treated as absent; "
        "set the key again, and run `plib-cache check` if this repeats"
    )


def build_frame(type_code: int, payload: bytes, buffers: list[memoryview]) -> Encoded:
    """Lay out ``payload`` and flat byte ``buffers``; nothing is copied."""
    parts: list[bytes | memoryview] = [b"", payload]
    rows = []
    end = _HEADER.size + _ROW.size * len(buffers) + len(payload)
    for buffer in buffers:
        gap = padding(end, buffer.nbytes)
        start = end + gap
        rows.append(_ROW.pack(start, buffer.nbytes, _READ_ONLY if buffer.readonly else 0))
        parts += [bytes(gap), buffer] if gap else [buffer]
        end = start + buffer.nbytes
    table = b"".join(rows)
    checksum = zlib.crc32(payload, zlib.crc32(table))
    parts[0] = _HEADER.pack(len(buffers), checksum, len(payload)) + table
    return Encoded(type_code, parts, end)


def parse_frame(data: memoryview) -> tuple[bytes, list[memoryview]]:
    """A copy of the pickle of a frame, and its buffers as slices of ``data``.

    Raises:
        SerializationError: some number of the frame is wrong.
    """
    if len(data) < _HEADER.size:
        raise damaged(f"a frame of {len(data)} bytes is shorter than its header")
    count, checksum, length = _HEADER.unpack_from(data)
    start = _HEADER.size + _ROW.size * count
    end = start + length
    if end > len(data):
        raise damaged("the header of a frame contradicts its size")
    copied = bytes(data[_HEADER.size : end])
    if zlib.crc32(copied) != checksum:
        raise damaged("the checksum of a frame is wrong")
    table = copied[: start - _HEADER.size]
    buffers, end = _parse_rows(data, table, end)
    if end != len(data):
        raise damaged(f"a frame of {len(data)} bytes should have {end}")
    return copied[len(table) :], buffers


def rows_of(data: memoryview) -> list[tuple[int, int]]:
    """Where the buffers of a frame lie, and their lengths, as it says: nothing of it is proved."""
    if len(data) < _HEADER.size:
        return []
    end = _HEADER.size + _ROW.size * _HEADER.unpack_from(data)[0]
    if end > len(data):
        return []
    return [row[:2] for row in _ROW.iter_unpack(bytes(data[_HEADER.size : end]))]


def _parse_rows(data: memoryview, table: bytes, end: int) -> tuple[list[memoryview], int]:
    """The buffers behind ``end``, and where the last one ends."""
    buffers: list[memoryview] = []
    for offset, length, flags in _ROW.iter_unpack(table):
        expected = end + padding(end, length)
        end = offset + length
        if offset != expected or end > len(data) or flags > _READ_ONLY:
            raise damaged(f"row {len(buffers)} of a frame contradicts its size")
        buffer = data[offset:end]
        buffers.append(buffer.toreadonly() if flags else buffer)
    return buffers, end


class BufferCollector(list[memoryview]):
    """Takes the buffers that a pickler offers; small ones stay inside the pickle."""

    INLINE_BYTES = 128

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """True tells the pickler to keep the buffer."""
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if raw.nbytes < self.INLINE_BYTES:
            return True
        self.append(raw)
        return False
