# SPDX-License-Identifier: BSD-3-Clause
"""However the bytes of a client are cut into pieces, they are answered the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from plib_cache import Cache
from plib_cache.serve import Conversation, Limits

from .conversations import CONVERSATIONS
from .talking import answers, plain

Converse = Callable[..., Conversation]

SEED = random.randrange(1 << 32)
SINGLY = 20_000  # bytes; longer conversations are not cut into single bytes


def pieces(data: bytes, source: random.Random, most: int) -> Iterator[bytes]:
    """Cut some bytes at random places."""
    at = 0
    while at < len(data):
        size = source.randrange(1, most + 1)
        yield data[at : at + size]
        at += size


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_any_pieces_have_the_same_answers(name: str, cache: Cache, converse: Converse) -> None:
    """Whole, in pieces of any size, byte by byte, and with little done by each call."""
    print("seed", SEED)
    source = random.Random(f"{SEED} {name}")
    data = b"".join(CONVERSATIONS[name])
    little = Limits(answer=300, commands=3)
    ways = [(len(data), Limits()), (5000, Limits()), (len(data), little)]
    if len(data) <= SINGLY:
        ways += [(1, Limits()), (1, little), (60, Limits()), (9, little), (700, little)]
    expected = None
    for most, limits in ways:
        cache.clear()
        talk = converse(limits)
        found = plain(b"".join(answers(talk, piece) for piece in pieces(data, source, most)))
        state = found, talk.closing, talk.held
        expected = expected or state
        assert state == expected, (most, limits)


def test_pipelines_of_gets_in_pieces(cache: Cache, converse: Converse) -> None:
    """Of ten thousand gets in pieces, each is answered once and in its place."""
    print("seed", SEED)
    source = random.Random(SEED)
    for i in range(100):
        cache.set(f"k{i}", b"%d" % i * 40)
    asked, expected = [], []
    for _ in range(10_000):
        keys = [source.randrange(130) for _ in range(source.choice([1, 1, 1, 5, 30]))]
        asked.append(b"get " + b" ".join(b"k%d" % i for i in keys) + b"\r\n")
        expected += [
            b"VALUE k%d 0 %d\r\n%s\r\n" % (i, len(value := b"%d" % i * 40), value)
            for i in keys
            if i < 100
        ] + [b"END\r\n"]
    talk = converse()
    found = b"".join(answers(talk, piece) for piece in pieces(b"".join(asked), source, 40_000))
    assert found == b"".join(expected)
    assert talk.counts.cmd_get == sum(line.count(b"k") for line in asked)
    assert talk.counts.get_hits == sum(line.startswith(b"VALUE") for line in expected)
