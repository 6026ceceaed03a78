# SPDX-License-Identifier: BSD-3-Clause
"""Whatever is said on one connection: no crash, and no wrong answer to a neighbour."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest

from network import servers
from plib_cache.serve import Conversation

from .fuzzing import command, fuzz
from .talking import Memcached, Ours, plain

Converse = Callable[..., Conversation]

SEED = random.randrange(1 << 32)
LINES = 20_000
COMMANDS = 1500


def test_spoilt_lines(converse: Converse) -> None:
    """Twenty thousand of them; more are said by ``make soak``."""
    print("seed", SEED)
    assert fuzz(converse, SEED, LINES) > 100


def compared(asked: bytes) -> bool:
    """Whether memcached's answer to a command is one that we want to have.

    Not its padding of a number that got shorter; a lifetime below zero as a large number; what it
    does with the keys before one that is too long; and what only newer ones know (s of ms).
    """
    line = asked.partition(b"\r\n")[0]
    words = line.split()
    long_get = words[0][:3] in (b"get", b"gat") and any(len(word) > 250 for word in words)
    down = words[0] == b"decr" or b"MD" in words
    return not (
        (long_get or down or words[0] == b"me")
        or (words[0][:1] == b"m" and b"T-1" in words)
        or (words[0] == b"ms" and b"s" in words)
        or b"  " in line  # a word is missing: a value may be what was to be its length
        or line.endswith(b" x")
    )


@pytest.mark.parametrize("seed", range(4))
def test_commands_by_chance_are_answered_as_memcached_does(
    seed: int, memcached: servers.Running, converse: Converse
) -> None:
    """On keys that they share, so what each has done is seen by the others."""
    source = random.Random(seed)
    theirs, ours = Memcached(memcached.where), Ours(converse())
    their_tokens: list[bytes] = []
    our_tokens: list[bytes] = []
    with contextlib.closing(theirs):
        for asked in filter(compared, (command(source) for _ in range(COMMANDS))):
            expected = plain(theirs.say(asked), their_tokens, 100)
            assert plain(ours.say(asked), our_tokens, 100) == expected, asked
