# SPDX-License-Identifier: BSD-3-Clause
"""memcached and ``serve`` answer the same conversations with the same bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from plib_cache.serve import Conversation

from .. import servers
from .conversations import CONVERSATIONS
from .talking import Memcached, Ours, transcript


@pytest.fixture(scope="module")
def memcached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Running | None]:
    """A memcached for all conversations; None: there is none on this machine, or another one."""
    if servers.missing("memcached"):
        yield None
        return
    version = subprocess.run(["memcached", "-V"], capture_output=True, text=True, check=True)
    if "1.6.18" not in version.stdout:
        yield None
        return
    server = servers.memcached(tmp_path_factory.mktemp("memcached"), "-W", "-X")
    yield server
    server.stop()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_are_those_of_memcached(
    name: str,
    memcached: servers.Running | None,
    converse: Callable[..., Conversation],
    untested: Callable[[str], NoReturn],
) -> None:
    """Each step of a conversation has the same answer."""
    if memcached is None:
        untested("conversations with memcached 1.6.18: there is none here")
    steps = CONVERSATIONS[name]
    cleaner = Memcached(memcached.where)
    cleaner.say(b"flush_all\r\n")
    cleaner.close()
    theirs, ours = Memcached(memcached.where), Ours(converse())
    expected = transcript(theirs, steps)
    theirs.close()
    found = transcript(ours, steps)
    for step, want, got in zip(steps, expected, found, strict=True):
        assert got == want, step[:300]


def test_the_table_is_broad() -> None:
    """It has the conversations that are promised, with all commands."""
    assert len(CONVERSATIONS) >= 60
    said = b"".join(b"".join(steps) for steps in CONVERSATIONS.values())
    for command in (
        "get gets gat gats set add replace append prepend cas delete incr decr touch flush_all "
        "stats verbosity version quit shutdown mn mg ms md ma me"
    ).split():
        assert command.encode() in said, command


