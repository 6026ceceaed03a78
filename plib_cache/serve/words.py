# SPDX-License-Identifier: BSD-3-Clause
"""The words of a command as memcached reads them: numbers, times and keys.

memcached reads numbers with C's strtol and friends: spaces and signs may stand before the digits,
a blank of any kind may end them, and what is longer than its type is cut to it.
"""

from __future__ import annotations

import base64
import re

from plib_cache.serve.limits import KEY_MAX

_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)(?:[ \t\n\v\f\r]|\Z)").match
_U64 = 1 << 64
_S63 = 1 << 63
_DAYS_30 = 60 * 60 * 24 * 30  # seconds; what is longer is a moment since 1970
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_PLAIN = re.compile(rb"[!-~\x80-\xff]+\Z").match
GONE = 1  # a deadline that has passed, milliseconds since 1970


def u64(word: bytes) -> int | None:
    """An unsigned number of 64 bits; None if it is none."""
    found = _NUMBER(word)
    if found is None:
        return None
    number = int(found[2])
    if number >= _U64:
        return None
    if found[1] == b"-":
        number = -number % _U64
    return None if number >= _S63 and b"-" in word else number


def u32(word: bytes) -> int | None:
    """An unsigned number of 32 bits, of which what is above them is cut off."""
    number = u64(word)
    return None if number is None else number & 0xFFFFFFFF


def s32(word: bytes) -> int | None:
    """A number of 32 bits with a sign, cut as ``u32``."""
    found = _NUMBER(word)
    if found is None:
        return None
    number = -int(found[2]) if found[1] == b"-" else int(found[2])
    if not -_S63 <= number < _S63:
        return None
    return (number + 0x80000000) % 0x100000000 - 0x80000000


def deadline(exptime: int, now_ms: int) -> int:
    """The moment of an expiry, in milliseconds since 1970; 0 is never.

    Up to 30 days are counted from now, more are seconds since 1970, and less than none is past.
    """
    if exptime == 0:
        return 0
    if exptime < 0:
        return GONE
    return exptime * 1000 if exptime > _DAYS_30 else now_ms + exptime * 1000


def seconds_left(deadline_ms: int, now_ms: int) -> int:
    """What is left of a lifetime, as memcached counts it; -1 if it has no end."""
    return -1 if deadline_ms == 0 else max(0, -(-(deadline_ms - now_ms) // 1000))


def decode_key(word: bytes) -> bytes | None:
    """The key that base64 stands for; None if it is not base64."""
    known = bytes(one for one in word if one in _BASE64)
    if not known or len(known) % 4:
        return None
    end = known.find(b"=")
    if end < 0:
        return base64.b64decode(known)
    known = known[: end + 4 - end % 4]
    padding = known[-4:].count(b"=")
    return None if padding > 2 else base64.b64decode(known.replace(b"=", b"A"))[:-padding]


def spoken(key: bytes) -> bool:
    """Whether a command can have a key as it is, not in base64."""
    return 0 < len(key) <= KEY_MAX and _PLAIN(key) is not None


def encode_key(key: bytes) -> bytes:
    """A key in base64."""
    return base64.b64encode(key)
