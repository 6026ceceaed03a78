# SPDX-License-Identifier: BSD-3-Clause
"""Memory that others change while it is read: what was checked is what is used."""

from __future__ import annotations

from typing import Any

import pytest

from plib_cache import _frame, _ndarray, serialize
from plib_cache.serialize import DefaultSerializer, TypeCode

from .read_only import assert_same_array
from .stored import BOTH, CODE

np = pytest.importorskip("numpy")


@BOTH
def test_a_pickle_that_is_changed_after_its_check_is_not_used(
    monkeypatch: pytest.MonkeyPatch, serializer: DefaultSerializer
) -> None:
    """Header, rows and pickle are read once: what was checked is what is used."""
    value = {"a": np.arange(1000.0), "b": "text" * 100, "c": np.arange(50)}
    encoded = serializer.dumps(value)
    frame = bytearray(b"".join(encoded.parts))
    size = 16 + 24 * 2 + len(encoded.parts[1])
    crc32 = _frame.zlib.crc32

    def change(data: Any, start: int = 0) -> int:
        checksum: int = crc32(data, start)
        frame[:size] = b"\xff" * size
        return checksum

    monkeypatch.setattr(_frame, "zlib", type("zlib", (), {"crc32": staticmethod(change)}))
    back: Any = serializer.loads(encoded.type_code, memoryview(frame))
    assert frame[:size] == b"\xff" * size
    assert back["b"] == value["b"]
    assert np.array_equal(back["a"], value["a"])
    assert np.array_equal(back["c"], value["c"])


def test_a_head_that_is_changed_after_its_check_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The head of an array is read once, in one go from front to back."""
    value = np.asfortranarray(np.arange(1000).reshape(10, 100))
    frame = bytearray(b"".join(CODE.dumps(value).parts))
    dtype_in_head = _ndarray._dtype_in_head

    def change(name: bytes) -> Any:
        frame[:64] = b"\xff" * 64
        return dtype_in_head(name)

    monkeypatch.setattr(_ndarray, "_dtype_in_head", change)
    back: Any = CODE.loads(TypeCode.NDARRAY, memoryview(frame))
    assert frame[:64] == b"\xff" * 64
    assert_same_array(back, value)


def test_a_number_that_is_changed_after_its_check_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The digits of an int are copied before they are looked at."""
    frame = bytearray(b"".join(CODE.dumps(123).parts))
    fullmatch = serialize._DECIMAL.fullmatch

    def change(digits: Any) -> Any:
        matched = fullmatch(digits)
        frame[:] = b"x" * len(frame)
        return matched

    monkeypatch.setattr(
        serialize, "_DECIMAL", type("pattern", (), {"fullmatch": staticmethod(change)})
    )
    assert CODE.loads(TypeCode.INT, memoryview(frame)) == 123
    assert frame == b"xxx"
