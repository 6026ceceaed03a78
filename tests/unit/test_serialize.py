# SPDX-License-Identifier: BSD-3-Clause
"""What is stored comes back as it was: plain data, and whatever can be pickled."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import threading
import types
import uuid
import zoneinfo
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plib_cache.exceptions import ConfigurationError, SerializationError
from plib_cache.serialize import DefaultSerializer, TypeCode, default_serializer

from .stored import BOTH, CODE, DATA, joined, round_trip, same

np = pytest.importorskip("numpy")


class Colour(enum.IntEnum):
    """A subclass of int."""

    RED = 1


class Text(str):
    """A subclass of str."""


class Number(float):
    """A subclass of float."""


@dataclasses.dataclass
class Point:
    """A class that readers can import."""

    x: int
    y: object = None


Pair = collections.namedtuple("Pair", "a b")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(st.characters())  # with lone surrogates
    | st.binary()
    | st.binary().map(bytearray)
)
PLAIN = st.recursive(
    SCALARS | st.complex_numbers(allow_nan=False) | st.datetimes() | st.timedeltas() | st.uuids(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers())
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


@given(value=PLAIN)
def test_plain_data_comes_back_equal_and_of_the_same_type(value: object) -> None:
    """Scalars and containers survive with either trust."""
    assert same(round_trip(value, CODE), value)
    assert same(round_trip(value, DATA), value)


@pytest.mark.parametrize(
    ("value", "code", "raw"),
    [
        (b"a", TypeCode.BYTES, b"a"),
        ("\u00e9", TypeCode.STR, b"\xc3\xa9"),
        ("\ud800", TypeCode.STR, b"\xed\xa0\x80"),
        (-7, TypeCode.INT, b"-7"),
        (1.5, TypeCode.FLOAT, struct.pack("<d", 1.5)),
        (True, TypeCode.BOOL, b"\1"),
        (None, TypeCode.NONE, b""),
        (bytearray(b"a"), TypeCode.BYTEARRAY, b"a"),
    ],
)
def test_the_stored_form_of_scalars_is_fixed(value: object, code: int, raw: bytes) -> None:
    """Type codes and bytes are a format that other programs read."""
    encoded = CODE.dumps(value)
    assert (encoded.type_code, joined(encoded)) == (code, raw)
    assert same(round_trip(value), value)


@BOTH
@pytest.mark.parametrize("bits", [0, 1, 63, 64, 2048, 2049, 100_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_integers_of_any_size_survive(serializer: DefaultSerializer, bits: int, sign: int) -> None:
    """Python's limit on decimal digits does not limit what can be stored."""
    value = sign * ((1 << bits) - 1)
    assert same(round_trip(value, serializer), value)


def test_an_integer_is_read_with_the_padding_that_memcached_leaves() -> None:
    """A counter that lost a digit is padded with a blank."""
    assert CODE.loads(TypeCode.INT, memoryview(b"9 ")) == 9


@pytest.mark.parametrize("bits", [0x8000000000000000, 0x7FF8000000000ABC, 0xFFF8000000000001])
def test_the_bits_of_a_float_survive(bits: int) -> None:
    """The sign of zero and the payload of NaN are part of the value."""
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    assert struct.pack("<d", round_trip(value)) == struct.pack("<Q", bits)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Text("a"),
        Number(1.5),
        Point(1, [2]),
        Pair(1, 2),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        range(5),
        slice(1, 2),
        pathlib.PurePosixPath("/a"),
        array.array("d", [1.0]),
        len,
        math.sqrt,
        Point,
        ValueError,
        types.SimpleNamespace(a=1),
        Ellipsis,
    ],
    ids=repr,
)
def test_other_values_are_pickled(value: object) -> None:
    """Subclasses of scalars, instances, functions and classes come back as what they were."""
    assert CODE.dumps(value).type_code == TypeCode.PICKLE5
    assert same(round_trip(value), value)


