# SPDX-License-Identifier: BSD-3-Clause
"""``mg`` and ``me``: an entry and what is known of it; who is to renew it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from plib_cache._marked import STALE, STALE_WON, VACANT, VALUES, WON
from plib_cache.serve.metaflags import Flags, key_returned
from plib_cache.serve.store import EXISTS, MISS, Item, busy, now_ms
from plib_cache.serve.talk import BAD_FORMAT, READ_ONLY, Talk
from plib_cache.serve.words import decode_key, encode_key, seconds_left

_TRIES = 64
_HEADER = 56  # bytes that memcached adds to key and value


class _Seen(NamedTuple):
    """What one look has come to: the answer's first line, and what is to be changed."""

    line: bytes
    won: bool
    touched: bool


def get(talk: Talk, flags: Flags) -> None:
    """Answer ``mg``."""
    if talk.read_only and not flags.vacate is flags.touch is flags.renew is None:
        talk.say(READ_ONLY)
        return
    for _ in range(_TRIES):
        was_read = flags.was_read and talk.store.was_read(flags.key)
        item = talk.store.get(flags.key, notice=not flags.unnoticed)
        made = False
        if item is None and flags.vacate is not None:
            item = _make(talk, flags)
            if item is None:
                continue
            made = True
        if item is None:
            _missed(talk, flags)
            return
        seen = _look(talk, flags, item, made, was_read)
        if made or _settle(talk, flags, item, seen):
            _found(talk, flags, item, seen, made)
            return
    raise busy(flags.key)


def _make(talk: Talk, flags: Flags) -> Item | None:
    """An empty entry that the client is to fill; None: another one was faster."""
    status, token = talk.store.vacate(flags.key, flags.made_until, binary=flags.unspoken)
    if status == EXISTS:
        return None
    return Item(b"", 0, token, 0, flags.now, flags.unspoken, VACANT)


def _look(talk: Talk, flags: Flags, item: Item, made: bool, was_read: bool) -> _Seen:
    """What the flags ask for, in the order in which they were given."""
    parts = [b"VA %d" % len(item.value) if flags.value else b"HD"]
    won, told = False, item.won and not made
    for word in flags.words:
        letter = word[:1]
        if letter == b"T":
            item = item._replace(deadline_ms=flags.touch or 0)
        elif letter == b"N" and made:
            item, won = item._replace(deadline_ms=flags.vacate or 0), True
        elif letter == b"R" and not told and not made:
            won = won or _ends_before(item.deadline_ms, flags)
        elif letter == b"h":
            parts.append(b" h%d" % was_read)
        else:
            asked = _ASKED.get(letter)
            parts.append(asked(item, flags) if asked else flags.returned(word))
    if told:
        parts.append(b" Z")
    if item.stale:
        parts.append(b" X")
        won = won or (not told and not talk.read_only)
    if won:
        parts.append(b" W")
    return _Seen(b"".join(parts), won, flags.touch is not None)


_ASKED: dict[bytes, Callable[[Item, Flags], bytes]] = {
    b"s": lambda item, _: b" s%d" % len(item.value),
    b"t": lambda item, flags: b" t%d" % seconds_left(item.deadline_ms, flags.now),
    b"c": lambda item, _: b" c%d" % item.token,
    b"f": lambda item, _: b" f%d" % item.flags,
    b"l": lambda item, flags: b" l%d" % _age(item, flags.now),
    b"k": lambda item, flags: key_returned(flags.key, item.binary),
}


def _ends_before(deadline_ms: int, flags: Flags) -> bool:
    """Whether a life ends before the moment of R; in whole seconds, as clients see them."""
    if deadline_ms == 0 or not flags.renew:
        return False
    return seconds_left(deadline_ms, flags.now) < seconds_left(flags.renew, flags.now)


def _age(item: Item, now: int) -> int:
    """Seconds since it was stored: when it was read last is not kept."""
    return max(0, (now - item.created_ms) // 1000)


def _settle(talk: Talk, flags: Flags, item: Item, seen: _Seen) -> bool:
    """Change what is to be changed; False if the entry is another one now."""
    if seen.won:
        if item.type_code > VALUES:  # of somebody's own serializer: there is no code for it
            return True
        code = STALE_WON if item.type_code == STALE else item.type_code + WON
        status, _ = talk.store.remake(
            flags.key, item, item.value, code, deadline_ms=flags.touch, own=item.token
        )
        return status not in (MISS, EXISTS)  # what never changes cannot be marked
    return not seen.touched or talk.store.touch(flags.key, flags.touch or 0)


def _found(talk: Talk, flags: Flags, item: Item, seen: _Seen, made: bool) -> None:
    counts = talk.counts
    if seen.touched:
        counts.cmd_touch += 1
        counts.touch_hits += 1
    else:
        counts.cmd_get += 1
    counts.get_hits += not made
    talk.send(seen.line + b"\r\n")
    if flags.value:
        talk.send(item.value + b"\r\n")


def _missed(talk: Talk, flags: Flags) -> None:
    talk.counts.cmd_get += 1
    talk.counts.get_misses += 1
    if not flags.quiet:
        talk.say(b"EN" + b"".join(flags.returned(word) for word in flags.words))


def describe(talk: Talk, words: list[bytes]) -> None:
    """Answer ``me``."""
    talk.counts.cmd_meta += 1
    key: bytes | None = words[1]
    if len(words) > 2 and words[2] == b"b":
        key = decode_key(words[1])
    if key is None:
        talk.say(BAD_FORMAT)
        return
    item = talk.store.get(key, notice=False)
    if item is None:
        talk.say(b"EN")
        return
    now = now_ms()
    left = -1 if item.deadline_ms == 0 else -seconds_left(item.deadline_ms, now)
    talk.say(
        b"ME %s exp=%d la=%d cas=%d fetch=%s cls=1 size=%d"
        % (
            encode_key(key) if item.binary else key,
            left,
            _age(item, now),
            item.token,
            b"yes" if talk.store.was_read(key) else b"no",
            _HEADER + len(key) + len(item.value),
        )
    )
