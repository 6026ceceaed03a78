# SPDX-License-Identifier: BSD-3-Clause
"""Large arrays are rebuilt over the read-only memory that they are read from: nothing is copied."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from plib_cache.serialize import DefaultSerializer, TypeCode

from .read_only import (
    FLOATS,
    GRID,
    NUMBERS,
    ROWS,
    WORDS,
    Shared,
    assert_in_place,
    assert_same_array,
)
from .stored import BOTH, CODE, DATA

np = pytest.importorskip("numpy")
sparse = pytest.importorskip("scipy.sparse")


class Labelled(np.ndarray):  # type: ignore[misc]
    """A subclass as NumPy's manual has them: it does not know how to pickle itself."""

    def __array_finalize__(self, other: Any) -> None:
        self.label = getattr(other, "label", "none")


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
