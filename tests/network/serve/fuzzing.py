# SPDX-License-Identifier: BSD-3-Clause
"""Commands by chance: right ones, nearly right ones, and noise."""

from __future__ import annotations

import random
from collections.abc import Callable

from plib_cache.serve import Conversation

from .talking import answers

KEYS = [b"a", b"b", b"key", b"Zm9v", b"\xc3\xa4", b"k" * 250, b"k" * 251, b"\x01\x02", b"-"]
NUMBERS = [
    b"0",
    b"1",
    b"7",
    b"100",
    b"-1",
    b"x",
    b"",
    b"4294967295",
    b"18446744073709551616",
    b"+5",
]
TOKENS = [b"77777777", b"77777777", b"0", b"x", b""]  # of nobody, whatever server it is
TIMES = [b"0", b"0", b"100", b"500", b"2592000", b"2592001", b"-1", b"x"]
ENDS = [b"", b"", b"", b" noreply", b" x", b" "]
FLAGS = (
    [b"b", b"c", b"f", b"k", b"q", b"s", b"t", b"u", b"v", b"I", b"O12", b"Oabc", b"N100", b"N0"]
    + [
        b"R30",
        b"R400",
        b"T100",
        b"T300",
        b"T0",
        b"F9",
        b"C77777777",
        b"C0",
        b"MS",
        b"ME",
        b"MA",
        b"MP",
    ]
    + [b"MR", b"MI", b"MD", b"M+", b"MX", b"M", b"J5", b"D3", b"Dx", b"z", b"T-1", b"Nx", b"Cx"]
)
NOISE = [b"\0", b"\r", b"\n", b"\r\n", b" ", b"\xff", b"get ", b"set ", b"\x80", b"HTTP/1.1", b"-"]


def flags(source: random.Random) -> bytes:
    """Some flags of a meta command."""
    return b"".join(b" " + source.choice(FLAGS) for _ in range(source.choice([0, 1, 1, 2, 3, 5])))


def value(source: random.Random, length: bytes) -> bytes:
    """What comes behind a command that stores a value: a number, or something else."""
    size = int(length) if length.isdigit() else 1
    first, rest = source.choice([(b"123456789", b"123456789"), (b"a", b"abc \r\n")])
    some = bytes(source.choices(first, k=1) + source.choices(rest, k=2000))
    return some[: min(size, 2000)] + b"\r\n"


def command(source: random.Random) -> bytes:
    """A command, with its value; most are right."""
    key, number, end = source.choice(KEYS), source.choice(NUMBERS), source.choice(ENDS)
    time = source.choice(TIMES)
    length = source.choice([b"0", b"1", b"1", b"2", b"30", b"1000", b"-1", b"x"])
    kind = source.randrange(13)
    if kind < 3:
        verb = source.choice([b"set", b"set", b"add", b"replace", b"append", b"prepend", b"cas"])
        token = b" " + source.choice(TOKENS) if verb == b"cas" else b""
        line = b"%s %s %s %s %s%s%s" % (verb, key, number, time, length, token, end)
        return line + b"\r\n" + value(source, length)
    if kind < 5:
        keys = b" ".join(source.choices(KEYS, k=source.choice([1, 1, 2, 8, 40])))
        verb = source.choice([b"get", b"gets", b"gat " + time, b"gats " + time])
        return verb + b" " + keys + b"\r\n"
    if kind < 7:
        return b"ms %s %s%s\r\n" % (key, length, flags(source)) + value(source, length)
    if kind < 10:
        return b"%s %s%s\r\n" % (source.choice([b"mg", b"mg", b"md", b"ma"]), key, flags(source))
    return (
        source.choice(
            [
                b"delete " + key + end,
                b"touch " + key + b" " + time + end,
                b"incr " + key + b" " + number + end,
                b"decr " + key + b" " + number + end,
                b"me " + key + end,
                b"mn" + end,
                b"version",
                b"verbosity " + number + end,
                b"stats " + source.choice([b"reset", b"sizes", b"x"]),
                b"flush_all" + source.choice([b"", b" 0", b" x", b" noreply"]),
            ]
        )
        + b"\r\n"
    )


def spoilt(source: random.Random, line: bytes) -> bytes:
    """The same with something changed, left out or put in."""
    for _ in range(source.choice([0, 0, 1, 1, 3])):  # also a value that is too short or long
        at = source.randrange(len(line) + 1)
        line = line[:at] + source.choice([*NOISE, b""]) + line[at + source.randrange(3) :]
    return line


class Neighbour:
    """A client that says only what is right, and knows what it should hear."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._turn = 0

    def check(self) -> None:
        """Store, read and remove something, in one go."""
        self._turn += 1
        name, text = b"neighbour-%d" % (self._turn % 7), b"%d" % self._turn * (self._turn % 30)
        said = (
            b"set %s 3 0 %d\r\n%s\r\nget %s none %s\r\nmg %s v f k\r\n"
            b"ms %s 1 ME\r\nx\r\ndelete %s\r\n"
            % (name, len(text), text, name, name, name, name, name)
        )
        one = b"VALUE %s 3 %d\r\n%s\r\n" % (name, len(text), text)
        heard = answers(self._talk, said)
        assert heard == (
            b"STORED\r\n%s%sEND\r\nVA %d f3 k%s\r\n%s\r\nNS\r\nDELETED\r\n"
            % (one, one, len(text), name, text)
        ), (said, heard)


def fuzz(converse: Callable[..., Conversation], seed: int, lines: int) -> int:
    """Say so many spoilt lines, on conversations that are exchanged when they are hung up.

    Returns:
        How many conversations it took.
    """
    source = random.Random(seed)
    neighbour, talk, said, begun = Neighbour(converse()), converse(), 0, 1
    while said < lines:
        some = [spoilt(source, command(source)) for _ in range(source.randrange(1, 40))]
        said += len(some)  # each is a line at least
        data, at = b"".join(some), 0
        while at < len(data) and not talk.closing:
            size = source.choice([1, 7, 100, 3000, 100_000])
            answer = answers(talk, data[at : at + size])
            assert answer.endswith(b"\r\n") or not answer
            assert talk.held <= (1 << 20) + 100_000
            at += size
        neighbour.check()
        if talk.closing or source.random() < 0.5:
            talk, begun = converse(), begun + 1
    return begun
