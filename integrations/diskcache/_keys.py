# SPDX-License-Identifier: BSD-3-Clause
"""Keys as bytes of a region: their kind in one letter, then themselves.

======  ====================================================================
i       an int in decimal digits; also a float that is whole, for 1.0 == 1
f       any other float: 8 bytes, IEEE 754, big-endian
s       a str in UTF-8
b       bytes
p       whatever else, as ``Disk.put`` turned it into bytes
h       a digest of one of these that is too long; the record has the whole
======  ====================================================================
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from plib_cache.keys import MAX_KEY_BYTES

_FLOAT = struct.Struct(">d")
_WHOLE = 2.0**63


def pack(db_key: Any, raw: bool) -> bytes:
    """A key as bytes of any length.

    Raises:
        TypeError: it is nothing that ``Disk.put`` may return.
        UnicodeEncodeError: a str with lone surrogates.
    """
    if isinstance(db_key, bytes):
        return (b"b" if raw else b"p") + db_key
    if isinstance(db_key, str):
        return b"s" + db_key.encode()
    if isinstance(db_key, float):
        if not (db_key.is_integer() and -_WHOLE <= db_key < _WHOLE):
            return b"f" + _FLOAT.pack(db_key)
        db_key = int(db_key)
    if isinstance(db_key, int):
        return b"i%d" % db_key
    raise TypeError(
        f"put() of the disk returned a {type(db_key).__name__}: return bytes, str, int or float"
    )


def unpack(packed: bytes) -> tuple[Any, bool]:
    """What was packed, and whether it is the key itself.

    Raises:
        ValueError: it was not packed here.
    """
    kind, rest = packed[:1], packed[1:]
    if kind == b"i":
        return int(rest), True
    if kind == b"f" and len(rest) == _FLOAT.size:
        return _FLOAT.unpack(rest)[0], True
    if kind == b"s":
        return rest.decode(), True
    if kind in (b"b", b"p"):
        return rest, kind == b"b"
    raise ValueError(f"{packed[:20]!r} is no key of this cache")


def shortened(packed: bytes) -> bytes:
    """A key as a region may have it."""
    if len(packed) <= MAX_KEY_BYTES:
        return packed
    return b"h" + hashlib.blake2b(packed, digest_size=32).digest()


def order(packed: bytes) -> tuple[Any, ...]:
    """What keys are sorted by: numbers, texts, bytes, as SQLite does."""
    db_key, raw = unpack(packed)
    rank = 0 if isinstance(db_key, (int, float)) else 1 if isinstance(db_key, str) else 2
    return rank, db_key.encode() if rank == 1 else db_key, raw
