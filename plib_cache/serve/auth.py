# SPDX-License-Identifier: BSD-3-Clause
"""Who a client is: what it says first, as memcached's option -Y has it.

``set <any key> <any flags> <any exptime> <length>`` with the value ``user password``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from plib_cache.serve.talk import Talk
from plib_cache.serve.words import u32

_LENGTH_MAX = 2048  # bytes of user and password


class Stranger(Talk, Protocol):
    """A connection whose client has not said yet who it is."""

    def admit(self) -> None:
        """The client has said who it is."""


def begin(talk: Stranger, line: bytes, known: Callable[[bytes, bytes], bool]) -> None:
    """The first line of a client."""
    words = [word for word in line.partition(b"\0")[0].split(b" ") if word]
    length = u32(words[4]) if len(words) > 4 and words[0] == b"set" else None
    if length is None or length > _LENGTH_MAX:
        talk.say(b"CLIENT_ERROR unauthenticated")
        if length is not None:
            talk.close()
        return
    talk.take(length, lambda value: _judge(talk, value, known))


def _judge(talk: Stranger, value: bytes | None, known: Callable[[bytes, bytes], bool]) -> None:
    if value is None:
        talk.say(b"CLIENT_ERROR bad command line termination")
        return
    words = [word for word in value.partition(b"\0")[0].split(b" ") if word]
    if len(words) < 2:
        talk.say(b"CLIENT_ERROR bad authentication token format")
        return
    talk.counts.auth_cmds += 1
    if known(words[0], words[1]):
        talk.admit()
        talk.say(b"STORED")
    else:
        talk.counts.auth_errors += 1
        talk.say(b"CLIENT_ERROR authentication failure")
