# SPDX-License-Identifier: BSD-3-Clause
"""The commands that are about the server, not about entries."""

from __future__ import annotations

from plib_cache.exceptions import BusyError
from plib_cache.serve import statistics
from plib_cache.serve.classic import hushed
from plib_cache.serve.store import now_ms
from plib_cache.serve.talk import BAD_FORMAT, READ_ONLY, VERSION, Command, Talk
from plib_cache.serve.words import deadline, s32, u32


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
        _flush(talk, exptime)


def _flush(talk: Talk, exptime: int) -> None:
    try:
        talk.store.flush(deadline(exptime, now_ms()) if exptime > 0 else 0)
    except BusyError:
        talk.say(b"SERVER_ERROR four flush_all with a time are waiting already")
    else:
        talk.say(b"OK")


def _shutdown(talk: Talk, _words: list[bytes]) -> None:
    talk.say(b"ERROR: shutdown not enabled")


def _constant(answer: bytes) -> Command:
    """A command of memcached's own memory, which is not the region's: what memcached says if it
    was started without that."""
    return lambda talk, _words: talk.say(answer)


COMMANDS: dict[bytes, Command] = {
    b"version": _version,
    b"quit": _quit,
    b"verbosity": _verbosity,
    b"flush_all": _flush_all,
    b"shutdown": _shutdown,
    b"stats": statistics.answer,
    b"watch": _constant(b"CLIENT_ERROR watch commands not allowed"),
    b"lru_crawler": _constant(b"CLIENT_ERROR lru crawler disabled"),
    b"slabs": _constant(b"CLIENT_ERROR slab reassignment disabled"),
    b"cache_memlimit": _constant(b"MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust"),
}
