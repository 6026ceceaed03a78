# SPDX-License-Identifier: BSD-3-Clause
"""Values as bytes, and back.

A value that is read is equal to the value that was written and of the same type.  Each entry
carries one small number, the type code, that says how its bytes are to be read:

=========== ==  ==========================================================================
BYTES        0  the bytes themselves
STR          1  UTF-8; lone surrogates are encoded as if they were characters
INT          2  decimal ASCII, so that counters are readable by any memcached client
FLOAT        3  8 bytes, IEEE 754, little-endian; the sign of zero and NaN's payload stay
BOOL         4  one byte, 0 or 1
NONE         5  nothing
BYTEARRAY    6  the bytes
NDARRAY      7  a NumPy array without objects (``_ndarray``)
PICKLE5      8  a pickle and its buffers (``_frame``)
CLOUDPICKLE  9  the same, made by cloudpickle
DATA        10  the same, of plain data only (``_restricted``)
MEMORYVIEW  11  the bytes; only of flat views of bytes
MARKED      12  to 27: what clients of the network have marked (``_marked``)
=========== ==  ==========================================================================

The codes 0 to 7 and 11 are for exactly these types: an ``IntEnum`` or a subclass of ``str`` is
pickled.  An ``int`` of more than 2048 bits is pickled too, for its decimal form would be slow and
Python may refuse to read it.  A memoryview comes back as a memoryview; one with another format or
shape than flat bytes is refused.

Buffers and arrays begin at multiples of 64 from the start of the frame, those of 1 MiB or more at
multiples of 4096, and what is read lies over the memory that it is read from: it is writable if it
was when written and the memory is.  Everything else is copied before it is looked at, so that
memory which others change meanwhile gives a value or one error.

**In place.**  Over read-only memory nothing large is copied of NumPy arrays of any order, of their
subclasses and masked arrays, of Arrow data, and of what is made of them: DataFrames, sparse
matrices, models.  Copied are arrays of objects, which are pickled, and whatever a class itself
puts into its pickle (a column of str objects, scipy's lil and dok matrices, tensors of torch,
frames of polars).  An array that is not contiguous is stored contiguously, and a slice of Arrow
data without the rest of what it was cut from unless it is most of that.

**Trust.**  With ``trust="code"`` a reader runs code that the writer chose, as pickle always does.
With ``trust="data"`` values are scalars, str, bytes, bytearray, complex, range, dates and times,
Decimal, Fraction, UUID, NumPy arrays and scalars without objects, Arrow tables, batches and
arrays, and list, tuple, dict, set and frozenset of them; everything else is refused, at writing
and at reading.  Arrow data is validated when it is read; who can write past this package into
memory that is used in place can change it behind that check, and crash the reader.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from plib_cache import _ndarray, _pickling
from plib_cache._frame import Encoded, build_frame, damaged, parse_frame
from plib_cache._marked import plain_code
from plib_cache.exceptions import ConfigurationError, SerializationError

__all__ = [
    "DefaultSerializer",
    "Encoded",
    "Serializer",
    "Trust",
    "TypeCode",
    "buffer_of",
    "default_serializer",
]

Trust = Literal["code", "data"]
Decoders = Mapping[int, Callable[[memoryview], object]]


class TypeCode(enum.IntEnum):
    """How the bytes of an entry are to be read; the numbers are part of the stored format."""

    BYTES = 0
    STR = 1
    INT = 2
    FLOAT = 3
    BOOL = 4
    NONE = 5
    BYTEARRAY = 6
    NDARRAY = 7
    PICKLE5 = 8
    CLOUDPICKLE = 9
    DATA = 10
    MEMORYVIEW = 11


FIRST_OWNED_TYPE = 7  # values of type codes from here on may be kept and written to


class Serializer(Protocol):
    """Turns values into bytes and back.

    To write one: give it a ``name``, and make ``loads(*dumps(value))`` give the value back, where
    ``data`` is the concatenation of the parts.  Both raise ``SerializationError`` and nothing
    else.  Both are called by several threads at once.
    """

    name: str

    def dumps(self, value: object) -> Encoded:
        """The value as a type code (0 to 255) and parts that lie behind one another."""

    def loads(self, type_code: int, data: memoryview) -> object:
        """The value; it may keep ``data``, which nobody else writes to."""


# Python refuses decimals of more than 640 digits if told to, and 4300 by default.
_INT_BITS = 2048
_DECIMAL = re.compile(rb"-?[0-9]{1,640} *")  # memcached pads a counter that lost a digit
_FLOAT = struct.Struct("<d")


def _encode_int(value: int) -> bytes | None:
    return b"%d" % value if value.bit_length() <= _INT_BITS else None


def _encode_view(value: memoryview) -> memoryview:
    if value.format != "B" or value.ndim != 1 or not value.contiguous:
        raise SerializationError(
            "a memoryview can be stored only if it is flat bytes: "
            "store bytes(view), or numpy.asarray(view) to keep its shape"
        )
    return value


# By exact type: the code, and a function that gives the bytes or None to have it pickled.
_SCALARS: dict[type, tuple[TypeCode, Callable[[Any], bytes | memoryview | None]]] = {
    bytes: (TypeCode.BYTES, lambda value: value),
    str: (TypeCode.STR, lambda value: value.encode("utf-8", "surrogatepass")),
    int: (TypeCode.INT, _encode_int),
    float: (TypeCode.FLOAT, _FLOAT.pack),
    bool: (TypeCode.BOOL, lambda value: b"\1" if value else b"\0"),
    type(None): (TypeCode.NONE, lambda value: b""),
    bytearray: (TypeCode.BYTEARRAY, memoryview),
    memoryview: (TypeCode.MEMORYVIEW, _encode_view),
}


def _decode_bytes(data: memoryview) -> bytes:
    """The bytes, which nobody can change from here on."""
    whole = data.obj
    return whole if type(whole) is bytes and len(whole) == len(data) else bytes(data)


def _decode_str(data: memoryview) -> str:
    try:
        return str(_decode_bytes(data), "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise damaged(f"a str is not UTF-8 ({error})") from error


def _decode_int(data: memoryview) -> int:
    digits = _decode_bytes(data)
    if not _DECIMAL.fullmatch(digits):
        raise damaged("an int is not a decimal number")
    return int(digits)


def _decode_float(data: memoryview) -> float:
    if len(data) != _FLOAT.size:
        raise damaged(f"a float has {len(data)} bytes")
    number: float = _FLOAT.unpack(data)[0]
    return number


def _decode_bool(data: memoryview) -> bool:
    raw = _decode_bytes(data)
    if raw not in (b"\0", b"\1"):
        raise damaged("a bool is neither 0 nor 1")
    return raw == b"\1"


def _decode_none(data: memoryview) -> None:
    if len(data):
        raise damaged(f"None has {len(data)} bytes")


def _decode_pickle(data: memoryview) -> object:
    return _pickling.load(*parse_frame(data))


def _decode_plain(data: memoryview) -> object:
    from plib_cache._restricted import load_plain  # with all the types that it may name

    return load_plain(*parse_frame(data))


DECODERS: Decoders = {
    TypeCode.BYTES: _decode_bytes,
    TypeCode.STR: _decode_str,
    TypeCode.INT: _decode_int,
    TypeCode.FLOAT: _decode_float,
    TypeCode.BOOL: _decode_bool,
    TypeCode.NONE: _decode_none,
    TypeCode.BYTEARRAY: bytearray,
    TypeCode.NDARRAY: _ndarray.decode_array,
    TypeCode.PICKLE5: _decode_pickle,
    TypeCode.CLOUDPICKLE: _decode_pickle,
    TypeCode.DATA: _decode_plain,
    TypeCode.MEMORYVIEW: lambda data: data,
}
_FLAT = frozenset({TypeCode.BYTES, TypeCode.STR, TypeCode.BYTEARRAY, TypeCode.MEMORYVIEW})
_CODE = frozenset({TypeCode.PICKLE5, TypeCode.CLOUDPICKLE})


class DefaultSerializer:
    """The serializer of a cache that was given none.

    Args:
        trust: "code" stores any picklable value; "data" neither stores nor reads what would need
            code to be read.
        pickle_max: refuse what is pickled to more bytes than that, buffers not counted: values
            that would be rebuilt by copying. None: store them as well.

    It has no state: one serves any number of threads and processes.
    """

    def __init__(self, trust: Trust = "code", *, pickle_max: int | None = None) -> None:
        if trust not in ("code", "data"):
            raise ConfigurationError(f"trust is {trust!r}: pass 'code' or 'data'")
        self.trust: Trust = trust
        self.pickle_max = pickle_max
        self.name = f"default-{trust}"

    def __repr__(self) -> str:
        return f"DefaultSerializer(trust={self.trust!r})"

    def dumps(self, value: object) -> Encoded:
        """The type code and the bytes of ``value``.

        Raises:
            SerializationError: it cannot be pickled, its pickle is too long, or it is not plain
                data with trust="data".
        """
        known = _SCALARS.get(type(value))
        if known is not None:
            raw = known[1](value)
            if raw is not None:
                return Encoded(known[0], [raw], len(raw))
        if _ndarray.is_simple_array(value):
            return _ndarray.encode_array(TypeCode.NDARRAY, value)
        if self.trust == "data":
            from plib_cache._restricted import dump_plain

            return build_frame(TypeCode.DATA, *dump_plain(value))
        pickled = _pickling.dump(value, self.pickle_max)
        code = TypeCode.CLOUDPICKLE if pickled.by_value else TypeCode.PICKLE5
        return build_frame(code, pickled.payload, pickled.buffers)

    def loads(self, type_code: int, data: memoryview, decoders: Decoders = DECODERS) -> object:
        """The value that ``data``, flat bytes, holds; it may keep ``data``.

        Args:
            decoders: what makes a value, by type code.

        Raises:
            SerializationError: the bytes are damaged, need a class that is missing here, or need
                code while trust="data".
        """
        type_code = plain_code(type_code)
        if (decode := decoders.get(type_code)) is None:
            raise damaged(f"there is no type code {type_code}")
        if type_code in _CODE and self.trust == "data":
            raise SerializationError(
                "the value needs code to be read, and this cache was opened with trust='data': "
                "write it again with trust='data', or open with trust='code'"
            )
        return decode(data)


def buffer_of(type_code: int, data: memoryview) -> memoryview:
    """What a value that the default serializer made has of bytes, over ``data`` without copying.

    These are the bytes of bytes, bytearray and memoryview, the UTF-8 of a str, and the elements
    of an array, in its order.

    Raises:
        TypeError: the value is of another type.
        SerializationError: the bytes are damaged, or an array is read without NumPy.
    """
    type_code = plain_code(type_code)
    if type_code in _FLAT:
        return data
    if type_code == TypeCode.NDARRAY:
        return _ndarray.elements_of(data)
    kind = TypeCode(type_code).name if type_code in DECODERS else f"type code {type_code}"
    raise TypeError(
        f"only bytes, str and arrays can be viewed as bytes, and this is another value ({kind}): "
        "use get(key, copy=False), which rebuilds such a value in place"
    )


def default_serializer(trust: Trust = "code") -> DefaultSerializer:
    """The serializer of a cache that was given none."""
    return DefaultSerializer(trust)
