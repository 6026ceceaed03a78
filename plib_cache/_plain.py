# SPDX-License-Identifier: BSD-3-Clause
"""The types of plain data beyond what a pickle has opcodes for, and how each is rebuilt.

A ``Constructor`` is all that a pickle of plain data may name.  It checks its arguments, and
nothing can be set on it, so that no pickle can change what it does.  The name of this module and
those of its constructors are part of the stored format: new ones may come, none may change.

To add a type: write a function that rebuilds it from scalars, strings and bytes, make a
constructor of it, and enter the type in ``REDUCERS``.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import pickle
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from plib_cache._arrow import arrow_from_stream, arrow_to_stream
from plib_cache._frame import damaged
from plib_cache._ndarray import array_over, flat_bytes, numpy
from plib_cache.exceptions import SerializationError

Reduced = tuple["Constructor", tuple[object, ...]]


class Constructor:
    """A function that a pickle of plain data may call, with arguments of fixed types."""

    __slots__ = ("_function", "_optional", "_types", "name")

    name: str
    _function: Callable[..., object]
    _types: tuple[Any, ...]
    _optional: int

    def __init__(
        self, name: str, function: Callable[..., object], *types: Any, optional: int = 0
    ) -> None:
        for slot, value in zip(self.__slots__, (function, optional, types, name), strict=True):
            object.__setattr__(self, slot, value)

    def __call__(self, *args: object) -> object:
        """Rebuild a value; wrong arguments are damage."""
        count = len(args)
        if not len(self._types) - self._optional <= count <= len(self._types):
            raise damaged(f"{self.name} takes other than {count} arguments")
        if not all(map(isinstance, args, self._types)):
            raise damaged(f"{self.name} takes arguments of other types")
        return self._function(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Constructor cannot be changed")

    def __setstate__(self, state: object) -> None:
        raise damaged("a pickle tries to change how values are rebuilt")


def _make_zone(key: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(key)


def _make_uuid(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def _make_array(descr: Any, shape: Any, fortran: bool, raw: Any) -> Any:
    return array_over(memoryview(raw), descr, shape, fortran)


def _make_scalar(descr: Any, raw: Any) -> Any:
    array = array_over(memoryview(raw), descr, (), False)
    return numpy().array(array)[()]


_DESCR = (str, list, tuple)
_RAW = (bytes, bytearray, memoryview)

make_complex = Constructor("make_complex", complex, float, float)
make_range = Constructor("make_range", range, int, int, int)
make_date = Constructor("make_date", dt.date, bytes)
make_time = Constructor("make_time", dt.time, bytes, dt.tzinfo, optional=1)
make_datetime = Constructor("make_datetime", dt.datetime, bytes, dt.tzinfo, optional=1)
make_timedelta = Constructor("make_timedelta", dt.timedelta, int, int, int)
make_timezone = Constructor("make_timezone", dt.timezone, dt.timedelta, str, optional=1)
make_zone = Constructor("make_zone", _make_zone, str)
make_decimal = Constructor("make_decimal", decimal.Decimal, str)
make_fraction = Constructor("make_fraction", fractions.Fraction, int, int)
make_uuid = Constructor("make_uuid", _make_uuid, int)
make_array = Constructor("make_array", _make_array, _DESCR, tuple, bool, _RAW)
make_scalar = Constructor("make_scalar", _make_scalar, _DESCR, _RAW)
make_arrow = Constructor("make_arrow", arrow_from_stream, str, _RAW)

CONSTRUCTORS = {
    constructor.name: constructor
    for constructor in (
        make_complex,
        make_range,
        make_date,
        make_time,
        make_datetime,
        make_timedelta,
        make_timezone,
        make_zone,
        make_decimal,
        make_fraction,
        make_uuid,
        make_array,
        make_scalar,
        make_arrow,
    )
}


def _zone_arguments(zone: zoneinfo.ZoneInfo) -> tuple[object, ...]:
    if zone.key is None:
        raise SerializationError("a ZoneInfo made from a file has no key: use ZoneInfo(its name)")
    return (zone.key,)


def _own_arguments(value: Any) -> tuple[object, ...]:
    """What date and time types themselves hand to pickle."""
    arguments: tuple[object, ...] = value.__reduce_ex__(5)[1]
    return arguments


REDUCERS: dict[type, tuple[Constructor, Callable[[Any], tuple[object, ...]]]] = {
    complex: (make_complex, lambda value: (value.real, value.imag)),
    range: (make_range, lambda value: (value.start, value.stop, value.step)),
    dt.date: (make_date, _own_arguments),
    dt.time: (make_time, _own_arguments),
    dt.datetime: (make_datetime, _own_arguments),
    dt.timedelta: (make_timedelta, lambda value: (value.days, value.seconds, value.microseconds)),
    dt.timezone: (make_timezone, lambda value: value.__getinitargs__()),
    zoneinfo.ZoneInfo: (make_zone, _zone_arguments),
    decimal.Decimal: (make_decimal, lambda value: (str(value),)),
    fractions.Fraction: (make_fraction, lambda value: (value.numerator, value.denominator)),
    uuid.UUID: (make_uuid, lambda value: (value.int,)),
}


def reduce_numpy(value: Any) -> Reduced | None:
    """How an exact NumPy array or a NumPy scalar is rebuilt; None if it is neither."""
    np = numpy()
    scalar = isinstance(value, np.generic)
    if not scalar and value.__class__ is not np.ndarray:  # SharedArray says so, too
        return None
    descr = _checked_descr(np, value.dtype)
    if scalar:
        return make_scalar, (descr, value.tobytes()[: value.dtype.itemsize])
    raw, fortran = flat_bytes(value)
    buffer = pickle.PickleBuffer(raw if value.flags.writeable else raw.toreadonly())
    return make_array, (descr, value.shape, fortran, buffer)


def _checked_descr(np: Any, dtype: Any) -> Any:
    """The dtype as strings, lists and tuples."""
    if not dtype.hasobject and dtype.metadata is None:
        descr = np.lib.format.dtype_to_descr(dtype)
        if np.lib.format.descr_to_dtype(descr) == dtype:
            return descr
    raise SerializationError(
        f"NumPy data of dtype {dtype} cannot be stored with trust='data': "
        "convert it to a dtype without objects, or open the cache with trust='code'"
    )


def reduce_arrow(kind: str, value: object) -> Reduced:
    """How Arrow data is rebuilt."""
    return make_arrow, (kind, pickle.PickleBuffer(arrow_to_stream(kind, value)))
