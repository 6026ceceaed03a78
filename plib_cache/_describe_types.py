# SPDX-License-Identifier: BSD-3-Clause
"""Types of the standard library whose values are described each in its own way.

It is imported when the first value is met that is neither a scalar nor a plain container: these
modules take longer to import than all of plib_cache that a program needs at once.
"""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import fractions
import functools
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from plib_cache._describe import NotDescribableError


def _zone(zone: zoneinfo.ZoneInfo) -> object:
    if zone.key is None:
        raise NotDescribableError
    return zone.key


def _deque(value: collections.deque[Any]) -> object:
    return list(value), value.maxlen


# By exact type: the description. The name of the type is added by the caller.
DESCRIPTIONS: dict[type, Callable[[Any], object]] = {
    bytearray: bytes,
    memoryview: lambda v: (v.tobytes(), v.format, v.shape),
    array.array: lambda v: (v.typecode, v.tobytes()),
    range: lambda v: (v.start, v.stop, v.step),
    slice: lambda v: (v.start, v.stop, v.step),
    type(Ellipsis): lambda v: None,
    type(NotImplemented): lambda v: None,
    dt.date: lambda v: v.isoformat(),
    dt.datetime: lambda v: (v.replace(tzinfo=None).isoformat(), v.fold, v.tzinfo),
    dt.time: lambda v: (v.replace(tzinfo=None).isoformat(), v.fold, v.tzinfo),
    dt.timedelta: lambda v: (v.days, v.seconds, v.microseconds),
    dt.timezone: lambda v: (v.utcoffset(None), v.tzname(None)),
    zoneinfo.ZoneInfo: _zone,
    decimal.Decimal: str,
    fractions.Fraction: lambda v: (v.numerator, v.denominator),
    uuid.UUID: lambda v: v.int,
    re.Pattern: lambda v: (v.pattern, v.flags),
    collections.deque: _deque,
    collections.OrderedDict: lambda v: list(v.items()),
    collections.defaultdict: lambda v: (v.default_factory, dict(v)),
    collections.Counter: dict,
    types.MappingProxyType: dict,
    types.SimpleNamespace: lambda v: dict(vars(v)),
    types.ModuleType: lambda v: v.__name__,
    functools.partial: lambda v: (v.func, v.args, v.keywords),
    types.MethodType: lambda v: (v.__func__, v.__self__),
}
