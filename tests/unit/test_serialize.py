# SPDX-License-Identifier: BSD-3-Clause
"""Values survive the way to bytes and back, and bytes that are no values are refused."""

from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import math
import os
import pathlib
import pickle
import random
import resource
import struct
import subprocess
import sys
import threading
import types
import uuid
import zlib
import zoneinfo
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plib_cache.exceptions import ConfigurationError, SerializationError
from plib_cache.serialize import DefaultSerializer, Encoded, TypeCode, default_serializer

np = pytest.importorskip("numpy")

CODE = DefaultSerializer()
DATA = DefaultSerializer("data")
BOTH = pytest.mark.parametrize("serializer", [CODE, DATA], ids=["code", "data"])


def joined(encoded: Encoded) -> bytearray:
    """The frame as the store would hold it."""
    frame = bytearray(b"".join(encoded.parts))
    assert len(frame) == encoded.nbytes
    return frame


def round_trip(value: object, serializer: DefaultSerializer = CODE) -> Any:
    """Write, and read from memory of one's own."""
    encoded = serializer.dumps(value)
    return serializer.loads(encoded.type_code, memoryview(joined(encoded)))


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    return bool(left == right)


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


ARRAYS = {
    **{
        f"kind {dtype}": np.arange(6).reshape(2, 3).astype(dtype)
        for dtype in ("?", "i1", "u2", "<i4", ">i4", "q", "f2", "f4", ">f8", "g", "F", "D", "S3")
    },
    "U": np.array(["a", "\u00e9\u00e9"]),
    "V": np.zeros(3, "V5"),
    "M8": np.array(["2026-01-02", "NaT"], "M8[ns]"),
    "M8 of 25 s": np.array(["2026-01-02"], "M8[25s]"),
    "m8": np.array([1, -1], "m8[ms]"),
    "record": np.array([(1, 2.0, "a")], [("a", "i4"), ("b", ">f8"), ("c", "U3")]),
    "aligned record": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "subarray": np.zeros(2, [("a", "i4", (2, 2))]),
    "zero dimensions": np.array(1.5),
    "zero dimensions of M8": np.array("2026-01-02", "M8[D]"),
    "empty": np.empty((0, 3)),
    "empty Fortran": np.empty((3, 0, 2), order="F"),
    "Fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "strided": np.arange(20)[::3],
    "reversed": np.arange(5)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
    "large": np.arange(10_000.0),
}


@BOTH
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_equal(serializer: DefaultSerializer, name: str) -> None:
    """Every kind of dtype, order and shape survives, alone and in a container."""
    value = ARRAYS[name]
    for back in (round_trip(value, serializer), round_trip([value], serializer)[0]):
        assert type(back) is np.ndarray
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert back.tobytes() == value.tobytes()


@pytest.mark.parametrize("name", ["Fortran", "M8", "zero dimensions", "empty", "large"])
def test_simple_arrays_are_not_pickled(name: str) -> None:
    """The common arrays have an encoding of their own, which keeps the memory order."""
    value = ARRAYS[name]
    assert CODE.dumps(value).type_code == TypeCode.NDARRAY
    assert round_trip(value).flags.f_contiguous == value.flags.f_contiguous


def test_object_arrays_and_subclasses_are_pickled() -> None:
    """Masked arrays, records and arrays of objects keep their type."""
    masked = np.ma.masked_array([1, 2, 3], [0, 1, 0], fill_value=9)
    back = round_trip(masked)
    assert type(back) is type(masked)
    assert back.mask.tolist() == [False, True, False]
    assert back.fill_value == 9
    assert type(round_trip(np.zeros(1, "i4,f4").view(np.recarray))) is np.recarray
    objects = np.array([1, "a", None], object)
    assert round_trip(objects).tolist() == objects.tolist()


@BOTH
@pytest.mark.parametrize(
    "value",
    [np.float64(1.5), np.int8(-1), np.bool_(True), np.str_("a"), np.str_(""), np.bytes_(b"b"),
     np.datetime64("2026-01-02"), np.timedelta64(3, "s"), np.complex64(1j), np.longdouble(1) / 3],
    ids=repr,
)  # fmt: skip
def test_numpy_scalars_keep_their_type(serializer: DefaultSerializer, value: Any) -> None:
    """A float64 is not a float."""
    assert same(round_trip(value, serializer), value)
    assert round_trip(value, serializer).dtype == value.dtype


