# SPDX-License-Identifier: BSD-3-Clause
"""The answers to gets, which are most of what a server does."""

from __future__ import annotations

from plib_cache.serve.store import Item
from plib_cache.serve.talk import Talk

END = b"END\r\n"


def value(key: bytes, item: Item, tokens: bool) -> bytes:
    """One value, as a get answers it."""
    if tokens:
        head = b"VALUE %s %d %d %d\r\n" % (key, item.flags, len(item.value), item.token)
    else:
        head = b"VALUE %s %d %d\r\n" % (key, item.flags, len(item.value))
    return b"%s%s\r\n" % (head, item.value)


def values(talk: Talk, keys: list[bytes], room: int, tokens: bool, deadline: int | None) -> None:
    """Answer the first of these keys, which are taken from the list, and the end after the last.

    Args:
        room: bytes that the answer should not be longer than; it has at least one of the keys.
        deadline: the new one of what is found; None leaves it.
    """
    if deadline is not None:
        _touched(talk, keys.pop(0), tokens, deadline)
    else:
        try:
            found = talk.store.get_many(keys, room)
        except BaseException:
            keys.clear()
            raise
        hits = 0
        for key, item in zip(keys, found, strict=False):
            if item is not None:
                hits += 1
                talk.send(value(key, item, tokens))
        del keys[: len(found)]
        counts = talk.counts
        counts.cmd_get += len(found)
        counts.get_hits += hits
        counts.get_misses += len(found) - hits
    if not keys:
        talk.send(END)


def _touched(talk: Talk, key: bytes, tokens: bool, deadline: int) -> None:
    item = talk.store.get_touch(key, deadline)
    counts = talk.counts
    counts.cmd_touch += 1
    if item is None:
        counts.touch_misses += 1
    else:
        counts.touch_hits += 1
        counts.get_hits += 1
        talk.send(value(key, item, tokens))


def quick(talk: Talk, data: bytearray, at: int) -> int:
    """Answer the gets that begin there, as far as they are usual; where the next command begins."""
    return at
