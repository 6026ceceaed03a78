# SPDX-License-Identifier: BSD-3-Clause
"""The frame of a pickled value: a pickle and the buffers that it left out.

::

    OFFSET          SIZE     FIELD
    0               u32      number of buffers, n
    4               u32      CRC-32 of the rows and the pickle
    8               u64      length of the pickle
    16              24 x n   one row per buffer: u64 offset, u64 length, u64 flags (1 = read-only)
    16 + 24 n       ...      the pickle
    multiple of 64  ...      buffer 0, then the others, each at the next multiple of 64

All numbers are little-endian.  The frame ends with its last byte of payload.  There is one legal
offset for each buffer, so reading a frame proves every number in it before any is used.  The
checksum is there because a pickle with one wrong byte can crash the interpreter; it is no help
against who damages on purpose.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from typing import NamedTuple

from plib_cache.exceptions import SerializationError

ALIGNMENT = 64
_READ_ONLY = 1
_HEADER = struct.Struct("<IIQ")
_ROW = struct.Struct("<QQQ")


class Encoded(NamedTuple):
    """A value as bytes: the type code and the parts whose concatenation is the frame."""

    type_code: int
    parts: list[bytes | memoryview]
    nbytes: int


def padding(offset: int) -> int:
    """How many bytes lead from ``offset`` to the next multiple of 64."""
    return -offset % ALIGNMENT


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
        gap = padding(end)
        start = end + gap
        rows.append(_ROW.pack(start, buffer.nbytes, _READ_ONLY if buffer.readonly else 0))
        parts += [bytes(gap), buffer] if gap else [buffer]
        end = start + buffer.nbytes
    table = b"".join(rows)
    checksum = zlib.crc32(payload, zlib.crc32(table))
    parts[0] = _HEADER.pack(len(buffers), checksum, len(payload)) + table
    return Encoded(type_code, parts, end)


def parse_frame(data: memoryview) -> tuple[memoryview, list[memoryview]]:
    """The pickle and the buffers of a frame, as slices of ``data``.

    Raises:
        SerializationError: some number of the frame is wrong.
    """
    if len(data) < _HEADER.size:
        raise damaged(f"a frame of {len(data)} bytes is shorter than its header")
    count, checksum, length = _HEADER.unpack_from(data)
    start = _HEADER.size + _ROW.size * count
    if start + length > len(data):
        raise damaged("the header of a frame contradicts its size")
    if zlib.crc32(data[_HEADER.size : start + length]) != checksum:
        raise damaged("the checksum of a frame is wrong")
    buffers, end = _parse_rows(data, count, start + length)
    if end != len(data):
        raise damaged(f"a frame of {len(data)} bytes should have {end}")
    return data[start : start + length], buffers


def _parse_rows(data: memoryview, count: int, end: int) -> tuple[list[memoryview], int]:
    """The buffers behind ``end``, and where the last one ends."""
    buffers = []
    for row in range(count):
        offset, length, flags = _ROW.unpack_from(data, _HEADER.size + _ROW.size * row)
        expected = end + padding(end)
        end = offset + length
        if offset != expected or end > len(data) or flags > _READ_ONLY:
            raise damaged(f"row {row} of a frame contradicts its size")
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
