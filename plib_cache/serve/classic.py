# SPDX-License-Identifier: BSD-3-Clause
"""memcached's classic commands on entries, in the order in which memcached checks them."""

from __future__ import annotations

from functools import partial

from plib_cache.serve.limits import KEY_MAX
from plib_cache.serve.numbers import count
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
    now_ms,
)
from plib_cache.serve.storing import expect
from plib_cache.serve.talk import BAD_FORMAT, NOT_A_NUMBER, NOT_BYTES, READ_ONLY, Command, Talk
from plib_cache.serve.words import deadline, s32, u32, u64

_INT_MAX = 2**31 - 1


def hushed(talk: Talk, words: list[bytes]) -> None:
    """No answer is wanted if the last word says so."""
    talk.noreply = words[-1] == b"noreply"


def _get(tokens: bool, talk: Talk, words: list[bytes]) -> None:
    if len(words) < 2:
        talk.say(b"ERROR")
    else:
        talk.fetch(words[1:], tokens, None)


def _gat(tokens: bool, talk: Talk, words: list[bytes]) -> None:
    if len(words) < 2:
        talk.say(b"ERROR")
        return
    exptime = s32(words[1])
    if exptime is None:
        talk.say(b"CLIENT_ERROR invalid exptime argument")
    elif len(words) == 2:
        talk.say(b"END")
    else:
        talk.fetch(words[2:], tokens, deadline(exptime, now_ms()))


def _update(verb: int, talk: Talk, words: list[bytes]) -> None:
    """The commands that store a value."""
    least = 6 if verb == CAS else 5
    if len(words) not in (least, least + 1):
        talk.say(b"ERROR")
        return
    hushed(talk, words)
    key, flags, exptime, length = words[1], u32(words[2]), s32(words[3]), s32(words[4])
    token = u64(words[5]) if verb == CAS else 0
    if len(key) > KEY_MAX or flags is None or exptime is None or length is None or token is None:
        talk.say(BAD_FORMAT)
        return
    if not 0 <= length <= _INT_MAX - 2:
        talk.say(BAD_FORMAT)
        return
    moment = deadline(exptime, now_ms())

    def arrived(value: bytes) -> None:
        _stored(talk, verb, talk.store.put(verb, key, value, flags, moment, token)[0])

    expect(talk, key, flags, length, verb == SET, arrived)


def _stored(talk: Talk, verb: int, status: int) -> None:
    missing, exists = b"NOT_STORED", b"NOT_STORED"
    if verb == CAS:
        missing, exists = b"NOT_FOUND", b"EXISTS"
        talk.counts.cas_hits += status == OK
        talk.counts.cas_misses += status == MISS
        talk.counts.cas_badval += status == EXISTS
    answers = {OK: b"STORED", MISS: missing, EXISTS: exists, WRONG_TYPE: NOT_BYTES}
    talk.say(answers[status])


def _delete(talk: Talk, words: list[bytes]) -> None:
    if not 2 <= len(words) <= 4:
        talk.say(b"ERROR")
        return
    if len(words) > 2:
        hushed(talk, words)
        zero = words[2] == b"0"
        fine = (zero or talk.noreply) if len(words) == 3 else zero and talk.noreply
        if not fine:
            talk.say(BAD_FORMAT + b".  Usage: delete <key> [noreply]")
            return
    if len(words[1]) > KEY_MAX:
        talk.say(BAD_FORMAT)
    elif talk.read_only:
        talk.say(READ_ONLY)
    elif talk.store.delete(words[1]) == OK:
        talk.counts.delete_hits += 1
        talk.say(b"DELETED")
    else:
        talk.counts.delete_misses += 1
        talk.say(b"NOT_FOUND")


def _key_beside_number(talk: Talk, words: list[bytes]) -> bytes | None:
    """The key of a command of a key and a number; None if that was answered with what is wrong."""
    if len(words) not in (3, 4):
        talk.say(b"ERROR")
        return None
    hushed(talk, words)
    if len(words[1]) > KEY_MAX:
        talk.say(BAD_FORMAT)
        return None
    return words[1]


def _count(down: bool, talk: Talk, words: list[bytes]) -> None:
    key = _key_beside_number(talk, words)
    if key is None:
        return
    delta = u64(words[2])
    if delta is None:
        talk.say(b"CLIENT_ERROR invalid numeric delta argument")
    elif talk.read_only:
        talk.say(READ_ONLY)
    else:
        _counted(down, talk, key, delta)


def _counted(down: bool, talk: Talk, key: bytes, delta: int) -> None:
    counts = talk.counts
    try:
        number = count(talk.store, key, delta, down)
    except ValueError:
        talk.say(NOT_A_NUMBER)
        return
    if down:
        counts.decr_hits += number is not None
        counts.decr_misses += number is None
    else:
        counts.incr_hits += number is not None
        counts.incr_misses += number is None
    talk.say(b"NOT_FOUND" if number is None else b"%d" % number)


def _touch(talk: Talk, words: list[bytes]) -> None:
    key = _key_beside_number(talk, words)
    if key is None:
        return
    exptime = s32(words[2])
    if exptime is None:
        talk.say(b"CLIENT_ERROR invalid exptime argument")
    elif talk.read_only:
        talk.say(READ_ONLY)
    else:
        touched = talk.store.touch(key, deadline(exptime, now_ms()))
        talk.counts.cmd_touch += 1
        talk.counts.touch_hits += touched
        talk.counts.touch_misses += not touched
        talk.say(b"TOUCHED" if touched else b"NOT_FOUND")


COMMANDS: dict[bytes, Command] = {
    b"get": partial(_get, False),
    b"bget": partial(_get, False),
    b"gets": partial(_get, True),
    b"gat": partial(_gat, False),
    b"gats": partial(_gat, True),
    b"set": partial(_update, SET),
    b"add": partial(_update, ADD),
    b"replace": partial(_update, REPLACE),
    b"append": partial(_update, APPEND),
    b"prepend": partial(_update, PREPEND),
    b"cas": partial(_update, CAS),
    b"delete": _delete,
    b"incr": partial(_count, False),
    b"decr": partial(_count, True),
    b"touch": _touch,
}
KEYS = frozenset({b"get", b"bget", b"gets", b"gat", b"gats"})  # they may have any number of words
