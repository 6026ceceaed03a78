# SPDX-License-Identifier: BSD-3-Clause
"""Fingerprints of arrays, frames and tables: what is content, and what is only memory."""

from __future__ import annotations

import copy
import itertools
import pathlib
import pickle
from typing import Any

import pytest

from plib_cache.keys import fingerprint

np = pytest.importorskip("numpy")


# NumPy


def test_memory_order_strides_and_subclasses_of_the_file_system_do_not_matter(
    tmp_path: pathlib.Path,
) -> None:
    """Equal arrays have equal fingerprints."""
    base = np.arange(24.0).reshape(2, 3, 4)
    expected = fingerprint(base)
    mapped = np.memmap(tmp_path / "m", "f8", "w+", shape=base.shape)
    mapped[:] = base
    read_only = base.copy()
    read_only.setflags(write=False)
    wide = np.zeros((2, 3, 8))
    wide[:, :, ::2] = base
    for equal in (np.asfortranarray(base), wide[:, :, ::2], mapped, read_only):
        assert fingerprint(equal) == expected
    assert fingerprint(base.transpose(0, 2, 1)) != expected


def test_large_scattered_arrays_are_hashed_in_slices() -> None:
    """Slices give what the whole gives."""
    large = np.arange(3_000_000.0).reshape(3, -1)
    assert fingerprint(np.asfortranarray(large)) == fingerprint(large)
    assert fingerprint(np.asfortranarray(large.T)) == fingerprint(large.T.copy())


def test_padding_is_no_content() -> None:
    """Bytes between fields and inside long doubles may be anything."""
    padded = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    zeros, ones = (np.frombuffer(bytes([n]) * 32, "u1").view(padded).copy() for n in (0, 1))
    ones["a"], ones["b"] = zeros["a"], zeros["b"]
    assert fingerprint(zeros) == fingerprint(ones)
    raw = np.full(16 * 2, 255, "u1").view("g") if np.dtype("g").itemsize == 16 else np.zeros(2, "g")
    raw[:] = [1, 2]
    assert fingerprint(raw) == fingerprint(np.array([1, 2], "g"))


def test_values_under_a_mask_do_not_count() -> None:
    """They are not there."""
    left = np.ma.masked_array([1, 2], [0, 1])
    right = np.ma.masked_array([1, 3], [0, 1])
    assert fingerprint(left) == fingerprint(right)


def test_nan_scalars_are_one() -> None:
    """Whatever the sign of NaN."""
    with np.errstate(all="ignore"):
        assert fingerprint(np.float64("inf") - np.float64("inf")) == fingerprint(np.float64("nan"))


def test_numpy_scalars_merge_with_numbers_if_types_do_not_matter() -> None:
    """As functools.lru_cache has it."""
    same = {fingerprint(v, typed=False) for v in (1, 1.0, True, np.int8(1), np.float64(1))}
    assert len(same) == 1


# pandas and Arrow


def frames() -> list[Any]:
    """Data frames, series and indexes, no two equal."""
    pd = pytest.importorskip("pandas")
    base = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, None]})
    stamps = pd.to_datetime(["2026-01-01", "2026-01-02"])
    columns = [
        [1, 2], [2, 1], [1.0, 2.0], ["1", "2"], ["x", None], pd.array([1, 2], "Int64"),
        pd.array([1, None], "Int64"), pd.array([0, None], "Int64"), pd.array(["1", "2"], "string"),
        pd.Categorical(["x", "y"]), pd.Categorical(["x", "y"], ["y", "x"]),
        pd.Categorical(["x", "y"], ordered=True), stamps, stamps.tz_localize("UTC"),
        stamps.tz_localize("Europe/Berlin"), stamps.to_period("D"), stamps - stamps[0],
        pd.arrays.IntervalArray.from_breaks([0, 1, 2]), [{"k": 1}, [2]], [True, False],
        pd.array([True, None], "boolean"), pd.arrays.SparseArray([0, 1]),
        pd.Series([1, "1"], dtype=object), pd.Series(["1", 1], dtype=object),
        pd.Series(["None", "x"], dtype=object),
        pd.Series([None, "x"], dtype=object),
    ]  # fmt: skip
    return [
        base, base.rename(columns={"a": "z"}), base[["b", "a", "c"]], base.iloc[::-1], base.head(1),
        base.set_index("a"), base.set_index(["a", "b"]), base["a"], base["a"].rename("q"),
        base.index, base.columns, pd.Index([0, 1]),
        base.astype({"a": "i4"}),
        base.set_index(stamps), pd.DataFrame(), pd.MultiIndex.from_product([[1, 2], ["a"]]),
        pd.Timestamp("2026-01-01"), pd.Timedelta(1), pd.NaT, pd.NA, pd.Period("2026-01"),
        *(pd.Series(column) for column in columns),
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_frames_that_differ_have_different_fingerprints() -> None:
    """Values, dtypes, names, indexes and order count; missing values are not text."""
    values = frames()
    prints = [fingerprint(value) for value in values]
    clashes = [
        (a, b) for (i, a), (j, b) in itertools.combinations(enumerate(values), 2)
        if prints[i] == prints[j]
    ]  # fmt: skip
    assert not clashes
    assert [fingerprint(copy.deepcopy(value)) for value in values] == prints
    assert [fingerprint(pickle.loads(pickle.dumps(value))) for value in values] == prints


def test_the_blocks_of_a_frame_do_not_matter() -> None:
    """A frame built column by column is the same frame."""
    pd = pytest.importorskip("pandas")
    whole = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    grown = pd.DataFrame({"a": [1, 2]})
    grown["b"] = [3, 4]
    assert fingerprint(whole) == fingerprint(grown)
    assert fingerprint(pd.concat([whole, whole], ignore_index=True).head(2)) == fingerprint(whole)


def test_the_chunks_of_a_table_do_not_matter() -> None:
    """Slices and chunks with equal content are equal."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, 2, 3, 4], "b": ["x", "y", "x", "z"]})
    parts = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert fingerprint(parts) == fingerprint(table)
    assert fingerprint(pa.array([9, 1, 2]).slice(1)) == fingerprint(pa.array([1, 2]))
    different = [
        table, table.slice(1), table.rename_columns(["a", "c"]), table.select(["a"]),
        table.replace_schema_metadata({"k": "v"}), table.to_batches()[0], table.column(0),
        table.column(0).chunk(0), pa.array([1, 2, 3, 4], pa.int32()), pa.array([1, None]),
        pa.array(["x", "y"]), pa.array(["x", "y"]).dictionary_encode(), pa.scalar(1),
        pa.scalar(1, pa.int8()), pa.int8(), pa.int16(), table.schema, table.schema.field(0),
        pa.array(["y", "x"]).dictionary_encode(),
    ]  # fmt: skip
    assert len(set(map(fingerprint, different))) == len(different)
