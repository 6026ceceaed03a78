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
    try:
        if deadline is not None:
            found = [talk.store.get_touch(keys[0], deadline)]
        else:
            found = talk.store.get_many(keys, room)
    except BaseException:
        keys.clear()  # there is one answer to all of them: the error
        raise
    hits = 0
    for key, item in zip(keys, found, strict=False):
        if item is not None:
            hits += 1
            talk.send(value(key, item, tokens))
    del keys[: len(found)]
    _count(talk, len(found), hits, touched=deadline is not None)
    if not keys:
        talk.send(END)


def _count(talk: Talk, asked: int, hits: int, *, touched: bool) -> None:
    counts = talk.counts
    counts.get_hits += hits
    if touched:
        counts.cmd_touch += asked
        counts.touch_hits += hits
        counts.touch_misses += asked - hits
    else:
        counts.cmd_get += asked
        counts.get_misses += asked - hits


def quick(talk: Talk, data: bytes | bytearray, at: int, room: int) -> tuple[bytes, int]:
    """Answer the gets that begin there, as far as they are usual, in one call of the core.

    Returns:
        The answer, and where the next command begins; nothing and ``at`` if nothing is usual.
    """
    answer, after, lines, hits, misses = talk.store.answer(data, at, room)
    if lines:
        counts = talk.counts
        counts.cmd_get += hits + misses
        counts.get_hits += hits
        counts.get_misses += misses
    return answer, after
