# SPDX-License-Identifier: BSD-3-Clause
"""NumPy arrays as bytes, without pickle.

::

    OFFSET          SIZE    FIELD
    0               u8      flags: 1 = Fortran order, 2 = read-only
    1               u8      number of dimensions, n
    2               u16     length of the dtype string
    4               u32     0
    8               u64 x n shape
    8 + 8 n         ...     dtype string, as ``dtype.str`` gives it ("<f8", "<M8[ns]")
    aligned         ...     the elements

Aligned is a multiple of 4096 if the elements have 1 MiB or more, and of 64 if not.  All before
them is the head.  It is read once, for it may lie in memory that others can change; the elements
are used where they are.

Arrays that are not exactly ``numpy.ndarray``, hold objects, or whose dtype its string does not
describe (records, subarrays, types of other packages) are not encoded here.  NumPy is imported
by whoever reads an array, and never before.
"""

from __future__ import annotations

import functools
import importlib
import math
import operator
import re
import struct
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from plib_cache._frame import Encoded, damaged, padding
from plib_cache.exceptions import SerializationError

_FORTRAN = 1
_READ_ONLY = 2
_HEADER = struct.Struct("<BBHI")
_MAX_DIMENSIONS = 64
_SIMPLE_DTYPE = re.compile(r"[<>|=](?:[biufcSUV][0-9]{1,9}|[mM]8(?:\[[0-9]{0,9}[A-Za-z]{1,2}\])?)")


def numpy() -> Any:
    """NumPy, imported if it is not yet."""
    try:
        return sys.modules.get("numpy") or importlib.import_module("numpy")
    except ImportError as error:
        raise SerializationError(
            "the value is a NumPy array and NumPy is not installed here: pip install numpy"
        ) from error


def is_simple_array(value: Any) -> bool:
    """Whether ``value`` is exactly an array, and its dtype's string says everything about it."""
    np: Any = sys.modules.get("numpy")
    return bool(
        np is not None
        and value.__class__ is np.ndarray  # SharedArray says so, too
        and value.dtype.metadata is None
        and _is_simple_dtype(value.dtype)
    )


@functools.lru_cache(maxsize=256)
def _is_simple_dtype(dtype: Any) -> bool:
    simple = dtype.itemsize and not dtype.hasobject and _SIMPLE_DTYPE.fullmatch(dtype.str)
    return bool(simple) and bool(numpy().dtype(dtype.str) == dtype)


@functools.lru_cache(maxsize=256)
def _dtype_of(name: str) -> Any:
    return numpy().dtype(name)


def flat_bytes(array: Any) -> tuple[memoryview, bool]:
    """The elements as flat bytes, and whether they are in Fortran order; copied if scattered."""
    fortran = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
    flat = numpy().ascontiguousarray(array.reshape(-1, order="F" if fortran else "C"))
    return memoryview(flat.view("u1")), fortran


def _head_of(flags: int, shape: tuple[int, ...], dtype: Any, nbytes: int) -> bytes:
    """All that stands before elements of ``nbytes``."""
    name: bytes = dtype.str.encode("ascii")
    head = _HEADER.pack(flags, len(shape), len(name), 0)
    head += struct.pack(f"<{len(shape)}Q", *shape) + name
    return head + bytes(padding(len(head), nbytes))


def encode_array(type_code: int, array: Any) -> Encoded:
    """The frame of an array that has a simple dtype."""
    raw, fortran = flat_bytes(array)
    flags = (_FORTRAN if fortran else 0) | (0 if array.flags.writeable else _READ_ONLY)
    head = _head_of(flags, array.shape, array.dtype, raw.nbytes)
    return Encoded(type_code, [head, raw], len(head) + raw.nbytes)


class ArrayHead(NamedTuple):
    """What precedes the elements of an array that is yet to be filled, and how long those are."""

    head: bytes
    nbytes: int


def array_head(shape: int | Sequence[int], dtype: Any, order: str = "C") -> ArrayHead:
    """The head of an array of that shape, which any elements behind it make a whole value.

    Raises:
        TypeError: the dtype is none, or its string does not say all about it.
        ValueError: the shape, the size or the order make no array.
    """
    if order not in ("C", "F"):
        raise ValueError(f"order is {order!r}: pass 'C' (rows) or 'F' (columns)")
    lengths = _checked_shape(shape)
    exact = _checked_dtype(numpy().dtype(dtype))
    largest = math.prod(n for n in lengths if n) * exact.itemsize
    if largest > sys.maxsize:
        raise ValueError(
            f"shape {lengths} of {exact} is larger than any memory: give a smaller one"
        )
    nbytes = 0 if 0 in lengths else largest
    return ArrayHead(_head_of(_FORTRAN if order == "F" else 0, lengths, exact, nbytes), nbytes)


