# SPDX-License-Identifier: BSD-3-Clause
"""When an entry expires: what ``expire=`` may be, as milliseconds since 1970."""

from __future__ import annotations

import math
import numbers
import time
from datetime import datetime, timedelta
from typing import Any

Expire = int | float | timedelta | datetime | None

NEVER = 0
GONE = 1  # one millisecond after 1970: past
_FARTHEST_S = 10**11  # about 3000 years


def deadline_ms(expire: Expire) -> int:
    """The deadline that ``expire`` means, counted from now; 0 is never.

    Args:
        expire: seconds from now, a timedelta from now, an aware datetime, or None for never.
            Zero, less, or a moment that has passed means gone at once.

    Raises:
        TypeError: it is something else.
        ValueError: a naive datetime, NaN, or more than 3000 years.
    """
    if expire is None:
        return NEVER
    now = time.time()
    moment = _moment(expire, now)
    if math.isnan(moment) or moment - now > _FARTHEST_S:
        raise ValueError(f"expire={expire!r} is no usable time: use None for never")
    return GONE if moment <= now else max(GONE, round(moment * 1000))


def _float(number: Any) -> float:
    if abs(number) > _FARTHEST_S:  # an int may be more than a float can be
        return math.inf if number > 0 else -math.inf
    return float(number)


def _moment(expire: Any, now: float) -> float:
    """Seconds since 1970."""
    if isinstance(expire, timedelta):
        return now + expire.total_seconds()
    if isinstance(expire, datetime):
        if expire.utcoffset() is None:
            raise ValueError(
                f"expire={expire!r} has no time zone, so it names no moment: use "
                "datetime.now(timezone.utc) + ..., or seconds"
            )
        return expire.timestamp()
    number: Any = expire if type(expire) is not bool else None
    if isinstance(number, numbers.Real):  # also those of NumPy
        return now + _float(number)
    raise TypeError(
        f"expire is a {type(expire).__name__}: give seconds, a timedelta, an aware datetime or None"
    )