@BOTH
def test_arrays_are_rebuilt_over_the_memory_without_copying(serializer: DefaultSerializer) -> None:
    """An array shares memory with the frame that it was read from."""
    for value in (np.arange(1000.0), {"a": np.arange(1000.0)}):
        encoded = serializer.dumps(value)
        frame = joined(encoded)
        back = serializer.loads(encoded.type_code, memoryview(frame))
        back = back["a"] if isinstance(back, dict) else back
        assert np.shares_memory(back, np.frombuffer(frame, "u1"))
        assert back.flags.writeable
        back[0] = 7.0
        read_only = serializer.loads(encoded.type_code, memoryview(frame).toreadonly())
        read_only = read_only["a"] if isinstance(read_only, dict) else read_only
        assert not read_only.flags.writeable
        assert read_only[0] == 7.0


@BOTH
def test_a_read_only_array_comes_back_read_only(serializer: DefaultSerializer) -> None:
    """Writability is a property of the value."""
    value = np.arange(1000)
    value.setflags(write=False)
    assert not round_trip(value, serializer).flags.writeable
    assert not round_trip([value], serializer)[0].flags.writeable


@given(lengths=st.lists(st.integers(0, 400), max_size=8))
def test_every_buffer_begins_at_a_multiple_of_64(lengths: list[int]) -> None:
    """An array can be used in place by code that wants aligned memory."""
    for serializer in (CODE, DATA):
        encoded = serializer.dumps([np.arange(n, dtype="u1") for n in lengths])
        offset = 0
        for index, part in enumerate(encoded.parts):
            if index >= 2 and isinstance(part, memoryview):
                assert offset % 64 == 0
            offset += len(part)
    head, _ = CODE.dumps(np.arange(5.0)).parts
    assert len(head) % 64 == 0


def test_a_flat_memoryview_comes_back_as_one() -> None:
    """Bytes in a view stay a view, and other views are refused with a way out."""
    back = round_trip(memoryview(b"abc"))
    assert type(back) is memoryview
    assert back == b"abc"
    for view in (memoryview(b"abcd").cast("I"), memoryview(b"abcd")[::2]):
        with pytest.raises(SerializationError, match=r"bytes\(view\)"):
            CODE.dumps(view)


def test_bytes_that_are_the_whole_memory_are_not_copied() -> None:
    """Bytes read from bytes are the same object."""
    raw = b"abc"
    assert CODE.loads(TypeCode.BYTES, memoryview(raw)) is raw


def test_pandas_comes_back_equal() -> None:
    """Frames, series and indexes are pickled with their blocks out of band."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {"a": np.arange(500.0), "b": ["x"] * 500, "c": pd.Categorical(["y"] * 500)}
    )
    back = round_trip(frame)
    pd.testing.assert_frame_equal(back, frame)
    assert len(CODE.dumps(frame).parts) > 2
    pd.testing.assert_series_equal(round_trip(frame["a"]), frame["a"])
    with pytest.raises(SerializationError, match=r"DataFrame is not plain data.*Arrow table"):
        DATA.dumps(frame)


@BOTH
def test_arrow_comes_back_equal(serializer: DefaultSerializer) -> None:
    """Tables, batches and arrays survive with either trust."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "a": pa.array(range(1000)),
            "b": pa.array(["x", None] * 500),
            "c": pa.array(["u", "v"] * 500).dictionary_encode(),
            "d": pa.array([[1], []] * 500),
        },
        metadata={"k": "v"},
    )
    batch = table.combine_chunks().to_batches()[0]
    for value in (table, batch, batch.column(1), table.column(0), table.slice(10, 5)):
        back = round_trip(value, serializer)
        assert type(back) is type(value)
        assert back.equals(value)
    assert round_trip(table, serializer).schema.metadata == {b"k": b"v"}


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
        (12, b""),
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


def test_pickles_are_of_protocol_5() -> None:
    """The format does not follow the interpreter's default."""
    assert bytes(CODE.dumps(Point(1)).parts[1]).startswith(pickle.PROTO + b"\5")