@pytest.mark.parametrize(
    "value",
    [
        dt.date(2026, 1, 2),
        dt.time(1, 2, 3, 4, dt.timezone.utc),
        dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=1), "x"), fold=1),
        dt.datetime(2026, 7, 2, 3, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        dt.timedelta(days=-1, microseconds=7),
        decimal.Decimal("1.10"),
        decimal.Decimal("-Infinity"),
        Fraction(-1, 3),
        uuid.UUID(int=5),
        complex(1, -0.0),
        range(1, 9, 3),
        {"nested": [(1, {2, 3}), frozenset({"a"})]},
    ],
    ids=repr,
)
def test_plain_types_survive_without_trust(value: object) -> None:
    """Types beyond what a pickle has opcodes for are plain data too."""
    if zoneinfo.TZPATH or not isinstance(value, dt.datetime):
        assert DATA.dumps(value).type_code == TypeCode.DATA
        assert same(round_trip(value, DATA), value)
        assert same(CODE.loads(TypeCode.DATA, memoryview(joined(DATA.dumps(value)))), value)


def test_lambdas_and_local_classes_go_by_value() -> None:
    """What pickle refuses, cloudpickle stores."""

    class Local:
        def __init__(self) -> None:
            self.a = np.arange(100.0)

    offset = 5
    encoded = CODE.dumps(lambda x: x + offset)
    assert encoded.type_code == TypeCode.CLOUDPICKLE
    assert round_trip(lambda x: x + offset)(1) == 6
    back = round_trip(Local())
    assert type(back) is Local
    assert back.a.tolist() == list(range(100))


WRITER = """
import enum, sys, dataclasses
from plib_cache.serialize import DefaultSerializer
@dataclasses.dataclass
class Mine:
    x: int
    def double(self): return helper(self.x)
class Kind(enum.Enum):
    A = "a"
def helper(x): return 2 * x
encoded = DefaultSerializer().dumps({"mine": Mine(21), "kind": Kind.A, "function": helper})
assert encoded.type_code == 9
assert isinstance(DefaultSerializer().loads(9, memoryview(b"".join(encoded.parts)))["mine"], Mine)
sys.stdout.buffer.write(b"".join(encoded.parts))
"""


def test_what_is_defined_in_main_can_be_read_by_another_program() -> None:
    """Classes and functions of a script are stored by value."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER], capture_output=True, check=True, env=child()
    )
    back: Any = CODE.loads(TypeCode.CLOUDPICKLE, memoryview(done.stdout))
    assert back["mine"].double() == 42
    assert back["kind"].value == "a"
    assert back["function"](4) == 8


def child() -> dict[str, str]:
    """An environment in which another interpreter finds the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_missing_class_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot import a class learns which one."""
    module = types.ModuleType("gone_tomorrow")
    exec("class Thing: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_tomorrow", module)
    frame = memoryview(joined(CODE.dumps(module.Thing())))
    del module.Thing
    with pytest.raises(SerializationError, match=r"needs gone_tomorrow\.Thing"):
        CODE.loads(TypeCode.PICKLE5, frame)
    monkeypatch.delitem(sys.modules, "gone_tomorrow")
    with pytest.raises(SerializationError, match=r"needs gone_tomorrow\.Thing.*[Ii]nstall"):
        CODE.loads(TypeCode.PICKLE5, frame)


def test_what_cannot_be_stored_is_named_with_its_place() -> None:
    """The message leads to the culprit, and the reason is chained."""
    value = {"job": [1, Point(1, threading.Lock())]}
    with pytest.raises(
        SerializationError, match=r"_thread\.lock at value\['job'\]\[1\]\.y"
    ) as info:
        CODE.dumps(value)
    assert isinstance(info.value.__cause__, TypeError)
    with pytest.raises(SerializationError, match="generator"):
        CODE.dumps(i for i in ())


def test_endless_values_are_refused() -> None:
    """Too deep a nesting is an error of the value, not of the interpreter."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for serializer in (CODE, DATA):
        with pytest.raises(SerializationError):
            serializer.dumps(deep)


def test_a_value_may_refer_to_itself() -> None:
    """Pickle keeps cycles, and so do both kinds of trust."""
    value: list[Any] = [1]
    value.append(value)
    for serializer in (CODE, DATA):
        back = round_trip(value, serializer)
        assert back[1] is back


def test_an_unknown_trust_is_refused() -> None:
    """There are two kinds of trust."""
    assert default_serializer("data").name == "default-data"
    with pytest.raises(ConfigurationError, match="'code' or 'data'"):
        DefaultSerializer("all")  # type: ignore[arg-type]


def test_pickles_are_of_protocol_5() -> None:
    """The format does not follow the interpreter's default."""
    assert bytes(CODE.dumps(Point(1)).parts[1]).startswith(pickle.PROTO + b"\5")
