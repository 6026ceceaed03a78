# SPDX-License-Identifier: BSD-3-Clause
"""The flags of memcached's meta commands, checked in memcached's order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from plib_cache.serve.store import now_ms
from plib_cache.serve.words import deadline, decode_key, encode_key, s32, spoken, u32, u64

WORDS_MOST = 19  # of a meta command
OPAQUE_MOST = 32  # bytes, with the O
TOO_LONG = b"CLIENT_ERROR opaque token too long"
_BAD_TOKEN = b"CLIENT_ERROR bad token in command line format"
_KNOWN = frozenset(b"OPLkstcfl")  # without a meaning here: what they want is answered later


class BadFlagError(Exception):
    """A flag is wrong; the text is the answer."""


@dataclasses.dataclass(slots=True)
class Flags:
    """What the flags of one command say.  Deadlines are milliseconds since 1970, 0 is never."""

    key: bytes
    words: list[bytes]  # as they were given
    now: int = 0  # milliseconds since 1970
    binary: bool = False  # b: the key was given in base64
    value: bool = False  # v
    quiet: bool = False  # q
    unnoticed: bool = False  # u
    was_read: bool = False  # h
    stale: bool = False  # I
    empty: bool = False  # x
    vacate: int | None = None  # N: the deadline of what is made
    touch: int | None = None  # T: the new deadline
    renew: int | None = None  # R: whose life ends before that is to be renewed
    flags: int = 0  # F
    token: int | None = None  # C
    own: int = 0  # E
    mode: bytes = b""  # M
    initial: int = 0  # J
    delta: int = 1  # D

    @property
    def opaque_fits(self) -> bool:
        """Whether what the client wants back is short enough."""
        return not any(len(word) > OPAQUE_MOST for word in self.words if word[0] == 0x4F)

    @property
    def unspoken(self) -> bool:
        """Whether the key was given in base64, and could not have been given otherwise.

        What ``mg`` and ``ma`` make has such a key; what ``ms`` stores has any that was in base64.
        """
        return self.binary and not spoken(self.key)

    @property
    def made_until(self) -> int:
        """The deadline of what N makes: T changes it too, and the later word counts."""
        moment = self.vacate or 0
        for word in self.words:
            if word[:1] == b"N":
                moment = self.vacate or 0
            elif word[:1] == b"T":
                moment = self.touch or 0
        return moment

    def returned(self, word: bytes) -> bytes:
        """What every answer to O and k has; else nothing."""
        if word[0] == 0x4F:
            return b" " + word
        return key_returned(self.key, self.binary) if word[0] == 0x6B else b""


def key_returned(key: bytes, binary: bool) -> bytes:
    """A key as k wants it."""
    return b" k%s b" % encode_key(key) if binary else b" k" + key


def parse(words: list[bytes], start: int) -> Flags:
    """The flags among the words of a command, from that one on; the second word is the key.

    Raises:
        BadFlagError: the last of those that are wrong, or the first that is unknown or doubled.
    """
    flags = Flags(words[1], words[start:], now_ms())
    seen: set[int] = set()
    wrong: BadFlagError | None = None
    for word in flags.words:
        letter = word[0]
        if letter >= 127 or letter in seen:
            raise BadFlagError(b"CLIENT_ERROR duplicate flag")
        seen.add(letter)
        read = _READ.get(letter)
        if read is None:
            if letter not in _KNOWN:
                raise BadFlagError(b"CLIENT_ERROR invalid flag")
            continue
        try:
            read(flags, word[1:])
        except BadFlagError as error:
            wrong = error if error.args[0] or wrong is None else wrong
    if wrong is not None:
        raise BadFlagError(wrong.args[0] or b"CLIENT_ERROR bad command line format")
    return flags


def _key(flags: Flags, _word: bytes) -> None:
    key = decode_key(flags.key)
    if key is None:
        raise BadFlagError(b"CLIENT_ERROR error decoding key")
    flags.key, flags.binary = key, True


def _turn_on(name: str) -> Callable[[Flags, bytes], None]:
    return lambda flags, _word: setattr(flags, name, True)


def _number(
    name: str, read: Callable[[bytes], int | None], error: bytes = _BAD_TOKEN
) -> Callable[[Flags, bytes], None]:
    def take(flags: Flags, word: bytes) -> None:
        number = read(word)
        if number is None:
            raise BadFlagError(error)
        setattr(flags, name, number)

    return take


def _moment(name: str) -> Callable[[Flags, bytes], None]:
    def take(flags: Flags, word: bytes) -> None:
        exptime = s32(word)
        if exptime is None:
            raise BadFlagError(_BAD_TOKEN)
        setattr(flags, name, deadline(exptime, flags.now))

    return take


def _mode(flags: Flags, word: bytes) -> None:
    if len(word) != 1:
        raise BadFlagError(b"CLIENT_ERROR incorrect length for M token")
    flags.mode = word


_READ: dict[int, Callable[[Flags, bytes], None]] = {
    ord(letter): read
    for letter, read in {
        "b": _key,
        "v": _turn_on("value"),
        "q": _turn_on("quiet"),
        "u": _turn_on("unnoticed"),
        "h": _turn_on("was_read"),
        "I": _turn_on("stale"),
        "x": _turn_on("empty"),
        "N": _moment("vacate"),
        "T": _moment("touch"),
        "R": _moment("renew"),
        "F": _number("flags", u32, b""),
        "C": _number("token", u64),
        "E": _number("own", u64),
        "M": _mode,
        "J": _number("initial", u64, b"CLIENT_ERROR invalid numeric initial value"),
        "D": _number("delta", u64, b"CLIENT_ERROR invalid numeric delta value"),
    }.items()
}
