# SPDX-License-Identifier: BSD-3-Clause
"""A value that a command stores: waiting for it, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from plib_cache.serve.store import CAS, OK, SET
from plib_cache.serve.talk import BAD_CHUNK, NOT_BYTES, READ_ONLY, TOO_LARGE, Talk


class Order(NamedTuple):
    """What is to be stored, but for the value itself.

    ``always`` drops what was there also if another verb than SET brings a value that is too large.
    """

    verb: int
    key: bytes
    flags: int
    deadline_ms: int
    token: int
    binary: bool = False
    always: bool = False


Stored = Callable[[Talk, Order, int, int], None]  # gets the status, and the token of what is stored


def expect(talk: Talk, order: Order, length: int, stored: Stored) -> None:
    """Store what comes, if it may be stored; ``stored`` answers."""
    if talk.read_only:
        talk.say(READ_ONLY)
        talk.swallow(length)
    elif not talk.limits.fits(order.key, order.flags, length):
        talk.counts.store_too_large += 1
        talk.say(TOO_LARGE)
        talk.swallow(length)
        if order.verb == SET or order.always:  # what is out of date must not stay
            talk.store.delete(order.key)
    else:
        quiet = talk.noreply
        talk.take(length, lambda value: _arrived(talk, order, value, stored, quiet))


def _arrived(talk: Talk, order: Order, value: bytes | None, stored: Stored, quiet: bool) -> None:
    talk.noreply = quiet
    talk.counts.cmd_set += 1
    if value is None:
        talk.noreply = quiet and not order.always
        talk.say(BAD_CHUNK)
        return
    verb, key, flags, deadline_ms, token, binary, _ = order
    status, now = talk.store.put(verb, key, value, flags, deadline_ms, token, binary=binary)
    if verb == CAS:
        talk.counts.cas_hits += status == OK
        talk.counts.cas_misses += status == 1
        talk.counts.cas_badval += status == 2
    if status > 2:
        talk.say(NOT_BYTES)
    else:
        stored(talk, order, status, now)
