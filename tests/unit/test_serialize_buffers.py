# SPDX-License-Identifier: BSD-3-Clause
"""Values as flat bytes, and arrays whose elements are yet to come."""

from __future__ import annotations

import re
from typing import Any

import pytest

from plib_cache._ndarray import array_head
from plib_cache.exceptions import SerializationError
from plib_cache.serialize import TypeCode, buffer_of

from .stored import CODE, DATA, joined

np = pytest.importorskip("numpy")

DTYPES = ["?", "i1", "<u2", ">i4", "f2", "f8", "g", "D", "S3", "U2", "V5", "M8[ns]", "m8[25s]", int]
SHAPES = [(), 0, 7, (3, 0, 2), [2, 3], (1,) * 20, (2**10, 2**11), np.arange(3, 5)]


# ---- buffer_of -----------------------------------------------------------------------------------


def viewed(value: object) -> tuple[memoryview, memoryview]:
    """The buffer of a stored value, and the read-only memory that it was stored in."""
    encoded = CODE.dumps(value)
    data = memoryview(joined(encoded)).toreadonly()
    return buffer_of(encoded.type_code, data), data


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (b"abc", b"abc"),
        (b"", b""),
        ("\u00e9", b"\xc3\xa9"),
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abc"), b"abc"),
        (np.arange(3, dtype="<i4"), np.arange(3, dtype="<i4").tobytes()),
        (np.array(1.5), np.array(1.5).tobytes()),
        (np.empty((0, 3)), b""),
        (np.array(["2026-01-02"], "M8[s]"), np.array([1767312000]).tobytes()),
        (np.asfortranarray(np.eye(2, 3)), np.eye(2, 3).tobytes(order="F")),
        (np.arange(2**18), np.arange(2**18).tobytes()),
    ],
    ids=range(11),
)
def test_bytes_text_and_arrays_are_viewed_as_bytes(value: object, raw: bytes) -> None:
    """The buffer is flat, and lies in the memory that it was asked for."""
    buffer, data = viewed(value)
    assert (buffer.format, buffer.ndim, buffer.readonly) == ("B", 1, True)
    assert buffer == raw
    ours = np.frombuffer(data, "u1")
    assert not raw or np.shares_memory(np.frombuffer(buffer, "u1"), ours)


@pytest.mark.parametrize(
    "value",
    [1, 1.5, True, None, {"a": 1}, lambda: 1, np.array([{}]), np.zeros(2, "i4,f8")],
    ids=lambda value: type(value).__name__,
)
def test_other_values_cannot_be_viewed_as_bytes(value: object) -> None:
    """The message names the way to have such a value in place."""
    with pytest.raises(TypeError, match=r"use get\(key, copy=False\)"):
        viewed(value)
    encoded = DATA.dumps({"a": 1})
    with pytest.raises(TypeError, match=r"another value \(DATA\)"):
        buffer_of(encoded.type_code, memoryview(joined(encoded)))
    with pytest.raises(TypeError, match=r"another value \(type code 200\)"):
        buffer_of(200, memoryview(b"abc"))


def test_a_damaged_array_cannot_be_viewed() -> None:
    """Its numbers are proved before any part of it is handed out."""
    frame = joined(CODE.dumps(np.arange(5)))
    for bad in (
        b"",
        frame[:-1],
        frame + b"\0",
        b"\xff" + frame[1:],
        frame[:8] + b"\xff" + frame[9:],
    ):
        with pytest.raises(SerializationError, match="damaged"):
            buffer_of(TypeCode.NDARRAY, memoryview(bad))


# ---- array_head ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_head_and_any_elements_are_an_array(shape: Any, dtype: Any, order: str) -> None:
    """What is written behind a head is read as the array that NumPy would have made."""
    wanted = np.empty(shape, dtype, order=order)
    head, nbytes = array_head(shape, dtype, order)
    assert nbytes == wanted.nbytes
    assert len(head) % (4096 if nbytes >= 2**20 else 64) == 0
    value = bytearray(head + (bytes(range(251)) * (nbytes // 251 + 1))[:nbytes])
    filled = np.ndarray(wanted.shape, dtype, value, len(head), order=order)
    back: Any = CODE.loads(TypeCode.NDARRAY, memoryview(value))
    assert (back.shape, back.dtype, back.strides) == (wanted.shape, wanted.dtype, filled.strides)
    assert back.flags.writeable
    assert back.tobytes() == filled.tobytes()
    assert len(buffer_of(TypeCode.NDARRAY, memoryview(value))) == nbytes


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,), (512, 512)])
def test_a_head_is_what_precedes_a_stored_array(shape: tuple[int, ...]) -> None:
    """An array that was reserved and one that was stored are the same bytes."""
    for order in ("C", "F"):
        value = np.ones(shape, "f8", order=order)
        stored = CODE.dumps(value).parts[0]
        fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        assert array_head(shape, "f8", "F" if fortran else "C").head == stored


@pytest.mark.parametrize(
    ("shape", "dtype", "order", "error", "message"),
    [
        (3, object, "C", TypeError, "set() the array, which pickles it"),
        (3, [("a", "O")], "C", TypeError, "Python objects"),
        (3, "i4,f8", "C", TypeError, "take dtype 'V12'"),
        (3, ("i4", (2,)), "C", TypeError, "take dtype 'V8'"),
        (3, np.dtype("f8", metadata={"a": 1}), "C", TypeError, "metadata"),
        (3, "S", "C", TypeError, "say how long"),
        (3, "U", "C", TypeError, "say how long"),
        (3, "V", "C", TypeError, "say how long"),
        (3, "no such type", "C", TypeError, "no such type"),
        (-1, "f8", "C", ValueError, "0 or more"),
        ((3, -1), "f8", "C", ValueError, "0 or more"),
        (2**60, "f8", "C", ValueError, "larger than any memory"),
        ((2**40, 2**40, 0), "f8", "C", ValueError, "larger than any memory"),
        (2**64, "u1", "C", ValueError, "larger than any memory"),
        ((1,) * 65, "u1", "C", ValueError, "give a shape of at most 64"),
        (1.5, "f8", "C", TypeError, "float"),
        ((1.5,), "f8", "C", TypeError, "float"),
        ("3", "f8", "C", TypeError, "str"),
        (3, "f8", "K", ValueError, "'C' (rows) or 'F' (columns)"),
    ],
)
def test_what_is_no_array_has_no_head(
    shape: Any, dtype: Any, order: str, error: type[Exception], message: str
) -> None:
    """Each refusal says what is wrong, and what to do where there is something."""
    with pytest.raises(error, match=re.escape(message)):
        array_head(shape, dtype, order)
