# SPDX-License-Identifier: BSD-3-Clause
"""Large values are rebuilt over read-only memory that they are read from: nothing is copied.

The memory is a mapping that the kernel protects from stores, so that what writes past NumPy's
flags ends the process.  Where a buffer lies is asked of the value that was read, by storing it
once more: a buffer that was copied on the way in or out lies elsewhere.
"""

from __future__ import annotations

import importlib
import mmap
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from plib_cache import _frame, _ndarray, serialize
from plib_cache.serialize import DefaultSerializer, TypeCode

from .stored import BOTH, CODE, DATA

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
sparse = pytest.importorskip("scipy.sparse")

ROWS = 200_000  # 1.6 MB of float64
LARGE = 100_000  # a buffer of that many bytes may never be copied
FLOATS = np.arange(float(ROWS))
NUMBERS = np.arange(ROWS)
WORDS = [f"word {i}" for i in range(ROWS)]


class Shared:
    """A value in a file of memory that this process has mapped for reading only."""

    def __init__(self, path: pathlib.Path, value: object, serializer: DefaultSerializer) -> None:
        self.encoded = serializer.dumps(value)
        path.write_bytes(b"".join(self.encoded.parts) or b"\0")
        with path.open("rb") as file:
            self.view = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        assert self.view.readonly
        self.start = address_of(self.view)
        self._serializer = serializer

    def load(self) -> Any:
        return self._serializer.loads(self.encoded.type_code, self.view[: self.encoded.nbytes])

    def holds(self, address: int, nbytes: int) -> bool:
        return self.start <= address and address + nbytes <= self.start + len(self.view)


@pytest.fixture
def share(tmp_path: pathlib.Path) -> Callable[..., Shared]:
    """Puts a value into memory that is mapped for reading only."""
    count = iter(range(100))

    def put(value: object, serializer: DefaultSerializer = CODE) -> Shared:
        return Shared(tmp_path / str(next(count)), value, serializer)

    return put


def address_of(view: memoryview) -> int:
    address: int = np.frombuffer(view, "u1").__array_interface__["data"][0]
    return address


def large_buffers(value: object) -> list[memoryview]:
    """The buffers of a value, where they are; what stands inside of the pickle must be small."""
    encoded = CODE.dumps(value)
    assert sum(len(part) for part in encoded.parts if isinstance(part, bytes)) < LARGE
    return [p for p in encoded.parts if isinstance(p, memoryview) and len(p) >= LARGE]


def assert_in_place(shared: Shared, back: object) -> None:
    """Each large buffer lies in the mapping, and as many bytes as were stored."""
    buffers = large_buffers(back)
    assert buffers
    assert all(shared.holds(address_of(buffer), len(buffer)) for buffer in buffers)
    assert all(buffer.readonly for buffer in buffers)
    stored = [p for p in shared.encoded.parts if len(p) >= LARGE]
    assert sum(map(len, buffers)) == sum(map(len, stored))


# ---- NumPy ---------------------------------------------------------------------------------------


class Labelled(np.ndarray):  # type: ignore[misc]
    """A subclass as NumPy's manual has them: it does not know how to pickle itself."""

    def __array_finalize__(self, other: Any) -> None:
        self.label = getattr(other, "label", "none")


