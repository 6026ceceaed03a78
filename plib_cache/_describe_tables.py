# SPDX-License-Identifier: BSD-3-Clause
"""pandas and Arrow objects as plain structures, for fingerprints.

What counts is content: values, dtypes, indexes, names and order; not how columns are grouped into
blocks or chunks.  Neither library is used unless the program has imported it.
"""

from __future__ import annotations

import importlib
import io
import sys
from typing import Any

from plib_cache._describe import IN_FULL, Means


def describe_table(value: Any, means: Means = IN_FULL) -> object | None:
    """The description of a pandas or Arrow object; None for anything else."""
    pd: Any = sys.modules.get("pandas")
    if pd is not None and hasattr(pd, "api"):
        if isinstance(value, (pd.DataFrame, pd.Series)):
            return _describe_frame(pd, value, means)
        if isinstance(value, pd.Index):
            return _describe_index(pd, value, means)
        if isinstance(value, pd.api.extensions.ExtensionArray):
            return _describe_column(pd, value, means)
    pa: Any = sys.modules.get("pyarrow")
    if pa is not None and type(value).__module__ == "pyarrow.lib":
        return _describe_arrow(pa, value, means)
    return None


def _describe_frame(pd: Any, value: Any, means: Means) -> object:
    if isinstance(value, pd.Series):
        return type(value), value.name, value.index, _describe_column(pd, value.array, means)
    arrays = [value.iloc[:, i].array for i in range(value.shape[1])]
    columns = [_describe_column(pd, array, means) for array in arrays]
    return type(value), value.columns, value.index, columns


def _describe_index(pd: Any, index: Any, means: Means) -> object:
    names = list(index.names)
    if isinstance(index, pd.RangeIndex):
        return type(index), names, (index.start, index.stop, index.step)
    if isinstance(index, pd.MultiIndex):
        levels = [index.get_level_values(level).array for level in range(index.nlevels)]
    else:
        levels = [index.array]
    return type(index), names, [_describe_column(pd, level, means) for level in levels]


def _describe_column(pd: Any, column: Any, means: Means) -> object:
    """One column: the name of its dtype and its values in the cheapest exact form."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category", column.codes, column.categories, bool(column.ordered)
    if isinstance(dtype, pd.IntervalDtype):
        return str(dtype), column.left, column.right
    if isinstance(dtype, pd.StringDtype):
        return str(dtype), means.texts(column)
    if hasattr(column, "asi8"):
        return str(dtype), column.asi8
    if hasattr(column, "__arrow_array__") and hasattr(dtype, "pyarrow_dtype"):
        return str(dtype), column.__arrow_array__()
    if hasattr(column, "_mask") and hasattr(dtype, "numpy_dtype"):
        return str(dtype), column.isna(), column.to_numpy(dtype=dtype.numpy_dtype, na_value=0)
    if type(dtype).__module__.partition(".")[0] == "numpy" or hasattr(dtype, "_dtype"):
        return str(dtype), column.to_numpy()
    return str(dtype), list(column.astype(object))


class _HashingFile(io.RawIOBase):
    """A file that keeps nothing of what is written but its digest."""

    def __init__(self, means: Means) -> None:
        super().__init__()
        self.hash = means.new_hash()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        self.hash.update(view)
        return view.nbytes


def _describe_arrow(pa: Any, value: Any, means: Means) -> object | None:
    """Columns are brought into one chunk and hashed as Arrow's own stream."""
    if isinstance(value, (pa.Schema, pa.DataType, pa.Field)):
        return type(value).__name__, str(value), dict(getattr(value, "metadata", None) or {})
    if isinstance(value, pa.Scalar):
        return type(value).__name__, str(value.type), value.as_py()
    if isinstance(value, pa.Array):
        return type(value), _stream_digest(pa, pa.Table.from_arrays([value], ["x"]), means)
    if isinstance(value, pa.ChunkedArray):
        return type(value), _stream_digest(pa, pa.Table.from_arrays([value], ["x"]), means)
    if isinstance(value, pa.RecordBatch):
        return type(value), _stream_digest(pa, pa.Table.from_batches([value]), means)
    return (type(value), _stream_digest(pa, value, means)) if isinstance(value, pa.Table) else None


def _stream_digest(pa: Any, table: Any, means: Means) -> bytes:
    ipc: Any = importlib.import_module("pyarrow.ipc")
    file = _HashingFile(means)
    with ipc.new_stream(pa.PythonFile(file, mode="w"), table.schema) as writer:
        writer.write_table(table.combine_chunks())
    digest: bytes = file.hash.digest()
    return digest
