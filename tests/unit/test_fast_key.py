"""BLAKE2b in C, and the digest of arguments in C: the same bytes as hashlib and keys give."""

from __future__ import annotations

import hashlib
import marshal
import math
import random
import struct
from typing import Any

import pytest

from plib_cache import _core
from plib_cache.keys import args_digest

from .hot import must_be_there

must_be_there()
fast = _core.fast.fast
assert fast is not None

# RFC 7693, appendix A, and the official test vectors without a key.
VECTORS = {
    b"abc": (
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
    ),
    b"": (
        "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
        "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce"
    ),
}


@pytest.mark.parametrize("data", VECTORS)
def test_blake2b_vectors(data: bytes) -> None:
    """The digests that the RFC gives."""
    assert fast.blake2b(data, 64).hex() == VECTORS[data]


def test_blake2b_self_test() -> None:
    """The self-test of RFC 7693, appendix E, as far as it has no keys: one digest over many."""

    def sequence(length: int, seed: int) -> bytes:
        a, b, out = (0xDEAD4BAD * seed) & 0xFFFFFFFF, 1, bytearray()
        for _ in range(length):
            a, b = b, (a + b) & 0xFFFFFFFF
            out.append(b >> 24)
        return bytes(out)

    ours, theirs = bytearray(), bytearray()
    for size in (20, 32, 48, 64):
        for length in (0, 3, 128, 129, 255, 1024):
            data = sequence(length, length)
            ours += fast.blake2b(data, size)
            theirs += hashlib.blake2b(data, digest_size=size).digest()
    assert ours == theirs


def test_blake2b_all_lengths() -> None:
    """Every length of data around four blocks and a half, every length of digest."""
    data = random.Random(7693).randbytes(600)
    for length in range(601):
        part = data[:length]
        for size in (16, 1 + length % 64):
            expected = hashlib.blake2b(part, digest_size=size).digest()
            assert fast.blake2b(part, size) == expected, (length, size)


SPECIAL: list[Any] = [
    None, True, False, 0, 1, -1, 127, 128, 2**15, -(2**15), 2**30, 2**31 - 1, 2**31, -(2**31),
    -(2**31) - 1, 2**32, 2**45, 2**45 - 1, 2**60 - 1, 2**60, 2**63 - 1, 2**63, -(2**63),
    -(2**63) - 1, 2**64, 10**40, -(10**700), 0.0, -0.0, 1.0, 5e-324, 1.7e308, math.inf, -math.inf,
    math.nan, -math.nan, struct.unpack("<d", b"\1\2\3\0\0\0\xf4\x7f")[0], "", "a", "abc", "ä",
    "€" * 20, "\U0001f600", "\ud800", "a\udfffb", "x" * 127, "x" * 128, "x" * 1900, "é" * 900, b"",
    b"\0", b"abc", b"y" * 1900, (), ((),), (1,), (1, "a"), (1, (2, (3, (4,)))), ((1,), 2, ("b",)),
    (math.nan, -0.0), ("\ud800", (b"", None)),
]  # fmt: skip


def random_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(9 if depth < 5 else 7)
    if kind == 0:
        return chance.choice(SPECIAL)
    if kind in (1, 2):
        return chance.randrange(-1, 2) * chance.getrandbits(chance.choice((8, 16, 31, 33, 64, 300)))
    if kind == 3:
        return struct.unpack("<d", chance.randbytes(8))[0]
    if kind == 4:
        return "".join(chr(chance.choice((65, 233, 8364, 0x1F600))) for _ in range(kind))
    if kind == 5:
        return "k" * chance.randrange(40)
    if kind == 6:
        return chance.randbytes(chance.randrange(200))
    return tuple(random_value(chance, depth + 1) for _ in range(chance.randrange(4)))


def test_digest_of_special_arguments() -> None:
    """Each alone, and in pairs."""
    known = 0
    for first in SPECIAL:
        for bound in [(first,), *((first, second) for second in SPECIAL)]:
            ours = fast.args_digest(bound)
            assert ours in (None, args_digest(bound)), bound
            known += ours is not None
    assert known > 0.9 * len(SPECIAL) ** 2  # None is "too long for the buffer"


def test_digest_of_random_arguments() -> None:
    """Thousands of tuples of scalars and tuples, nested."""
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)
    chance = random.Random(seed)
    known = 0
    for _ in range(20_000):
        bound = tuple(random_value(chance) for _ in range(chance.randrange(5)))
        ours = fast.args_digest(bound)
        assert ours in (None, args_digest(bound)), bound
        known += ours is not None
    assert known > 19_000


class Number(int):
    """Not an exact scalar."""


@pytest.mark.parametrize(
    "item", [[1], {1: 2}, {1}, 1j, Number(1), bytearray(b"a"), object(), "x" * 5000, (1, [2])]
)
def test_digest_that_only_python_knows(item: Any) -> None:
    """What is no exact scalar or tuple, or too long, is left to the general path."""
    assert fast.args_digest((item,)) is None
    assert fast.args_digest((1, "a", item)) is None


def test_digest_of_deep_tuples() -> None:
    """Tuples are followed to a bounded depth, and left to the general path behind it."""
    deep: Any = (1, [])[:1]
    answers = []
    for _ in range(2000):
        deep = (deep, 1)
        answers.append(fast.args_digest((deep,)))
    assert answers[0] is not None
    assert answers[-1] is None


# ---- digests that are remembered (fast_digest.c) -------------------------------------------------


def test_remembered_digests() -> None:
    """What is asked for again and again, in any order and among others, is what it is at first."""
    chance = random.Random(4711)
    calls: list[tuple[Any, ...]] = [(value,) for value in SPECIAL]
    calls += [(number,) for number in range(3000)]
    calls += [(chance.randbytes(size % 50),) for size in range(3000)]  # some are too long for it
    calls += [(f"{number}", number % 7) for number in range(3000)]
    expected = [args_digest(call) for call in calls]
    for _ in range(3):
        for i in chance.sample(range(len(calls)), len(calls)):
            assert fast.args_digest(calls[i]) in (expected[i], None), calls[i]


def _mixed(hashed: int, word: int) -> int:
    """A step of ``hash_of`` in fast_digest.c."""
    hashed = ((hashed ^ word) * 0x9E3779B97F4A7C15) % 2**64
    return hashed ^ hashed >> 32


def test_remembered_digests_of_one_hash() -> None:
    """Arguments that share a place and a tag in the table are told apart by all their bytes."""
    calls = []
    for number in range(40):
        head = marshal.dumps((bytes(37),), 2)[:16]  # what stands before the bytes, and 6 of them
        first, second = struct.unpack("<2Q", head)
        before = _mixed(_mixed(0, first), second)
        fourth = _mixed(before, number) ^ 0xC0FFEE  # so all are alike behind it
        calls.append((bytes(6) + struct.pack("<2Q", number, fourth) + bytes(15),))
    for call in 2 * calls:
        assert fast.args_digest(call) == args_digest(call)
