# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of serializers share: both of them, and the way to bytes and back."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from plib_cache.serialize import DefaultSerializer, Encoded

CODE = DefaultSerializer()
DATA = DefaultSerializer("data")
BOTH = pytest.mark.parametrize("serializer", [CODE, DATA], ids=["code", "data"])


def joined(encoded: Encoded) -> bytearray:
    """The frame as the store would hold it."""
    frame = bytearray(b"".join(encoded.parts))
    assert len(frame) == encoded.nbytes
    return frame


def round_trip(value: object, serializer: DefaultSerializer = CODE) -> Any:
    """Write, and read from memory of one's own."""
    encoded = serializer.dumps(value)
    return serializer.loads(encoded.type_code, memoryview(joined(encoded)))


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    return bool(left == right)
