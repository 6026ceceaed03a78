# SPDX-License-Identifier: BSD-3-Clause
"""Values that are larger than a server takes: in parts, of which a list is stored under the key.

::

    OFFSET  SIZE    FIELD of the list, which is the payload of an envelope of kind 1
    0       8       bytes of the value
    8       4       bytes of each part but the last
    12      16      random, part of the parts' names: parts of two writes never mix
    28      16 x n  BLAKE2b of each part

The list is signed like any value, and the parts are verified by it.  A part is missing when a
server has dropped it or is away; then so is the value.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from plib_cache.remote.naming import name_of
from plib_cache.remote.signing import OVERHEAD, Rejected
from plib_cache.tiers import Tier

_HEAD = struct.Struct("<QI16s")
_DIGEST = 16
_GROUP_BYTES = 2 << 20  # asked for together: what a slow network carries within one time-out


class Split(NamedTuple):
    """A value in parts: its list, and the parts by their names."""

    listed: bytes
    parts: dict[bytes, memoryview]


def part_bytes(item_max: int) -> int:
    """How large a part may be where items may be so large."""
    return item_max - OVERHEAD


def largest(item_max: int) -> int:
    """How large a value may be so that its list is one item."""
    return (part_bytes(item_max) - _HEAD.size) // _DIGEST * part_bytes(item_max)


def split(view: memoryview, size: int, prefix: bytes) -> Split:
    """The parts of a value, of at most ``size`` bytes."""
    random = os.urandom(16)
    pieces = [view[at : at + size] for at in range(0, len(view), size)]
    digests = [blake2b(piece, digest_size=_DIGEST).digest() for piece in pieces]
    listed = _HEAD.pack(len(view), size, random) + b"".join(digests)
    return Split(listed, dict(zip(_names(random, len(pieces), prefix), pieces, strict=True)))


def _names(random: bytes, count: int, prefix: bytes) -> list[bytes]:
    return [name_of(b"part %s %d" % (random, at), prefix) for at in range(count)]


def join(listed: memoryview, tier: Tier, prefix: bytes, value_max: int) -> bytes:
    """The value that a list stands for, from its parts.

    Raises:
        Rejected: the list makes no sense, or a part is missing or not what it was.
    """
    total, size, random, digests = _parsed(listed, tier, value_max)
    value = bytearray(total)
    names = _names(random, len(digests), prefix)
    for group in groups(range(len(names)), size):
        found = tier.get_many([names[at] for at in group])
        for at in group:
            part, start = found.get(names[at]), at * size
            if part is None:
                raise Rejected("parts_missing")
            right = len(part) == min(size, total - start)
            if not right or blake2b(part, digest_size=_DIGEST).digest() != digests[at]:
                raise Rejected("damaged")
            value[start : start + len(part)] = part
    return bytes(value)


def _parsed(listed: memoryview, tier: Tier, value_max: int) -> tuple[int, int, bytes, list[bytes]]:
    if len(listed) < _HEAD.size:
        raise Rejected("damaged")
    total, size, random = _HEAD.unpack_from(listed)
    rest = bytes(listed[_HEAD.size :])
    digests = [rest[at : at + _DIGEST] for at in range(0, len(rest), _DIGEST)]
    fits = 0 < size <= tier.item_max and total <= value_max
    if not fits or len(rest) % _DIGEST or len(digests) != -(-total // size):
        raise Rejected("damaged")
    return total, size, random, digests


def groups(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The parts that are asked for, or sent, together."""
    step = max(1, _GROUP_BYTES // size)
    return (indices[at : at + step] for at in range(0, len(indices), step))
