# SPDX-License-Identifier: BSD-3-Clause
"""Large tables, of pandas, PyArrow and SciPy, are rebuilt over read-only memory without a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plib_cache.serialize import DefaultSerializer

from .read_only import FLOATS, GRID, LARGE, NUMBERS, ROWS, WORDS, Shared, assert_in_place
from .stored import BOTH

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
sparse = pytest.importorskip("scipy.sparse")

TIMES = pd.to_datetime(NUMBERS, unit="s")
PANDAS = {
    "frame": pd.DataFrame({"a": FLOATS, "b": NUMBERS, "c": FLOATS > 5}),
    "frame of one block": pd.DataFrame(GRID),
    "frame with an index": pd.DataFrame({"a": FLOATS}, index=pd.Index(NUMBERS * 2, name="i")),
    "frame with times": pd.DataFrame({"a": FLOATS}, index=TIMES),
    "frame of times": pd.DataFrame({"a": TIMES, "b": TIMES - TIMES[0]}),
    "frame with a multi-index": pd.DataFrame(
        {"a": FLOATS}, index=pd.MultiIndex.from_product([range(200), range(1000)])
    ),
    "slice of a frame": pd.DataFrame({"a": FLOATS, "b": FLOATS})[10:-10],
    "every second row": pd.DataFrame({"a": FLOATS, "b": FLOATS})[::2],
    "series": pd.Series(FLOATS, name="s"),
    "times": pd.Series(TIMES),
    "times in a zone": pd.Series(TIMES.tz_localize("UTC")),
    "time differences": pd.Series(TIMES - TIMES[0]),
    "periods": pd.Series(pd.period_range("2000", periods=ROWS, freq="h")),
    "intervals": pd.Series(pd.interval_range(0, ROWS)),
    "categories": pd.Series(pd.Categorical.from_codes(NUMBERS % 100, range(100))),
    "nullable integers": pd.Series(NUMBERS, dtype="Int64"),
    "nullable floats": pd.Series(FLOATS, dtype="Float64"),
    "nullable bools": pd.Series(FLOATS > 5, dtype="boolean"),
    "sparse": pd.Series(pd.arrays.SparseArray(np.where(NUMBERS % 2, 0.0, 1.0))),
    "index": pd.Index(FLOATS, name="i"),
    "index of times": pd.DatetimeIndex(TIMES),
}


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_is_used_in_place(share: Callable[..., Shared], name: str) -> None:
    """Columns and indexes of any dtype but objects lie in the memory; a store to one raises."""
    value = PANDAS[name]
    shared = share(value)
    back = shared.load()
    assert type(back) is type(value)
    kind = type(value).__name__ if type(value) is not pd.DatetimeIndex else "Index"
    getattr(pd.testing, {"DataFrame": "assert_frame_equal", "Series": "assert_series_equal"}.get(
        kind, "assert_index_equal"))(back, value)  # fmt: skip
    assert_in_place(shared, back)


@pytest.mark.parametrize("dtype", ["int64[pyarrow]", "string[pyarrow]", "large_string[pyarrow]"])
def test_pandas_over_arrow_is_used_in_place(share: Callable[..., Shared], dtype: str) -> None:
    """A column that Arrow holds lies in the memory (pandas itself copies it when it is stored)."""
    values = NUMBERS if dtype.startswith("int") else WORDS
    value = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    shared = share(value)
    back = shared.load()
    pd.testing.assert_frame_equal(back, value)
    buffers = arrow_buffers(back["a"].array.__arrow_array__())
    assert buffers
    assert all(shared.holds(b.address, b.size) and not b.is_mutable for b in buffers)


def test_a_frame_over_read_only_memory_refuses_stores(share: Callable[..., Shared]) -> None:
    """What pandas would change in place raises; what it makes anew is the caller's own."""
    shared = share(pd.DataFrame({"a": FLOATS, "b": FLOATS}))
    back = shared.load()
    with pytest.raises(ValueError, match="read-only"):
        back.iloc[0, 0] = 7.0
    assert share(back + 1).load()["a"][0] == 1.0
    back["c"] = NUMBERS
    assert shared.load()["a"][0] == 0.0


