# SPDX-License-Identifier: BSD-3-Clause
"""Bytes that are no value, or are damaged, give one error, or a value: never more."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pathlib
import random
import resource
import struct
import zlib
from fractions import Fraction
from typing import Any

import pytest

from plib_cache.exceptions import SerializationError
from plib_cache.serialize import TypeCode

from .stored import CODE, DATA, joined

np = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        (TypeCode.STR, b"\xff"),
        (TypeCode.INT, b""),
        (TypeCode.INT, b"1x"),
        (TypeCode.INT, b"9" * 641),
        (TypeCode.FLOAT, b"1234567"),
        (TypeCode.BOOL, b"\2"),
        (TypeCode.BOOL, b""),
        (TypeCode.NONE, b"x"),
        (TypeCode.NDARRAY, b""),
        (TypeCode.NDARRAY, bytes(64)),
        (TypeCode.PICKLE5, b""),
        (TypeCode.PICKLE5, struct.pack("<IIQ", 2**32 - 1, 1, 2**64 - 1)),
        (TypeCode.DATA, struct.pack("<IIQ", 0, 0, 0)),
        (15, b""),
        (28, b""),
        (255, b"x"),
    ],
)
def test_bytes_that_are_no_value_are_refused(code: int, raw: bytes) -> None:
    """Damage is one error, whose message says that the entry counts as absent."""
    with pytest.raises(SerializationError, match="damaged; it is treated as absent"):
        CODE.loads(code, memoryview(raw))


@pytest.fixture
def bounded_memory() -> Any:
    """A damaged pickle may ask for any amount of memory; the machine is not to be hurt."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 29), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def stamped(frame: bytes) -> bytearray:
    """The frame with its checksum made right, as someone would who damages on purpose."""
    stamp = bytearray(frame)
    if len(frame) >= 16:
        count, _, length = struct.unpack_from("<IIQ", frame)
        struct.pack_into("<I", stamp, 4, zlib.crc32(frame[16 : 16 + 24 * count + length]))
    return stamp


def mutated(frame: bytes, rng: random.Random) -> bytearray:
    """The frame with a few bytes changed, cut off or added."""
    damaged = bytearray(frame)
    for _ in range(rng.randint(1, 4)):
        choice = rng.random()
        if choice < 0.8 and damaged:
            damaged[rng.randrange(len(damaged))] = rng.choice(
                [0, 1, 0x7F, 0x80, 255, rng.randrange(256)]
            )
        elif choice < 0.9:
            del damaged[rng.randrange(len(damaged) + 1) :]
        else:
            damaged += rng.randbytes(rng.randint(1, 100))
    return damaged


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("bounded_memory")
def test_damaged_frames_give_a_value_or_one_error() -> None:
    """Whatever bytes are read, nothing but SerializationError is raised."""
    seed = int(os.environ.get("PLIB_TEST_SEED", "20260101"))
    print("PLIB_TEST_SEED =", seed)
    rng = random.Random(seed)
    values = [
        {"a": [1, 2.5, "x", b"y", None], "b": dt.datetime(2026, 1, 1)},
        [np.arange(40.0), np.arange(3)],
        np.arange(30).reshape(5, 6),
        np.array(["2026-01-02"], "M8[ns]"),
        Fraction(1, 3),
    ]
    for serializer in (CODE, DATA):
        for value in values:
            encoded = serializer.dumps(value)
            frame = bytes(joined(encoded))
            for _ in range(1500):
                bad = mutated(frame, rng)
                if serializer is DATA and rng.random() < 0.8:
                    bad = stamped(bad)
                with contextlib.suppress(SerializationError):
                    serializer.loads(encoded.type_code, memoryview(bad))


def test_the_frame_may_not_be_longer_or_shorter_than_its_rows_say() -> None:
    """Every prefix of a frame is refused, and so is one byte more."""
    encoded = CODE.dumps([np.arange(40.0), np.arange(30.0)])
    frame = joined(encoded)
    for end in [*range(len(frame) - 1), len(frame) + 1]:
        with pytest.raises(SerializationError):
            CODE.loads(encoded.type_code, memoryview((frame + b"\0")[:end]))


@pytest.mark.parametrize("nbytes", [2**20 - 1, 2**20])
@pytest.mark.parametrize("alone", [True, False])
def test_a_buffer_has_one_legal_place(nbytes: int, alone: bool) -> None:
    """A frame whose last buffer lies at another aligned offset is refused, rows and all."""
    value = np.zeros(nbytes, "u1")
    encoded = CODE.dumps(value if alone else [value])
    legal = encoded.nbytes - nbytes
    head = bytes(joined(encoded)[: 4 * 64])
    for start in {64, 128, 256, 4096, 8192, legal - 64, legal + 64} - {0, legal}:
        frame = bytearray(start + nbytes)
        frame[: min(start, len(head))] = head[: min(start, len(head))]
        if not alone:
            struct.pack_into("<Q", frame, 16, start)
            frame = stamped(frame)
        with pytest.raises(SerializationError, match="contradicts|makes no sense|checksum"):
            CODE.loads(encoded.type_code, memoryview(frame))
    assert np.array_equal(whole(CODE.loads(encoded.type_code, memoryview(joined(encoded)))), value)


def whole(value: Any) -> Any:
    """The array, alone or in a list."""
    return value[0] if isinstance(value, list) else value


def test_a_class_that_fails_to_load_is_one_error() -> None:
    """Whatever a class raises while it is rebuilt is chained."""
    frame = joined(CODE.dumps(Grumpy()))
    with pytest.raises(SerializationError) as info:
        CODE.loads(TypeCode.PICKLE5, memoryview(frame))
    assert isinstance(info.value.__cause__, KeyError)


class Grumpy:
    """Can be stored but not rebuilt."""

    def __reduce__(self) -> Any:
        return grumble, ()


def grumble() -> None:
    """Raise what no pickle would."""
    raise KeyError("no")
