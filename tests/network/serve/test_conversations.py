# SPDX-License-Identifier: BSD-3-Clause
"""memcached and ``serve`` answer the same conversations with the same bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from network import servers
from plib_cache.serve import Conversation

from .conversations import CONVERSATIONS
from .talking import Memcached, Ours, transcript


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_are_those_of_memcached(
    name: str,
    memcached: servers.Running,
    converse: Callable[..., Conversation],
) -> None:
    """Each step of a conversation has the same answer."""
    steps = CONVERSATIONS[name]
    ours = Ours(converse())
    with contextlib.closing(Memcached(memcached.where)) as theirs:
        expected = transcript(theirs, steps)
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
