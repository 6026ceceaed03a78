# SPDX-License-Identifier: BSD-3-Clause
"""Arrays in pickles, with their elements outside, so that they can be used in place.

NumPy itself leaves out the elements of plain contiguous arrays.  Dates, subclasses, masked arrays
and scattered arrays it writes into the pickle, from where every reader has to copy them; these go
the way that is described here, and are rebuilt over whatever memory the buffer lies in.

Objects cannot lie in shared memory, so arrays that hold some are pickled.  A subclass that says
itself how it is pickled is stored as it says.

PyArrow leaves out all of its buffers, but whole: of a slice, those of what it was cut from.  Where
that is more than twice of what the slice has, the slice is copied when it is stored.

The names of this module, of ``make_array`` and of ``make_masked`` are part of the stored format.
"""

from __future__ import annotations

import contextlib
import copyreg
import pickle
import sys
from typing import Any

from plib_cache._ndarray import flat_bytes, numpy

_METHODS = ("__reduce__", "__reduce_ex__", "__setstate__")
_WORTH_COPYING = 4096  # bytes of a slice's buffers; below, copying takes longer than storing


def make_array(cls: Any, dtype: Any, shape: tuple[int, ...], fortran: bool, raw: Any) -> Any:
    """The array over ``raw``; read-only if that is."""
    return numpy().ndarray.__new__(cls, shape, dtype, raw, order="F" if fortran else "C")


def make_masked(cls: Any, data: Any, mask: Any, fill_value: Any, hard: bool) -> Any:
    """The masked array of ``data`` and ``mask``, neither of them copied."""
    ma = numpy().ma
    mask = ma.nomask if mask is None else mask
    array = ma.MaskedArray.__new__(cls, data, mask=mask, keep_mask=False, hard_mask=hard)
    array.fill_value = fill_value
    return array


def reduce_array(value: object) -> Any:
    """How an array is rebuilt that its own package would copy; NotImplemented for all others."""
    np: Any = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.ndarray):
        return _reduce_numpy(np, value)
    if type(value).__module__ == "pyarrow.lib":
        return _reduce_arrow(sys.modules["pyarrow"], value)
    return NotImplemented


def _reduce_numpy(np: Any, value: Any) -> Any:
    cls = np.ndarray if value.__class__ is np.ndarray else type(value)  # SharedArray says so, too
    dtype = value.dtype
    if dtype.hasobject or not dtype.itemsize or cls in copyreg.dispatch_table:
        return NotImplemented
    if cls is np.ndarray and value.flags.forc and not _holds_dates(dtype):
        return NotImplemented
    if _inherits(cls, np.ndarray, _METHODS):
        return _reduce_plain(np, cls, value)
    if isinstance(value, np.ma.MaskedArray) and _inherits(
        cls, np.ma.MaskedArray, (*_METHODS, "__getstate__", "__new__")
    ):
        mask = None if value.mask is np.ma.nomask else value.mask
        return make_masked, (cls, value.data, mask, value._fill_value, value.hardmask)
    return NotImplemented


def _inherits(cls: Any, base: Any, names: tuple[str, ...]) -> bool:
    return all(getattr(cls, name) is getattr(base, name) for name in names)


def _holds_dates(dtype: Any) -> bool:
    """Whether NumPy hands out no buffer of such elements."""
    if dtype.kind != "V":
        return dtype.kind in "mM"
    if dtype.subdtype:
        return _holds_dates(dtype.subdtype[0])
    return any(_holds_dates(field[0]) for field in (dtype.fields or {}).values())


def _reduce_plain(np: Any, cls: Any, value: Any) -> Any:
    raw, fortran = flat_bytes(np.ndarray.view(value, np.ndarray))
    buffer = pickle.PickleBuffer(raw if value.flags.writeable else raw.toreadonly())
    return make_array, (cls, value.dtype, value.shape, fortran, buffer)


def _reduce_arrow(pa: Any, value: Any) -> Any:
    """Tables, batches and chunks are made of arrays, each of which comes here."""
    if not isinstance(value, pa.Array):
        return NotImplemented
    whole = value.get_total_buffer_size()
    if whole >= _WORTH_COPYING and 2 * value.nbytes < whole:
        with contextlib.suppress(pa.ArrowException):  # not all types can be concatenated
            return pa.concat_arrays([value]).__reduce__()
    return NotImplemented
