# SPDX-License-Identifier: BSD-3-Clause
"""What one connection makes the server hold and do at once is bounded, whatever it sends."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable

import pytest

from plib_cache import Cache
from plib_cache.serve import Conversation, Limits

from .talking import answers

Converse = Callable[..., Conversation]

MIB = 1 << 20


def test_too_large_a_value_is_not_held(cache: Cache, converse: Converse) -> None:
    """It is thrown away as it comes; what was there before is gone, and the next command works."""
    cache.set("k", b"old")
    talk = converse()
    assert talk.received(b"set k 0 0 1000000000\r\n") == (
        b"SERVER_ERROR object too large for cache\r\n"
    )
    assert cache.get("k") is None
    piece = bytes(MIB)
    tracemalloc.start()
    for _ in range(1000000000 // MIB):
        assert talk.received(piece) == b""
        assert talk.held == 0
    assert tracemalloc.get_traced_memory()[1] < 3 * MIB
    tracemalloc.stop()
    assert answers(talk, bytes(1000000000 % MIB) + b"\r\nget k\r\n") == b"END\r\n"


def test_a_limit_of_ones_own(cache: Cache, converse: Converse) -> None:
    """``item`` is the whole of an item, as memcached's -I; the region has a limit too."""
    talk = converse(Limits(item=2000))
    assert answers(talk, b"set k 0 0 1950\r\n" + bytes(1950) + b"\r\n").startswith(b"SERVER_ERROR")
    assert answers(talk, b"set k 0 0 1900\r\n" + bytes(1900) + b"\r\n") == b"STORED\r\n"
    large = cache._region.info()["value_max"] + 1
    talk = converse(Limits(item=64 * MIB))
    assert answers(talk, b"set k 0 0 %d\r\n" % large + bytes(large) + b"\r\n") == (
        b"SERVER_ERROR object too large for cache\r\n"
    )
    assert answers(talk, b"get k\r\n").startswith(b"VALUE k 0 1900\r\n")
    assert talk.counts.store_too_large == 2


def test_a_value_is_held_until_it_is_whole(converse: Converse) -> None:
    """And no more than it."""
    talk = converse()
    assert talk.received(b"set k 0 0 1000000\r\n") == b""
    assert talk.held == 0
    for n in range(1, 11):
        assert talk.received(bytes(99_999)) == b""
        assert talk.held == n * 99_999
    assert answers(talk, bytes(10) + b"\r\n") == b"STORED\r\n"
    assert talk.held == 0


@pytest.mark.parametrize(
    "line", [b"x", b"set " + b"k" * 100, b"mg ", b"get", b" " * 150 + b"get k", b"delete k "]
)
def test_a_line_without_an_end_is_hung_up_on(converse: Converse, line: bytes) -> None:
    """As memcached does: after two kilobytes, unless it is a get of many keys."""
    talk = converse()
    for _ in range(2048 // len(line) + 1):
        assert not talk.closing
        answers(talk, line)
    answers(talk, b"xxxx")
    assert talk.closing
    assert talk.held == 0
    assert talk.received(b"get k\r\n") == b""


def test_a_get_of_many_keys_has_an_end_too(cache: Cache, converse: Converse) -> None:
    """A megabyte of keys is answered, more is hung up on."""
    cache.set("k", b"v")
    for most, fits in ((MIB - 200, True), (MIB + 9000, False)):
        talk = converse()
        line = b"get " + b"key-of-some-length " * (most // 19)
        found = b"".join(answers(talk, line[at : at + 8000]) for at in range(0, len(line), 8000))
        assert found == b""
        assert talk.closing is not fits
        assert talk.held <= MIB + 8000
        assert answers(talk, b" k\r\n").startswith(b"VALUE k 0 1\r\nv\r\n" if fits else b"")


def test_what_one_call_answers(cache: Cache, converse: Converse) -> None:
    """One value more than the limit at most, of pipelines and of long gets."""
    cache.set("k", bytes(100_000))
    one = len(b"VALUE k 0 100000\r\n") + 100_000 + len(b"\r\n")
    limits = Limits(answer=250_000)
    for asked in (b"get k\r\n" * 600, b"get" + b" k" * 600 + b"\r\n", b"mg k v\r\n" * 600):
        talk = converse(limits)
        tracemalloc.start()
        answer, total = talk.received(asked), 0
        while True:
            assert len(answer) <= 250_000 + one
            total += len(answer)
            if not talk.more:
                break
            answer = talk.resume()
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
        tracemalloc.stop()
        assert total >= 600 * 100_000


def test_ten_thousand_commands_at_once(cache: Cache, converse: Converse) -> None:
    """Are done some at a time, in their order."""
    talk = converse()
    answer = talk.received(b"".join(b"set k%d 0 0 1\r\nx\r\n" % i for i in range(10_000)))
    rounds = 1
    assert len(answer) < 10_000 * len(b"STORED\r\n")
    while talk.more:
        answer += talk.resume()
        rounds += 1
    assert answer == b"STORED\r\n" * 10_000
    assert rounds >= 5
    assert len(cache) == 10_000


def test_more_is_true_only_if_there_is_more(converse: Converse) -> None:
    """Whoever waits for what will not come would wait for ever; who does not read on, too."""
    for commands in range(1, 8):
        talk = converse(Limits(commands=commands))
        answer = talk.received(b"mn\r\n" * 5 + b"set k 0 0 5\r\nhel")
        while talk.more:
            before = talk.held
            answer += (said := talk.resume())
            assert said or talk.held < before
        assert answer == b"MN\r\n" * 5
        answer = talk.received(b"lo\r\nget k\r\nmn")
        while talk.more:
            answer += talk.resume()
        assert answer == b"STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n"
        assert talk.held == 2


def test_the_binary_protocol_is_hung_up_on(converse: Converse) -> None:
    """It is refused where it begins; elsewhere the byte is one as others."""
    binary, text = converse(), converse()
    assert binary.received(b"\x80\x0a" + bytes(22)) == b""
    assert binary.closing
    assert answers(text, b"mn\r\n\x80\x0a\r\n") == b"MN\r\nERROR\r\nERROR\r\n"
    assert not text.closing


def test_garbage(converse: Converse) -> None:
    """Random bytes are errors, or hung up on."""
    for _ in range(300):
        talk = converse()
        answer = answers(talk, b"x" + os.urandom(5000))
        assert all(line == b"ERROR" for line in answer.splitlines()), answer
        assert talk.held <= 2048
