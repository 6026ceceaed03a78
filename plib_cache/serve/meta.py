# SPDX-License-Identifier: BSD-3-Clause
"""memcached's meta commands but ``mg``: how they are checked, and what they change."""

from __future__ import annotations

from functools import partial

from plib_cache._marked import STALE, STALE_WON
from plib_cache.serve import metaget
from plib_cache.serve.limits import KEY_MAX
from plib_cache.serve.metaflags import TOO_LONG, WORDS_MOST, BadFlagError, Flags, parse
from plib_cache.serve.numbers import Counted, count_seen
from plib_cache.serve.store import (
    ADD,
    APPEND,
    CAS,
    EXISTS,
    MISS,
    OK,
    PREPEND,
    REPLACE,
    SET,
    WRONG_TYPE,
    busy,
)
from plib_cache.serve.storing import expect
from plib_cache.serve.talk import BAD_FORMAT, NOT_A_NUMBER, NOT_BYTES, READ_ONLY, Command, Talk
from plib_cache.serve.words import s32, seconds_left

_TRIES = 64
_INT_MAX = 2**31 - 1
_VERBS = {b"": SET, b"S": SET, b"E": ADD, b"A": APPEND, b"P": PREPEND, b"R": REPLACE}
_DOWN = {b"": False, b"I": False, b"+": False, b"D": True, b"-": True}
_NS, _EX, _NF, _HD = b"NS", b"EX", b"NF", b"HD"


def _noop(talk: Talk, _words: list[bytes]) -> None:
    talk.say(b"MN")


def _flags(talk: Talk, words: list[bytes], error: bytes | None) -> Flags | None:
    """The flags of a command that has no value; None: an error was answered.

    Args:
        error: the answer to any wrong flag; None: the one that says what is wrong.
    """
    if len(words) < 2:
        talk.say(b"ERROR")
    elif len(words[1]) > KEY_MAX:
        talk.say(BAD_FORMAT)
    elif len(words) > WORDS_MOST:
        are = b"are " if error is None else b""
        talk.say(b"CLIENT_ERROR options flags " + are + b"too long")
    else:
        try:
            flags = parse(words, 2)
        except BadFlagError as wrong:
            talk.say(error or wrong.args[0])
            return None
        if flags.opaque_fits:
            return flags
        talk.say(TOO_LONG)
    return None


def _answer(flags: Flags, code: bytes) -> bytes:
    """A line that only gives back what the client wants back."""
    return code + b"".join(flags.returned(word) for word in flags.words)


# ---- mg, me


def _get(talk: Talk, words: list[bytes]) -> None:
    flags = _flags(talk, words, None)
    if flags is not None:
        metaget.get(talk, flags)


def _describe(talk: Talk, words: list[bytes]) -> None:
    if len(words) < 2 or len(words[1]) > KEY_MAX:
        talk.say(BAD_FORMAT)
    else:
        metaget.describe(talk, words)


# ---- ms


def _set(talk: Talk, words: list[bytes]) -> None:
    if len(words) < 2:
        talk.say(b"ERROR")
        return
    length = s32(words[2]) if len(words) > 2 else None
    if len(words[1]) > KEY_MAX or len(words) == 2:
        talk.say(BAD_FORMAT)
    elif len(words) > WORDS_MOST:
        talk.say(b"CLIENT_ERROR options flags too long")
    elif length is None or not 0 <= length <= _INT_MAX - 2:
        talk.say(BAD_FORMAT)
    else:
        try:
            flags = parse(words, 3)
            if flags.mode not in _VERBS:
                raise BadFlagError(b"CLIENT_ERROR invalid mode for ms M token")
            if not flags.opaque_fits:
                raise BadFlagError(TOO_LONG)
        except BadFlagError as wrong:
            talk.say(wrong.args[0])
            talk.swallow(length)
            return
        arrived = partial(_store, talk, flags)
        expect(talk, flags.key, flags.flags, length, True, arrived)


def _store(talk: Talk, flags: Flags, value: bytes) -> None:
    verb = _VERBS[flags.mode]
    length = len(value)
    if verb in (APPEND, PREPEND) and (flags.token or b"s" in flags.words):
        seen = flags.token or 0
        status, stored, length = talk.store.extend(verb, flags.key, value, seen, own=flags.own)
    elif flags.token is not None and verb in (SET, REPLACE):
        status, stored = _store_seen(talk, flags, value)
        talk.counts.cas_hits += status == OK
        talk.counts.cas_misses += status == MISS
        talk.counts.cas_badval += status == EXISTS
        verb = CAS
    else:
        status, stored = _put(talk, flags, verb, value)
    if status == WRONG_TYPE:
        talk.say(NOT_BYTES)
        return
    missing = _NF if verb == CAS else _NS
    exists = _NS if verb == ADD else _EX
    code = {OK: _HD, MISS: missing, EXISTS: exists}[status]
    if status == OK and flags.quiet:
        return
    parts = [code]
    for word in flags.words:
        if word[:1] == b"c":
            parts.append(b" c%d" % stored)
        elif word[:1] == b"s":
            parts.append(b" s%d" % (length or len(value)))
        else:
            parts.append(flags.returned(word))
    talk.say(b"".join(parts))


