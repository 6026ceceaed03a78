# SPDX-License-Identifier: BSD-3-Clause
"""The commands that are about the server, not about entries."""

from __future__ import annotations

from plib_cache.serve.classic import hushed
from plib_cache.serve.store import now_ms
from plib_cache.serve.talk import BAD_FORMAT, READ_ONLY, Command, Talk
from plib_cache.serve.words import deadline, s32, u32

VERSION = b"1.6.18"  # of memcached, whose answers these are; clients choose by it what to send


def _version(talk: Talk, _words: list[bytes]) -> None:
    talk.say(b"VERSION " + VERSION)


def _quit(talk: Talk, _words: list[bytes]) -> None:
    talk.close()


def _verbosity(talk: Talk, words: list[bytes]) -> None:
    if len(words) not in (2, 3):
        talk.say(b"ERROR")
        return
    hushed(talk, words)
    talk.say(BAD_FORMAT if u32(words[1]) is None else b"OK")


def _flush_all(talk: Talk, words: list[bytes]) -> None:
    if len(words) > 3:
        talk.say(b"ERROR")
        return
    hushed(talk, words)
    talk.counts.cmd_flush += 1
    exptime: int | None = 0
    if len(words) != (2 if talk.noreply else 1):
        exptime = s32(words[1])
    if exptime is None:
        talk.say(b"CLIENT_ERROR invalid exptime argument")
    elif talk.read_only:
        talk.say(READ_ONLY)
    else:
        talk.store.flush(deadline(exptime, now_ms()) if exptime > 0 else 0)
        talk.say(b"OK")


def _shutdown(talk: Talk, _words: list[bytes]) -> None:
    talk.say(b"ERROR: shutdown not enabled")


COMMANDS: dict[bytes, Command] = {
    b"version": _version,
    b"quit": _quit,
    b"verbosity": _verbosity,
    b"flush_all": _flush_all,
    b"shutdown": _shutdown,
}
