# SPDX-License-Identifier: BSD-3-Clause
"""memcached's meta commands."""

from __future__ import annotations

from plib_cache.serve.talk import Command, Talk


def _noop(talk: Talk, words: list[bytes]) -> None:
    talk.say(b"MN")


COMMANDS: dict[bytes, Command] = {b"mn": _noop}