def _checked_shape(shape: Any) -> tuple[int, ...]:
    lengths: tuple[int, ...]
    try:
        lengths = (operator.index(shape),)
    except TypeError:
        lengths = tuple(map(operator.index, shape))
    if any(n < 0 for n in lengths):
        raise ValueError(f"a shape of {lengths} has a negative length: give 0 or more for each")
    if len(lengths) > _MAX_DIMENSIONS:
        raise ValueError(f"{len(lengths)} dimensions: give a shape of at most {_MAX_DIMENSIONS}")
    return lengths


def _checked_dtype(dtype: Any) -> Any:
    if dtype.hasobject:
        raise TypeError(
            f"elements of dtype {dtype} are Python objects, which cannot lie in shared memory: "
            "use a dtype of fixed size, or set() the array, which pickles it"
        )
    if not dtype.itemsize:
        raise TypeError(f"elements of dtype {dtype} have no size: say how long, as in 'U10'")
    if dtype.metadata is not None or not _is_simple_dtype(dtype):
        raise TypeError(
            f"the dtype {dtype} is more than a number, text, bytes or a date (fields, a shape, "
            f"metadata): take dtype 'V{dtype.itemsize}' and view(...) it, or set() the array"
        )
    return dtype


@functools.lru_cache(maxsize=256)
def _dtype_in_head(name: bytes) -> Any:
    text = name.decode("latin-1")
    if not _SIMPLE_DTYPE.fullmatch(text):
        raise damaged("the dtype of an array makes no sense")
    np = numpy()
    try:
        return np.dtype(text)
    except Exception as error:  # NumPy has many ways to say no.
        raise damaged(f"an array cannot be made ({error})") from error


class _Layout(NamedTuple):
    """What a head says, proved: the elements are all that is behind ``start``."""

    flags: int
    shape: tuple[int, ...]
    dtype: Any
    start: int


def _parse_head(data: memoryview) -> _Layout:
    """The layout of an array; all that it says was copied once, and fits ``data``."""
    try:
        _, ndim, length, _ = _HEADER.unpack_from(data)
    except struct.error as error:
        raise damaged("an array is shorter than its header") from error
    return _layout_of(bytes(data[: _HEADER.size + 8 * ndim + length]), len(data))


@functools.lru_cache(maxsize=256)
def _layout_of(head: bytes, nbytes: int) -> _Layout:
    """What a head says of so many bytes.  Proving it takes as long as a lease and an array do."""
    try:
        flags, ndim, length, zero = _HEADER.unpack_from(head)
        shape = struct.unpack_from(f"<{ndim}Q", head, _HEADER.size)
    except struct.error as error:
        raise damaged("an array is shorter than its header") from error
    if flags > _FORTRAN | _READ_ONLY or zero or ndim > _MAX_DIMENSIONS:
        raise damaged("the header of an array makes no sense")
    end = _HEADER.size + 8 * ndim + length
    dtype = _dtype_in_head(head[end - length : end])
    size = math.prod(shape) * dtype.itemsize
    start = end + padding(end, size)
    if end != len(head) or start + size != nbytes:
        raise damaged("an array contradicts its size")
    return _Layout(flags, shape, dtype, start)


def elements_of(data: memoryview) -> memoryview:
    """The elements as flat bytes, without copying."""
    return data[_parse_head(data).start :]


def decode_array(data: memoryview, cls: Any = None) -> Any:
    """The array over ``data``, without copying; writable if it was and the memory is.

    Args:
        cls: of the array; ``numpy.ndarray`` by default.
    """
    flags, shape, dtype, start = _parse_head(data)
    cls = numpy().ndarray if cls is None else cls
    try:
        array = cls(shape, dtype, data, start, None, "F" if flags & _FORTRAN else "C")
    except Exception as error:
        raise damaged(f"an array cannot be made ({error})") from error
    if flags & _READ_ONLY:
        array.setflags(write=False)
    return array


def array_over(data: memoryview, descr: Any, shape: tuple[int, ...], fortran: bool) -> Any:
    """An array of exactly the bytes ``data``; everything that does not fit is refused."""
    np = numpy()
    if len(shape) > _MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise damaged("the shape of an array makes no sense")
    try:
        simple = isinstance(descr, str)
        dtype = _dtype_of(descr) if simple else np.lib.format.descr_to_dtype(descr)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data):
            raise damaged("an array contradicts its size")
        return np.ndarray(shape, dtype, data, order="F" if fortran else "C")
    except SerializationError:
        raise
    except Exception as error:  # NumPy has many ways to say no.
        raise damaged(f"an array cannot be made ({error})") from error
