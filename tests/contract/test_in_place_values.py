# SPDX-License-Identifier: BSD-3-Clause
"""Which values are had in place, by address; all others come equal, and are copies."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from plib_cache import Cache

from .mapped import lies_in

N = 1 << 16
FLOATS = np.arange(N, dtype="f8")


@pytest.fixture
def cache(protected: Cache) -> Cache:
    """One with nothing in it."""
    return protected


class Named(np.ndarray):
    """A subclass that adds nothing."""


def record(count: int) -> Any:
    """A structured array with a date in it."""
    array = np.zeros(count, [("id", "<i4"), ("when", "M8[s]"), ("xy", ">f4", (2,))])
    array["id"], array["when"] = np.arange(count), np.datetime64("2024-01-01")
    return array


ARRAYS: dict[str, Callable[[], Any]] = {
    "C order": lambda: FLOATS.reshape(4, -1),
    "Fortran order": lambda: np.asfortranarray(FLOATS.reshape(4, -1)),
    "strided": lambda: FLOATS[::3],
    "transposed": lambda: FLOATS.reshape(16, 16, -1).transpose(1, 2, 0),
    "reversed": lambda: FLOATS[::-1],
    "broadcast": lambda: np.broadcast_to(np.arange(256), (64, 256)),
    "structured": lambda: record(N),
    "byte-swapped": lambda: FLOATS.astype(">f8"),
    "complex": lambda: FLOATS + 1j,
    "bool": lambda: FLOATS > 100,
    "half": lambda: (FLOATS % 100).astype("f2"),
    "dates": lambda: np.arange(N).astype("M8[ns]"),
    "spans": lambda: np.arange(N).astype("m8[D]"),
    "text": lambda: FLOATS.astype("U16"),
    "raw": lambda: FLOATS.view("V16"),
    "subclass": lambda: FLOATS.view(Named),
    "masked": lambda: np.ma.masked_greater(FLOATS, 100),
}


def flat(value: Any) -> list[Any]:
    """The plain arrays that a value is made of."""
    if isinstance(value, np.ma.MaskedArray):
        return [value.data, value.mask]
    return [np.asarray(value)]


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(cache: Cache, name: str) -> None:
    """In place: equal, of the same type and dtype, read-only, and nothing of it is a copy."""
    stored = ARRAYS[name]()
    cache["a"] = stored
    got = cache.get("a", copy=False)
    assert type(got) is type(stored)
    assert (got.dtype, got.shape) == (stored.dtype, stored.shape)
    for theirs, ours in zip(flat(got), flat(stored), strict=True):
        assert np.array_equal(theirs, ours)
        assert not theirs.flags.writeable
        assert lies_in(cache, theirs)
    assert cache.stats().leases == 1


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 5, 2), ()])
@pytest.mark.parametrize("way", [False, "cow"])
def test_nearly_nothing(cache: Cache, shape: tuple[int, ...], way: Any) -> None:
    """Arrays of no elements or one are small values: copies."""
    cache["a"] = np.ones(shape, "f4")
    got = cache.get("a", copy=way)
    assert (got.shape, got.dtype) == (shape, np.dtype("f4"))
    assert np.array_equal(got, np.ones(shape))
    assert got.flags.writeable is (way == "cow")
    assert cache.view("a").nbytes == 4 * got.size
    assert cache.stats().leased == cache.stats().leases_copied == 0


def test_objects(cache: Cache) -> None:
    """Arrays of objects are pickled: equal, and the reader's own."""
    stored = np.array([{"n": n} for n in range(5000)], dtype=object)
    cache["a"] = stored
    got = cache.get("a", copy=False)
    assert got.dtype == object
    assert got.tolist() == stored.tolist()
    got[0]["n"] = "changed"
    got[1] = None
    assert cache["a"].tolist() == stored.tolist()
    assert not lies_in(cache, got)


def test_scalars_and_containers(cache: Cache) -> None:
    """Whatever has no buffers is as it would be without ``copy``; what has some is over them."""
    values = [1, 1.5, None, True, "s" * 50_000, b"b" * 50_000, [1] * 50_000, {"a": (1,)}]
    for value in [*values, datetime.datetime(2024, 1, 1)]:
        cache["v"] = value
        for way in (False, "cow"):
            got = cache.get("v", copy=way)
            assert (type(got), got) == (type(value), value)
    assert cache.stats().leased == 0  # all of them were made of what was read
    cache["v"] = {"x": FLOATS, "deep": [FLOATS[:9000], "text"], "small": np.arange(5)}
    got = cache.get("v", copy=False)
    assert lies_in(cache, got["x"])
    assert lies_in(cache, got["deep"][0])
    assert np.array_equal(got["small"], np.arange(5))
    cache["v"] = bytearray(b"b" * 50_000)
    got = cache.get("v", copy=False)
    got[0] = 0
    assert cache["v"] == bytearray(b"b" * 50_000)
    cache["v"] = memoryview(b"m" * 50_000)
    assert lies_in(cache, cache.get("v", copy=False))


