# SPDX-License-Identifier: BSD-3-Clause
"""A value that a command stores: waiting for it, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable

from plib_cache.serve.talk import BAD_CHUNK, READ_ONLY, TOO_LARGE, Talk


def expect(
    talk: Talk, key: bytes, flags: int, length: int, drop: bool, arrived: Callable[[bytes], None]
) -> None:
    """Have ``arrived`` called with a value of ``length`` bytes, if it may be stored.

    Args:
        drop: what is there of the key is out of date, also if the new value is too large.
    """
    if talk.read_only:
        talk.say(READ_ONLY)
        talk.swallow(length)
        return
    if not talk.limits.fits(key, flags, length):
        talk.counts.store_too_large += 1
        talk.say(TOO_LARGE)
        talk.swallow(length)
        if drop:
            talk.store.delete(key)
        return
    quiet = talk.noreply

    def finish(value: bytes | None) -> None:
        talk.noreply = quiet
        talk.counts.cmd_set += 1
        if value is None:
            talk.say(BAD_CHUNK)
        else:
            arrived(value)

    talk.take(length, finish)
