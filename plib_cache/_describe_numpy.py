# SPDX-License-Identifier: BSD-3-Clause
"""NumPy arrays, scalars and dtypes as plain structures, for fingerprints.

Arrays with the same dtype, shape and elements have the same description, whatever their memory
order, strides or padding.  NumPy is used only if the program has imported it.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

_BLOCK_BYTES = 1 << 23
# Of the 16 bytes of an x86 long double, only 10 mean something.
_LONG_DOUBLE = (16, 10)


def describe_numpy(value: Any) -> object | None:
    """The description of an array, a scalar or a dtype; None for anything else."""
    np: Any = sys.modules.get("numpy")
    if np is None:
        return None
    if isinstance(value, np.ndarray):
        return _describe_array(np, value)
    if isinstance(value, np.generic):
        return type(value), _describe_plain(np, np.asarray(_one_nan(value)))
    if isinstance(value, np.dtype):
        return _describe_dtype(np, value)
    return None


def _one_nan(value: Any) -> Any:
    """All scalars that are NaN are one."""
    return type(value)("nan") if value.dtype.kind == "f" and value != value else value


def _describe_array(np: Any, array: Any) -> object:
    if isinstance(array, np.ma.MaskedArray):
        nothing = np.zeros((), array.dtype)[()]
        mask = np.ma.getmaskarray(array)
        plain = np.array(np.ma.getdata(array))
        if array.dtype.fields is None:
            plain[mask] = nothing
        return type(array), _describe_plain(np, plain), mask, array.fill_value
    plain = _describe_plain(np, array.view(np.ndarray))
    if array.__class__ is np.ndarray or isinstance(array, np.memmap):
        return plain
    return type(array), plain, dict(getattr(array, "__dict__", {}))


def _describe_plain(np: Any, array: Any) -> tuple[object, ...]:
    return _describe_dtype(np, array.dtype), array.shape, _content(np, array)


def _describe_dtype(np: Any, dtype: Any) -> object:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return _describe_dtype(np, base), shape
    if dtype.fields is not None:
        return [(name, _describe_dtype(np, dtype.fields[name][0])) for name in dtype.names]
    foreign = dtype.type.__module__ != "numpy"
    return f"{dtype.type.__module__}.{dtype.name}" if foreign else dtype.str


def _content(np: Any, array: Any) -> object:
    if array.dtype.fields is not None:
        return [_describe_plain(np, array[name]) for name in array.dtype.names]
    if array.dtype.hasobject or array.dtype.kind == "T":
        return array.reshape(-1).tolist()
    digest = hashlib.blake2b(digest_size=16)
    for block in _blocks(array):
        digest.update(_bytes(np, block))
    return digest.digest()


def _blocks(array: Any) -> list[Any]:
    """The array whole, or in slices so that no large copy is made of a scattered one."""
    if array.flags.c_contiguous or array.ndim == 0:
        return [array]
    rows = max(1, _BLOCK_BYTES * len(array) // max(array.nbytes, 1))
    return [array[start : start + rows] for start in range(0, len(array), rows)]


def _bytes(np: Any, block: Any) -> Any:
    """The elements in C order as a flat buffer."""
    if not block.nbytes:
        return b""
    flat = np.ascontiguousarray(block).reshape(-1).view("u1")
    if block.dtype.char in "gG" and np.finfo(block.dtype).nmant == 63:
        size, used = _LONG_DOUBLE
        flat = np.ascontiguousarray(flat.reshape(-1, size)[:, :used]).reshape(-1)
    return flat
