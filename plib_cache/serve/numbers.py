# SPDX-License-Identifier: BSD-3-Clause
"""Counting: numbers in decimal digits that clients and Python count up and down."""

from __future__ import annotations

import re
from typing import NamedTuple

from plib_cache._marked import STALE, STALE_WON, VACANT, WON
from plib_cache.serve.store import EXISTS, MISS, OK, Item, Store, busy

_DIGITS = re.compile(rb"([0-9]{1,20}) *\Z").match  # as the core reads them
_TRIES = 64
_COUNTABLE = frozenset({0, 1, 2, WON, WON + 1, WON + 2, STALE, STALE_WON, VACANT})
_U64 = 1 << 64


class Counted(NamedTuple):
    """What counting has come to; ``status`` is OK, MISS or EXISTS (another token).

    The deadline is the one that it had before, in milliseconds since 1970.
    """

    status: int
    number: int = 0
    token: int = 0
    deadline_ms: int = 0


def count(store: Store, key: bytes, delta: int, down: bool) -> int | None:
    """Count a number up or down; None if there is none.

    Raises:
        ValueError: it is no number.
    """
    region = store.cache._region
    try:
        return region.incr(key, delta, down=down)
    except ValueError:
        item = store.get(key, notice=False)
        if item is None or item.type_code < STALE:
            raise
    done = count_seen(store, key, delta, down)  # it is marked
    return done.number if done.status == OK else None


def count_seen(
    store: Store,
    key: bytes,
    delta: int,
    down: bool,
    *,
    token: int = 0,
    own: int = 0,
    deadline_ms: int | None = None,
) -> Counted:
    """As ``count``, of a number that has a token (0: any), and says what it is then.

    Args:
        own: the token that it gets, 0: one of the region's.
        deadline_ms: its new deadline; None leaves it.
    """
    for _ in range(_TRIES):
        item = store.get(key, notice=False)
        if item is None:
            return Counted(MISS)
        if token and item.token != token and item.value:
            return Counted(EXISTS)
        before = _number(item)
        number = max(0, before - delta) if down else (before + delta) % _U64
        status, stored = store.remake(
            key, item, b"%d" % number, item.type_code, own=own, deadline_ms=deadline_ms
        )
        if status == OK:
            return Counted(OK, number, stored, item.deadline_ms)
    raise busy(key)


def _number(item: Item) -> int:
    digits = _DIGITS(item.value) if item.type_code in _COUNTABLE else None
    if digits is None or int(digits[1]) >= _U64:
        raise ValueError("it is no number")
    return int(digits[1])