def test_strings_as_objects_are_copied(share: Callable[..., Shared]) -> None:
    """A column of Python objects is pickled, and the others stay in place."""
    value = pd.DataFrame({"a": FLOATS, "b": pd.Series(WORDS, dtype=object)})
    shared = share(value)
    back = shared.load()
    pd.testing.assert_frame_equal(back, value)
    column = back["a"].to_numpy()
    assert shared.holds(column.__array_interface__["data"][0], column.nbytes)


TABLE = pa.table(
    {
        "floats": FLOATS,
        "words": WORDS,
        "missing": pa.array([None, 1] * (ROWS // 2)),
        "lists": pa.array([[1, 2], []] * (ROWS // 2)),
        "dictionary": pa.array(WORDS).dictionary_encode(),
        "structs": pa.StructArray.from_arrays([pa.array(FLOATS)], ["x"]),
    }
)
BATCH = TABLE.combine_chunks().to_batches()[0]
ARROW = {
    "table": TABLE,
    "slice of a table": TABLE.slice(1001, ROWS - 3000),
    "batch": BATCH,
    "slice of a batch": BATCH.slice(8),
    "array": pa.array(FLOATS),
    "array of strings": BATCH.column("words"),
    "slice of an array": pa.array(FLOATS)[1000:],
    "chunks": pa.chunked_array([FLOATS, FLOATS[:-5]]),
    "slice of chunks": pa.chunked_array([FLOATS, FLOATS[:-5]])[5:],
}


def arrow_buffers(value: Any) -> list[Any]:
    """All buffers of Arrow data."""
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        return [b for column in value.columns for b in arrow_buffers(column)]
    if isinstance(value, pa.ChunkedArray):
        return [b for chunk in value.chunks for b in arrow_buffers(chunk)]
    if isinstance(value, pa.DictionaryArray):
        return [b for b in value.buffers() if b] + arrow_buffers(value.dictionary)
    return [b for b in value.buffers() if b]


@BOTH
@pytest.mark.parametrize("name", ARROW)
def test_arrow_is_used_in_place(
    share: Callable[..., Shared], serializer: DefaultSerializer, name: str
) -> None:
    """Each buffer of any size lies in the memory, with either trust, and none can be changed."""
    value = ARROW[name]
    for wrapped in (value, [value]):
        shared = share(wrapped, serializer)
        back = shared.load()
        back = back[0] if isinstance(back, list) else back
        assert type(back) is type(value)
        assert back.equals(value)
        buffers = [b for b in arrow_buffers(back) if b.size >= LARGE]
        assert buffers
        assert all(shared.holds(b.address, b.size) for b in buffers)
        assert not any(b.is_mutable for b in buffers)
        with pytest.raises(TypeError, match="read-only"):
            memoryview(buffers[0])[0] = 1


@pytest.mark.parametrize("name", ["table", "batch", "array", "array of strings", "chunks"])
def test_a_small_slice_of_arrow_data_is_stored_alone(
    share: Callable[..., Shared], name: str
) -> None:
    """What it was cut from would be stored, and leased, with it."""
    value = ARROW[name].slice(1000, 50)
    for wrapped in (value, [value]):
        shared = share(wrapped)
        back = shared.load()
        assert (back[0] if isinstance(back, list) else back).equals(value)
        dictionary = 4_000_000 if name in ("table", "batch") else 0  # which all slices have
        assert shared.encoded.nbytes < 10_000 + dictionary
    assert TABLE.slice(0, 0).equals(share(TABLE.slice(0, 0)).load())


SPARSE = sparse.random(1000, 2000, 0.2, format="coo", rng=np.random.default_rng(7))


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_scipy_is_used_in_place(share: Callable[..., Shared], form: str, kind: str) -> None:
    """Numbers and indices of sparse matrices and arrays lie in the memory."""
    source = SPARSE if form != "dia" else sparse.diags_array([FLOATS], offsets=[0])
    value = getattr(sparse, f"{form}_{kind}")(source)
    shared = share(value)
    back = shared.load()
    assert type(back) is type(value)
    assert (back != value).nnz == 0
    for part in (back.data, getattr(back, "indices", back.data), getattr(back, "row", back.data)):
        assert shared.holds(part.__array_interface__["data"][0], part.nbytes)
        with pytest.raises(ValueError, match="read-only"):
            part[...] = 0
    assert_in_place(shared, back)
    assert (back @ np.ones(back.shape[1])).sum() == pytest.approx(value.sum())