def _put(talk: Talk, flags: Flags, verb: int, value: bytes, token: int = 0) -> tuple[int, int]:
    return talk.store.put(
        *(verb, flags.key, value, flags.flags, flags.touch or 0, token),
        own=flags.own,
        binary=flags.binary,
    )


def _store_seen(talk: Talk, flags: Flags, value: bytes) -> tuple[int, int]:
    """In the place of what has that token; with I also of what is newer, which becomes stale."""
    token = flags.token or 0
    for _ in range(_TRIES):
        status, stored = _put(talk, flags, CAS, value, token)
        if status != EXISTS or not flags.stale:
            return status, stored
        item = talk.store.get(flags.key, notice=False)
        if item is None:
            return MISS, 0
        if 0 < token < item.token:
            code = STALE_WON if item.won else STALE
            status, stored = talk.store.remake(
                flags.key, item, value, code, flags=flags.flags, own=flags.own
            )
            if status == OK:
                return OK, stored
        elif item.token != token:
            return EXISTS, 0
    raise busy(flags.key)


# ---- md


def _delete(talk: Talk, words: list[bytes]) -> None:
    flags = _flags(talk, words, b"CLIENT_ERROR invalid or duplicate flag")
    if flags is None:
        return
    if talk.read_only:
        talk.say(READ_ONLY)
        return
    if flags.stale or flags.empty:
        status = _spoil(talk, flags)
    else:
        status = talk.store.delete(flags.key, flags.token)
    talk.counts.delete_hits += status == OK and not flags.stale
    talk.counts.delete_misses += status != OK
    if status != OK or not flags.quiet:
        talk.say(_answer(flags, {OK: _HD, MISS: _NF, EXISTS: _EX}[status]))


def _spoil(talk: Talk, flags: Flags) -> int:
    """Mark what is there as stale, or empty it, or both; OK, MISS or EXISTS."""
    for _ in range(_TRIES):
        item = talk.store.get(flags.key, notice=False)
        if item is None:
            return MISS
        if flags.token is not None and item.token != flags.token:
            return EXISTS
        value, code, shown = item.value, item.type_code, item.flags
        if flags.empty:
            value, code, shown = b"", 0, flags.flags
        if flags.stale:
            code = STALE
        status, _ = talk.store.remake(
            flags.key, item, value, code, flags=shown, deadline_ms=flags.touch, own=flags.own
        )
        if status == WRONG_TYPE:  # it never changes: who wants it renewed gets a miss
            status = talk.store.delete(flags.key, item.token)
        if status == OK:
            return OK
    raise busy(flags.key)


# ---- ma


def _count(talk: Talk, words: list[bytes]) -> None:
    flags = _flags(talk, words, b"CLIENT_ERROR invalid or duplicate flag")
    if flags is None:
        return
    down = _DOWN.get(flags.mode)
    if down is None:
        talk.say(b"CLIENT_ERROR invalid mode for ma M token")
        return
    if talk.read_only:
        talk.say(READ_ONLY)
        return
    try:
        done, made = _counted(talk, flags, down)
    except ValueError:
        talk.say(NOT_A_NUMBER)
        return
    counts = talk.counts
    counts.decr_hits += down and done.status == OK and not made
    counts.incr_hits += not down and done.status == OK and not made
    counts.decr_misses += down and done.status == MISS
    counts.incr_misses += not down and done.status == MISS
    if done.status != OK:
        talk.say(_answer(flags, _NF if done.status == MISS else _EX))
    elif made or not flags.quiet:
        talk.send(_number_answer(flags, done, made))


def _counted(talk: Talk, flags: Flags, down: bool) -> tuple[Counted, bool]:
    """What it has come to, and whether it was made anew."""
    key = flags.key
    for _ in range(_TRIES):
        done = count_seen(
            *(talk.store, key, flags.delta, down),
            token=flags.token or 0,
            own=flags.own,
            deadline_ms=flags.touch,
        )
        if done.status != MISS or flags.vacate is None:
            return done, False
        digits = b"%d" % flags.initial
        status, stored = talk.store.put(
            *(ADD, key, digits, 0, flags.made_until), own=flags.own, binary=flags.unspoken
        )
        if status == OK:
            return Counted(OK, flags.initial, stored), True
    raise busy(key)


def _number_answer(flags: Flags, done: Counted, made: bool) -> bytes:
    digits = b"%d" % done.number
    parts = [b"VA %d" % len(digits) if flags.value else _HD]
    deadline_ms = done.deadline_ms
    for word in flags.words:
        letter = word[:1]
        if letter == b"T":
            deadline_ms = flags.touch or 0
        elif letter == b"N" and made:
            deadline_ms = flags.vacate or 0
        elif letter == b"c":
            parts.append(b" c%d" % done.token)
        elif letter == b"t":
            parts.append(b" t%d" % seconds_left(deadline_ms, flags.now))
        else:
            parts.append(flags.returned(word))
    return b"".join(parts) + (b"\r\n%s\r\n" % digits if flags.value else b"\r\n")


COMMANDS: dict[bytes, Command] = {
    b"mn": _noop,
    b"mg": _get,
    b"me": _describe,
    b"ms": _set,
    b"md": _delete,
    b"ma": _count,
}
