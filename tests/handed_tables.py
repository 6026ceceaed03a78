# SPDX-License-Identifier: BSD-3-Clause
"""What holds arrays, for the tests of values by reference, and in which files its memory lies."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import handed_arrays as handed
import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

N = 100_000
SMALLEST = 1 << 16
NUMBERS = np.arange(float(N))
TEXTS = [f"text {i}" for i in range(N)]


@dataclasses.dataclass
class Model:
    """Something of a user's that was fitted."""

    weights: Any
    parts: dict[str, Any]


def _mixed() -> pd.DataFrame:
    day = pd.date_range("2020", periods=N, freq="s")
    return pd.DataFrame(
        {
            "number": NUMBERS,
            "text": TEXTS,
            "date": day,
            "zone": day.tz_localize("UTC"),
            "kind": pd.Categorical.from_codes(np.arange(N) % 300, [f"k{i}" for i in range(300)]),
            "maybe": pd.array(np.arange(N), dtype="Int64"),
            "arrow": pd.array(np.arange(N), dtype="int64[pyarrow]"),
        }
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "numbers": lambda: pd.DataFrame({"a": NUMBERS, "b": -NUMBERS, "c": np.arange(N)}),
    "texts": lambda: pd.DataFrame({"s": TEXTS}),
    "mixed": _mixed,
    "index of numbers": lambda: pd.DataFrame({"a": NUMBERS}, index=NUMBERS * 2),
    "index of dates": lambda: pd.Series(
        NUMBERS, index=pd.DatetimeIndex(np.arange(N) * 1_000_003), name="x"
    ),
    "index of texts": lambda: pd.Series(NUMBERS, index=TEXTS),
    "index of pairs": lambda: pd.Series(
        NUMBERS, index=pd.MultiIndex.from_arrays([NUMBERS, np.arange(N) % 500])
    ),
    "series": lambda: pd.Series(NUMBERS, name="x"),
    "series of texts": lambda: pd.Series(TEXTS),
    "dict": lambda: {"a": NUMBERS, "b": [NUMBERS[:-1], (NUMBERS[1:], 7)]},
    "object": lambda: Model(NUMBERS, {"left": [NUMBERS + 1]}),
    "table": lambda: pa.table({"a": NUMBERS, "s": TEXTS}),
    "batch": lambda: pa.record_batch({"a": NUMBERS, "s": TEXTS}),
    "rows": lambda: sp.random(600, 600, 0.2, "csr", rng=np.random.default_rng(1)),
    "points": lambda: sp.random(600, 600, 0.2, "coo", rng=np.random.default_rng(1)),
    "masked": lambda: np.ma.masked_array(NUMBERS, np.arange(N) % 3 == 0),
    "records": lambda: np.rec.fromarrays([NUMBERS, np.arange(N)], names="a,b"),
    "dates": lambda: np.arange(N).astype("M8[s]"),
}
make = functools.cache(lambda name: MAKERS[name]())


def memories(value: Any) -> Iterator[tuple[int, int]]:
    """Address and length of each memory that a value has."""
    if isinstance(value, np.ma.MaskedArray):
        yield from memories(np.asarray(value.data).view(np.ndarray))
        yield from memories(np.asarray(value.mask).view(np.ndarray))
    elif isinstance(value, np.ndarray):
        yield value.__array_interface__["data"][0], value.nbytes
    elif isinstance(value, pa.Array):
        for buffer in value.buffers():
            if buffer is not None:
                yield buffer.address, buffer.size
    else:
        for part in _parts(value):
            yield from memories(part)


def _parts(value: Any) -> Any:
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        return value.columns
    if isinstance(value, pa.ChunkedArray):
        return value.chunks
    if isinstance(value, pd.DataFrame):
        return [value.index, *(value.iloc[:, i].array for i in range(value.shape[1]))]
    if isinstance(value, pd.MultiIndex):
        return [*value.levels, *value.codes]
    if isinstance(value, pd.RangeIndex):
        return []
    if isinstance(value, pd.Series):
        return [value.index, value.array]
    if isinstance(value, pd.Index):
        return [value.array]
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple)):
        return value
    names = ("_pa_array", "_ndarray", "_data", "_mask", "_codes")
    state = getattr(value, "__dict__", {})
    inner = [getattr(value, name) for name in names if hasattr(value, name)]
    return [*state.values(), *inner]


def places(value: Any) -> set[int]:
    """The inodes of the files in which its large memories lie; 0: in none."""
    return {handed.file_at(address)[0] for address, nbytes in memories(value) if nbytes >= SMALLEST}


def same(one: Any, other: Any) -> bool:
    """Whether both have the same content, and are of the same type."""
    if isinstance(one, pd.DataFrame):
        return bool(one.equals(other)) and list(one.dtypes) == list(other.dtypes)
    if isinstance(one, pd.Series):
        return bool(one.equals(other)) and (one.name, one.dtype) == (other.name, other.dtype)
    if isinstance(one, (pa.Table, pa.RecordBatch)):
        return bool(one.equals(other))
    if sp.issparse(one):
        return type(one) is type(other) and (one != other).nnz == 0
    if isinstance(one, np.ma.MaskedArray):
        masks = np.ma.getmaskarray(one), np.ma.getmaskarray(other)
        return np.array_equal(*masks) and np.array_equal(one.filled(0), other.filled(0))
    if isinstance(one, np.ndarray):
        return one.__class__ is other.__class__ and np.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return same(vars(one), vars(other)) if isinstance(one, Model) else bool(one == other)


def look(value: Any) -> tuple[set[int], Any]:
    """Where it lies in this process, and it."""
    return places(value), value


def stored(path: str, key: str, name: str) -> Any:
    """A value that this process itself has stored; its key is gone."""
    value = handed.put(path, key, make(name))
    del handed.cache(path)[key]
    return value


def holds_and_dies(value: Any) -> None:
    """A worker that is killed while it reads a value in place."""
    assert 0 not in places(value)
    os.kill(os.getpid(), signal.SIGKILL)