def test_small(cache: Cache) -> None:
    """A view of a small value is a copy, equal and read-only; from ``in_place_from`` on it is not.

    The limit is one of the whole entry, with its key and what describes it.
    """
    least = cache.info().in_place_from
    for length in (0, 1, 64, least // 2, least, 5 * least):
        cache["s"] = data = bytes(range(256)) * (length // 256) + bytes(length % 256)
        view = cache.view("s")
        assert (view, view.readonly) == (data, True)
        with pytest.raises((TypeError, IndexError)):
            view[0] = 1
        assert lies_in(cache, view) is (length >= least)
        assert (cache.stats().leased > 0) is (length >= least)
        cache["s"] = b"else"
        assert view == data
    assert cache.stats().leases_copied == 0  # it was no limit


def test_view_of_text(cache: Cache) -> None:
    """Its UTF-8."""
    cache["t"] = "Grüße" * 10_000
    assert cache.view("t") == "Grüße".encode() * 10_000
    assert lies_in(cache, cache.view("t"))


@pytest.mark.parametrize("value", [1, 1.5, None, True, [1], {"a": 1}, pd.DataFrame({"a": [1]})])
def test_no_buffer(cache: Cache, value: Any) -> None:
    """What is no buffer has no view; nothing stays leased."""
    cache["v"] = value
    with pytest.raises(TypeError, match="copy=False"):
        cache.view("v")
    cache["v"] = [value] * 20_000 if not isinstance(value, pd.DataFrame) else {"f": FLOATS}
    with pytest.raises(TypeError, match="copy=False"):
        cache.view("v")
    assert cache.stats().leased == 0


def test_wrong_arguments(cache: Cache) -> None:
    """Missing keys, and ways to read that there are not."""
    with pytest.raises(KeyError, match="missing"):
        cache.view("missing")
    assert cache.get("missing", 7, copy=False) == cache.get("missing", 7, copy="cow") == 7
    cache["a"] = FLOATS
    for copy in ("x", "COW", None, 0, 1, 2.5):
        with pytest.raises(ValueError, match="cow"):
            cache.get("a", copy=copy)
        with pytest.raises(ValueError, match="cow"):
            cache.get("missing", copy=copy)
    assert cache.stats().leased == 0


class TestTables:
    """The large buffers of tables and matrices lie in the region."""

    def test_pandas(self, cache: Cache) -> None:
        """Columns of numbers and dates, and the index; a column of Python objects is a copy."""
        stored = pd.DataFrame(
            {"f": FLOATS, "i": np.arange(N), "when": np.arange(N).astype("M8[ns]")},
            index=pd.Index(FLOATS + 1, name="row"),
        )
        stored["o"] = pd.Series([f"{n}" for n in range(N)], index=stored.index, dtype=object)
        cache["df"] = stored
        got = cache.get("df", copy=False)
        pd.testing.assert_frame_equal(got, stored)
        for column in ("f", "i", "when"):
            assert lies_in(cache, got[column].to_numpy())
        assert lies_in(cache, got.index.to_numpy())
        with pytest.raises(ValueError, match="read-only"):
            got.loc[1.0, "f"] = 99.0
        got["f"] = got["f"] + 1  # a new column in place of the old one is no writing
        assert cache["df"]["f"].iloc[0] == 0
        private = cache.get("df", copy="cow")
        private["f"] += 1
        pd.testing.assert_frame_equal(cache.get("df", copy=False), stored)

    def test_arrow(self, cache: Cache) -> None:
        """All buffers of a table, of text too, and of a slice."""
        table = pa.table({"f": FLOATS, "s": [f"text {n}" for n in range(N)]})
        for stored in (table, table.slice(100), table.to_batches()[0]):
            cache["t"] = stored
            got = cache.get("t", copy=False)
            assert got.equals(stored)
            for column in got.columns:
                for chunk in getattr(column, "chunks", [column]):
                    large = [part for part in chunk.buffers() if part and part.size > 16384]
                    assert large
                    assert all(lies_in(cache, part) for part in large)

    @pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr"])
    def test_sparse(self, cache: Cache, kind: str) -> None:
        """The arrays of which a sparse matrix is made."""
        stored = scipy.sparse.random(2000, 2000, 0.01, format="csr", random_state=1).asformat(kind)
        cache["m"] = stored
        got = cache.get("m", copy=False)
        assert (abs(got - stored)).nnz == 0
        assert lies_in(cache, got.data)
        if kind in ("csr", "csc"):
            assert lies_in(cache, got.indices)
        assert np.allclose(got @ np.ones(2000), stored @ np.ones(2000))
