# SPDX-License-Identifier: BSD-3-Clause
"""Arrays, frames and tables come back as they were, over one piece of memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plib_cache.exceptions import SerializationError
from plib_cache.serialize import DefaultSerializer, TypeCode

from .stored import BOTH, CODE, DATA, joined, round_trip, same

np = pytest.importorskip("numpy")


ARRAYS = {
    **{
        f"kind {dtype}": np.arange(6).reshape(2, 3).astype(dtype)
        for dtype in ("?", "i1", "u2", "<i4", ">i4", "q", "f2", "f4", ">f8", "g", "F", "D", "S3")
    },
    "U": np.array(["a", "\u00e9\u00e9"]),
    "V": np.zeros(3, "V5"),
    "M8": np.array(["2026-01-02", "NaT"], "M8[ns]"),
    "M8 of 25 s": np.array(["2026-01-02"], "M8[25s]"),
    "m8": np.array([1, -1], "m8[ms]"),
    "record": np.array([(1, 2.0, "a")], [("a", "i4"), ("b", ">f8"), ("c", "U3")]),
    "aligned record": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "subarray": np.zeros(2, [("a", "i4", (2, 2))]),
    "zero dimensions": np.array(1.5),
    "zero dimensions of M8": np.array("2026-01-02", "M8[D]"),
    "empty": np.empty((0, 3)),
    "empty Fortran": np.empty((3, 0, 2), order="F"),
    "Fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "strided": np.arange(20)[::3],
    "reversed": np.arange(5)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
    "large": np.arange(10_000.0),
}


@BOTH
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_equal(serializer: DefaultSerializer, name: str) -> None:
    """Every kind of dtype, order and shape survives, alone and in a container."""
    value = ARRAYS[name]
    for back in (round_trip(value, serializer), round_trip([value], serializer)[0]):
        assert type(back) is np.ndarray
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert back.tobytes() == value.tobytes()


@pytest.mark.parametrize("name", ["Fortran", "M8", "zero dimensions", "empty", "large"])
def test_simple_arrays_are_not_pickled(name: str) -> None:
    """The common arrays have an encoding of their own, which keeps the memory order."""
    value = ARRAYS[name]
    assert CODE.dumps(value).type_code == TypeCode.NDARRAY
    assert round_trip(value).flags.f_contiguous == value.flags.f_contiguous


def test_object_arrays_and_subclasses_are_pickled() -> None:
    """Masked arrays, records and arrays of objects keep their type."""
    masked = np.ma.masked_array([1, 2, 3], [0, 1, 0], fill_value=9)
    back = round_trip(masked)
    assert type(back) is type(masked)
    assert back.mask.tolist() == [False, True, False]
    assert back.fill_value == 9
    assert type(round_trip(np.zeros(1, "i4,f4").view(np.recarray))) is np.recarray
    objects = np.array([1, "a", None], object)
    assert round_trip(objects).tolist() == objects.tolist()


@BOTH
@pytest.mark.parametrize(
    "value",
    [np.float64(1.5), np.int8(-1), np.bool_(True), np.str_("a"), np.str_(""), np.bytes_(b"b"),
     np.datetime64("2026-01-02"), np.timedelta64(3, "s"), np.complex64(1j), np.longdouble(1) / 3],
    ids=repr,
)  # fmt: skip
def test_numpy_scalars_keep_their_type(serializer: DefaultSerializer, value: Any) -> None:
    """A float64 is not a float."""
    assert same(round_trip(value, serializer), value)
    assert round_trip(value, serializer).dtype == value.dtype


@BOTH
def test_arrays_are_rebuilt_over_the_memory_without_copying(serializer: DefaultSerializer) -> None:
    """An array shares memory with the frame that it was read from."""
    for value in (np.arange(1000.0), {"a": np.arange(1000.0)}):
        encoded = serializer.dumps(value)
        frame = joined(encoded)
        back = serializer.loads(encoded.type_code, memoryview(frame))
        back = back["a"] if isinstance(back, dict) else back
        assert np.shares_memory(back, np.frombuffer(frame, "u1"))
        assert back.flags.writeable
        back[0] = 7.0
        read_only = serializer.loads(encoded.type_code, memoryview(frame).toreadonly())
        read_only = read_only["a"] if isinstance(read_only, dict) else read_only
        assert not read_only.flags.writeable
        assert read_only[0] == 7.0


@BOTH
def test_a_read_only_array_comes_back_read_only(serializer: DefaultSerializer) -> None:
    """Writability is a property of the value."""
    value = np.arange(1000)
    value.setflags(write=False)
    dates = np.arange(1000).astype("M8[s]")
    for array in (value, dates, value[::2], value.view(Own)):
        for writable in (False, True):
            array = array.copy() if writable else array
            array.setflags(write=writable)
            if serializer is CODE or type(array) is np.ndarray:
                assert round_trip(array, serializer).flags.writeable == writable
                assert round_trip([array], serializer)[0].flags.writeable == writable


class Own(np.ndarray):  # type: ignore[misc]
    """A subclass."""


@given(lengths=st.lists(st.integers(0, 400), max_size=8))
def test_every_buffer_begins_at_a_multiple_of_64(lengths: list[int]) -> None:
    """An array can be used in place by code that wants aligned memory."""
    for serializer in (CODE, DATA):
        encoded = serializer.dumps([np.arange(n, dtype="u1") for n in lengths])
        offset = 0
        for index, part in enumerate(encoded.parts):
            if index >= 2 and isinstance(part, memoryview):
                assert offset % 64 == 0
            offset += len(part)
    head, _ = CODE.dumps(np.arange(5.0)).parts
    assert len(head) % 64 == 0


@pytest.mark.parametrize("nbytes", [2**20 - 1, 2**20, 2**20 + 1])
def test_buffers_of_1_mib_or_more_begin_at_a_page(nbytes: int) -> None:
    """A large buffer shares no page with what stands before it, in any form of value."""
    alignment = 4096 if nbytes >= 2**20 else 64
    value = np.arange(nbytes, dtype="u1")
    for serializer in (CODE, DATA):
        encoded = serializer.dumps([value[:200], value, value[1:300], value[:-1], value[1:]])
        offset = 0
        for part in encoded.parts:
            if isinstance(part, memoryview):
                assert offset % (4096 if len(part) >= 2**20 else 64) == 0
            offset += len(part)
        assert same_arrays(round_trip([value[1:], value], serializer), [value[1:], value])
    head, raw = CODE.dumps(value).parts
    assert (len(head), len(raw)) == (alignment, nbytes)
    assert same_arrays([round_trip(value)], [value])


def same_arrays(left: list[Any], right: list[Any]) -> bool:
    """Equal, one by one."""
    return len(left) == len(right) and all(map(np.array_equal, left, right))


def test_a_flat_memoryview_comes_back_as_one() -> None:
    """Bytes in a view stay a view, and other views are refused with a way out."""
    back = round_trip(memoryview(b"abc"))
    assert type(back) is memoryview
    assert back == b"abc"
    for view in (memoryview(b"abcd").cast("I"), memoryview(b"abcd")[::2]):
        with pytest.raises(SerializationError, match=r"bytes\(view\)"):
            CODE.dumps(view)


def test_bytes_that_are_the_whole_memory_are_not_copied() -> None:
    """Bytes read from bytes are the same object."""
    raw = b"abc"
    assert CODE.loads(TypeCode.BYTES, memoryview(raw)) is raw


def test_pandas_comes_back_equal() -> None:
    """Frames, series and indexes are pickled with their blocks out of band."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {"a": np.arange(500.0), "b": ["x"] * 500, "c": pd.Categorical(["y"] * 500)}
    )
    back = round_trip(frame)
    pd.testing.assert_frame_equal(back, frame)
    assert len(CODE.dumps(frame).parts) > 2
    pd.testing.assert_series_equal(round_trip(frame["a"]), frame["a"])
    with pytest.raises(SerializationError, match=r"DataFrame is not plain data.*Arrow table"):
        DATA.dumps(frame)


@BOTH
def test_arrow_comes_back_equal(serializer: DefaultSerializer) -> None:
    """Tables, batches and arrays survive with either trust."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "a": pa.array(range(1000)),
            "b": pa.array(["x", None] * 500),
            "c": pa.array(["u", "v"] * 500).dictionary_encode(),
            "d": pa.array([[1], []] * 500),
        },
        metadata={"k": "v"},
    )
    batch = table.combine_chunks().to_batches()[0]
    for value in (table, batch, batch.column(1), table.column(0), table.slice(10, 5)):
        back = round_trip(value, serializer)
        assert type(back) is type(value)
        assert back.equals(value)
    assert round_trip(table, serializer).schema.metadata == {b"k": b"v"}
