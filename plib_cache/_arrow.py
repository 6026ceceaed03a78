# SPDX-License-Identifier: BSD-3-Clause
"""Arrow tables, record batches and arrays as bytes of Arrow's own stream format.

The stream holds data and never code, so that it can be read from memory that is not trusted; what
is read is validated in full before it is handed out.  Extension types are refused: to read them
is to run the code that is registered under their name.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from plib_cache._frame import damaged
from plib_cache.exceptions import SerializationError

_COLUMN = "values"
# Older versions unpickle what the metadata of a stream tells them to.
_SAFE_VERSION = (14, 0, 1)


def _pyarrow() -> Any:
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise SerializationError(
            "the value is Arrow data and PyArrow is not installed here: pip install pyarrow"
        ) from error
    if tuple(int(n) for n in pyarrow.__version__.split(".")[:3] if n.isdigit()) < _SAFE_VERSION:
        raise SerializationError("PyArrow before 14.0.1 may run code that data names: upgrade it")
    return pyarrow


def arrow_kind(value: object) -> str | None:
    """ "table", "batch", "array" or "chunks" for Arrow data, None for anything else."""
    pa: Any = sys.modules.get("pyarrow")
    if pa is None or type(value).__module__ != "pyarrow.lib":
        return None
    kinds = {
        "table": pa.Table,
        "batch": pa.RecordBatch,
        "array": pa.Array,
        "chunks": pa.ChunkedArray,
    }
    return next((kind for kind, cls in kinds.items() if isinstance(value, cls)), None)


def arrow_to_stream(kind: str, value: Any) -> memoryview:
    """The stream that ``arrow_from_stream`` reads."""
    pa = _pyarrow()
    if kind == "array":
        value = pa.RecordBatch.from_arrays([value], [_COLUMN])
    elif kind == "chunks":
        value = pa.Table.from_arrays([value], [_COLUMN])
    for field in value.schema:
        _refuse_extensions(pa, field.type)
    importlib.import_module("pyarrow.ipc")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write(value)
    return memoryview(sink.getvalue())


def _refuse_extensions(pa: Any, data_type: Any) -> None:
    if isinstance(data_type, pa.BaseExtensionType):
        raise SerializationError(
            f"Arrow data of the extension type {data_type} cannot be stored with trust='data': "
            "store its .storage instead"
        )
    for index in range(data_type.num_fields):
        _refuse_extensions(pa, data_type.field(index).type)


def arrow_from_stream(kind: str, stream: memoryview) -> object:
    """Arrow data over ``stream``, without copying, validated.

    Raises:
        SerializationError: the stream makes no sense, or PyArrow is missing or too old.
    """
    pa = _pyarrow()
    importlib.import_module("pyarrow.ipc")
    try:
        with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
            value = _unwrap(kind, reader)
        value.validate(full=True)
    except SerializationError:
        raise
    except Exception as error:  # Arrow has many ways to say no.
        raise damaged(f"Arrow data cannot be read ({error})") from error
    return value


def _unwrap(kind: str, reader: Any) -> Any:
    if kind == "table":
        return reader.read_all()
    if kind == "chunks":
        return reader.read_all().column(0)
    if kind not in ("batch", "array"):
        raise damaged(f"there is no Arrow data of kind {kind!r}")
    batch = reader.read_next_batch()
    return batch if kind == "batch" else batch.column(0)