GRID = FLOATS.reshape(200, 1000)
RECORDS = np.zeros(ROWS, [("a", "i4"), ("b", ">f8"), ("c", "U3")])
ARRAYS = {
    "C": GRID,
    "Fortran": np.asfortranarray(GRID),
    "transposed": GRID.T,
    "three dimensions, Fortran": np.asfortranarray(GRID.reshape(10, 20, 1000)),
    "permuted": GRID.reshape(10, 20, 1000).transpose(1, 0, 2),
    "strided": np.arange(2 * ROWS)[::2],
    "reversed": FLOATS[::-1],
    "read-only": np.frombuffer(FLOATS.tobytes()),
    "broadcast": np.broadcast_to(FLOATS[:1000], (200, 1000)),
    "byte-swapped": FLOATS.astype(">f8"),
    "datetime64": NUMBERS.astype("M8[ns]"),
    "Fortran dates": np.asfortranarray(GRID.astype("M8[s]")),
    "timedelta64": NUMBERS.astype("m8[s]"),
    "byte-swapped dates": NUMBERS.astype(">M8[25s]"),
    "half": (FLOATS % 8).astype("f2"),
    "long double": FLOATS.astype("g"),
    "complex": FLOATS.astype("D"),
    "bool": FLOATS > 5,
    "str": np.array(WORDS),
    "bytes": np.array(WORDS, "S"),
    "void": np.zeros(ROWS, "V9"),
    "records": RECORDS,
    "aligned records": np.zeros(ROWS, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "records with dates": np.zeros(ROWS, [("a", "i4"), ("b", [("c", "M8[us]", (2,))])]),
    "one field": RECORDS["b"],
    "recarray": RECORDS.view(np.recarray),
    "subclass": GRID.view(Labelled),
    "Fortran subclass": np.asfortranarray(GRID).view(Labelled),
    "subclass of dates": NUMBERS.astype("M8[s]").view(Labelled),
}


def assert_same_array(back: Any, value: Any) -> None:
    assert type(back) is type(value)
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert back.tobytes() == value.tobytes()
    if value.flags.forc:
        assert back.flags.f_contiguous == value.flags.f_contiguous


@pytest.mark.parametrize("wrap", [False, True], ids=["alone", "in a dict"])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_used_in_place(share: Callable[..., Shared], name: str, wrap: bool) -> None:
    """Any dtype without objects, any order and any subclass lies in the memory it was read from.

    An array that is not contiguous is stored contiguously, and then no different.
    """
    value = ARRAYS[name]
    shared = share({"a": value} if wrap else value)
    back = shared.load()["a"] if wrap else shared.load()
    assert_same_array(back, value)
    assert shared.holds(back.__array_interface__["data"][0], back.nbytes)
    assert back.__array_interface__["data"][0] % 4096 == 0 or back.nbytes < 2**20
    assert back.flags.forc
    assert_in_place(shared, back)
    with pytest.raises(ValueError, match="read-only"):
        back[...] = back[:1]
    with pytest.raises(ValueError):
        back.setflags(write=True)


@pytest.mark.parametrize("name", sorted({*ARRAYS} - {"recarray"}))
def test_plain_data_is_used_in_place(share: Callable[..., Shared], name: str) -> None:
    """With trust="data" arrays lie in the memory as well."""
    value = np.asarray(ARRAYS[name])
    for wrapped in (value, [value]):
        shared = share(wrapped, DATA)
        back = shared.load()
        back = back[0] if isinstance(back, list) else back
        assert_same_array(back, value)
        assert shared.holds(back.__array_interface__["data"][0], back.nbytes)
        assert not back.flags.writeable


MASKED = {
    "mask": np.ma.masked_array(GRID, GRID > 7, fill_value=-1.0),
    "no mask": np.ma.masked_array(GRID),
    "hard mask": np.ma.masked_array(FLOATS, FLOATS < 3, hard_mask=True),
    "dates": np.ma.masked_array(NUMBERS.astype("M8[D]"), NUMBERS % 2 == 0),
    "records": np.ma.masked_array(RECORDS, mask=[(1, 0, 1)] * ROWS),
    "Fortran": np.ma.masked_array(np.asfortranarray(GRID), np.asfortranarray(GRID > 7)),
    "strided": np.ma.masked_array(GRID, GRID > 7)[:, ::2],
    "of a subclass": np.ma.masked_array(GRID.view(Labelled), GRID > 7),
}


@pytest.mark.parametrize("name", MASKED)
def test_masked_arrays_are_used_in_place(share: Callable[..., Shared], name: str) -> None:
    """Both the elements and the mask lie in the memory; fill value and hardness are kept."""
    value = MASKED[name]
    shared = share(value)
    back = shared.load()
    assert type(back) is np.ma.MaskedArray
    assert_same_array(back.data, value.data)
    assert (back.mask is np.ma.nomask) == (value.mask is np.ma.nomask)
    assert np.array_equal(back.mask, value.mask)
    assert repr(back.fill_value) == repr(value.fill_value)
    assert back.hardmask == value.hardmask
    for part in (back.data, back.mask):
        if part is not np.ma.nomask:
            assert shared.holds(part.__array_interface__["data"][0], part.nbytes)
    assert_in_place(shared, back)
    with pytest.raises(ValueError, match="read-only"):
        back.data[...] = back.data[:1]
    with pytest.raises(ValueError, match="read-only"):
        back[...] = value[::-1]
    assert np.array_equal(shared.load().mask, value.mask)


def test_masked_arrays_stay_what_they_were(share: Callable[..., Shared]) -> None:
    """Small ones, subclasses and the constant keep type, default fill value and writability."""
    assert share([np.ma.masked]).load()[0] is np.ma.masked
    back = share(np.ma.masked_array([1, 2], [0, 1])).load()
    assert (back.tolist(), back.fill_value) == ([1, None], 999_999)
    encoded = CODE.dumps(np.ma.masked_array([1, 2], [0, 1]))
    own: Any = CODE.loads(encoded.type_code, memoryview(bytearray(b"".join(encoded.parts))))
    own[0] = 5
    own[1] = 6
    assert own.tolist() == [5, 6]
    mrecords = importlib.import_module("numpy.ma.mrecords")
    records = mrecords.fromarrays([np.arange(3), np.arange(3.0)], names="a,b")
    assert type(share(records).load()) is type(records)


@BOTH
@pytest.mark.parametrize(
    "value",
    [np.array(1.5), np.array("2026-01-02", "M8[D]"), np.empty((0, 3)), np.empty((3, 0), "M8[s]"),
     np.empty((2, 0), order="F"), np.zeros((), "i4,M8[s]"), np.zeros((2, 0), "i4,M8[s]"),
     np.zeros((0,), "U5"), np.zeros(3, "V0")],
    ids=repr,
)  # fmt: skip
def test_tiny_arrays_are_rebuilt_over_read_only_memory(
    share: Callable[..., Shared], serializer: DefaultSerializer, value: Any
) -> None:
    """No dimension and no element are dimensions and numbers of elements like others."""
    for wrapped in (value, [value], [value, FLOATS]):
        back = share(wrapped, serializer).load()
        assert_same_array(back[0] if isinstance(back, list) else back, value)


def test_subclasses_without_dimension_or_elements(share: Callable[..., Shared]) -> None:
    """They keep their type; what their class keeps beside the elements starts anew."""
    for value in (np.array(1.5).view(Labelled), np.empty((0, 2)).view(Labelled)):
        back = share([value]).load()[0]
        assert_same_array(back, value)
        assert back.label == "none"


def test_what_cloudpickle_stores_is_used_in_place(share: Callable[..., Shared]) -> None:
    """An array beside a function that is stored by value goes the same way as any other."""
    offset = NUMBERS.astype("M8[s]")
    shared = share({"function": lambda: offset, "array": FLOATS.view(Labelled)})
    assert shared.encoded.type_code == TypeCode.CLOUDPICKLE
    back = shared.load()
    for array, value in ((back["function"](), offset), (back["array"], FLOATS.view(Labelled))):
        assert_same_array(array, value)
        assert shared.holds(array.__array_interface__["data"][0], array.nbytes)


class Stubborn(np.ndarray):  # type: ignore[misc]
    """A subclass that says itself how it is pickled."""

    unit = ""

    def __reduce__(self) -> Any:
        make, arguments, state = super().__reduce__()
        return make, arguments, (state, self.unit)

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state[0])
        self.unit = state[1]


def test_what_cannot_be_used_in_place_is_copied(share: Callable[..., Shared]) -> None:
    """Objects are pickled; a subclass that pickles itself is believed; both can be written to."""
    objects = np.array([WORDS, None], object)
    back = share(objects).load()
    assert back.tolist() == objects.tolist()
    back[0] = 1
    rows = sparse.lil_array((3, 3))
    rows[0, 1] = 5
    assert (share(rows).load() != rows).nnz == 0
    own = FLOATS.view(Stubborn)
    own.unit = "m"
    shared = share(own)
    back = shared.load()
    assert (type(back), back.unit) == (Stubborn, "m")
    assert np.array_equal(back, own)
    assert not shared.holds(back.__array_interface__["data"][0], 1)
    back[0] = 1


# ---- pandas, PyArrow, SciPy ----------------------------------------------------------------------

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


# ---- memory that others change -------------------------------------------------------------------


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
