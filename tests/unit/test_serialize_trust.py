# SPDX-License-Identifier: BSD-3-Clause
"""With trust="data", nothing that would need code to be read is stored, and none is run.

The payloads imitate what can be done to a cache of pickles by whoever may write to it
(CVE-2025-69872): a pickle put into the store runs in every reader.
"""

from __future__ import annotations

import builtins
import collections
import copyreg
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import io
import operator
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import types
import uuid
import zoneinfo
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from plib_cache import _plain
from plib_cache._frame import build_frame
from plib_cache._marked import plain_code
from plib_cache.exceptions import SerializationError
from plib_cache.serialize import DefaultSerializer, TypeCode

np = pytest.importorskip("numpy")

CODE = DefaultSerializer("code")
DATA = DefaultSerializer("data")
RAN: list[str] = []


def ran(what: str = "ran") -> str:
    """The side effect that must not happen."""
    RAN.append(what)
    return what


@pytest.fixture(autouse=True)
def nothing_ran() -> Any:
    """No payload of any test may have had an effect."""
    RAN.clear()
    yield
    assert not RAN


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., Any], *args: object) -> None:
        self.reduced = function, args

    def __reduce__(self) -> Any:
        return self.reduced


def framed(
    payload: bytes, code: int = TypeCode.DATA, buffers: tuple[bytes, ...] = ()
) -> memoryview:
    """A frame with a right checksum around a pickle, as an attacker would make it."""
    encoded = build_frame(code, payload, [memoryview(bytearray(b)) for b in buffers])
    return memoryview(bytearray(b"".join(encoded.parts)))


def refused(payload: bytes, buffers: tuple[bytes, ...] = ()) -> SerializationError:
    """The error that reading a hostile pickle must give, with either kind of trust."""
    with pytest.raises(SerializationError):
        CODE.loads(TypeCode.DATA, framed(payload, buffers=buffers))
    with pytest.raises(SerializationError) as info:
        DATA.loads(TypeCode.DATA, framed(payload, buffers=buffers))
    return info.value


def name(text: str) -> bytes:
    """Opcodes that push a string."""
    raw = text.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def constructor(of: str) -> bytes:
    """Opcodes that push one of the constructors that a reader resolves."""
    return name("plib_cache._plain") + name(of) + b"\x93"


HOSTILE = {
    "os.system": Calls(os.system, "true"),
    "eval": Calls(eval, "__import__('tests')"),
    "exec": Calls(exec, "raise KeyboardInterrupt"),
    "own function": Calls(ran),
    "getattr": Calls(getattr, "", "format"),
    "import": Calls(builtins.__import__, "os"),
    "Popen": Calls(subprocess.Popen, ["true"]),
    "partial": Calls(functools.partial, ran),
    "attrgetter": Calls(operator.attrgetter, "system"),
    "open": Calls(open, os.devnull),
    "rmdir": Calls(os.rmdir, "/nonexistent"),
    "path": pathlib.PurePosixPath("/"),
    "function": ran,
    "class": Calls,
    "bytes by codecs": Calls(__import__("codecs").encode, "a", "latin1"),
    "defaultdict": collections.defaultdict(list),
    "OrderedDict": collections.OrderedDict(a=1),
    "object array": np.array([ran], object),
    "record with an object": np.zeros(1, [("a", "O")]),
    "masked array": np.ma.masked_array([1]),
    "dtype": np.dtype("i4"),
    "ufunc": np.add,
}


@pytest.mark.parametrize("which", HOSTILE)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [{"k": (v,)}]], ids=["bare", "nested"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_names_anything_is_refused(which: str, wrap: Any, protocol: int) -> None:
    """What a plain pickler writes for a value that is not plain data is not read."""
    value = wrap(HOSTILE[which])
    refused(pickle.dumps(value, protocol))


@pytest.mark.parametrize("which", HOSTILE)
def test_what_is_not_plain_data_is_not_written(which: str) -> None:
    """The writer refuses what the reader would, and says what to do."""
    for value in (HOSTILE[which], [{"k": (HOSTILE[which],)}]):
        with pytest.raises(SerializationError, match="trust='(data|code)'"):
            DATA.dumps(value)


class Colour(enum.Enum):
    """An enum needs its class to be read."""

    RED = 1


@dataclasses.dataclass
class Point:
    """So does an instance."""

    x: int


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Colour.RED, "Colour"),
        (Point(1), "Point"),
        ([Point(1)], "Point"),
        ({"a": lambda: 1}, "function"),
        (type("Text", (str,), {})("a"), "Text"),
        (collections.namedtuple("Pair", "a")(1), "Pair"),
        (io.StringIO(), "StringIO"),
        (types.SimpleNamespace(), "SimpleNamespace"),
        (object(), "object"),
        (os, "module"),
    ],
)
def test_the_refused_type_is_named(value: object, named: str) -> None:
    """The message says which type is not plain data."""
    with pytest.raises(SerializationError, match=rf"{named} is not plain data"):
        DATA.dumps(value)


@pytest.mark.parametrize(
    "payload",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cposix\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"\x80\x05" + name("os") + name("system") + b"\x93" + name("true") + b"\x85R.",
        b"\x80\x05" + name("plib_cache._plain") + name("numpy.os.system") + b"\x93.",
        b"\x80\x05"
        + name("plib_cache._plain")
        + name("Constructor.__init__.__globals__")
        + b"\x93.",
        b"\x80\x05" + name("plib_cache._plain") + name("CONSTRUCTORS") + b"\x93.",
        b"\x80\x05" + name("plib_cache._plain") + name("Constructor") + b"\x93.",
        b"\x80\x05" + name("plib_cache._plain") + name("pickle") + b"\x93.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
        b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR.",
        b"cnumpy.f2py.crackfortran\nmyeval\n(S'1'\ntR.",
        b"cnumpy.testing\nrunstring\n(S'1'\n}tR.",
        b"Pos\n.",
        b"\x82\x01.",
    ],
    ids=range(18),
)
def test_handmade_pickles_are_refused(payload: bytes) -> None:
    """Every opcode that resolves a name resolves none but the constructors'."""
    refused(payload)


def test_extension_codes_are_refused_even_if_pickle_has_resolved_them() -> None:
    """Pickle keeps what a code stands for, and would not ask again."""
    copyreg.add_extension(__name__, "ran", 240)
    try:
        resolved = b"\x80\x05\x82\xf0."
        sys.modules.setdefault(__name__, types.ModuleType(__name__)).__dict__["ran"] = ran
        assert pickle.loads(resolved) is ran
        refused(resolved[:-1] + b")R.")
        assert DATA.loads(TypeCode.DATA, framed(pickle.dumps([1], 5))) == [1]
    finally:
        copyreg.remove_extension(__name__, "ran", 240)


def test_a_constructor_cannot_be_changed() -> None:
    """The opcodes that set state have no effect on the functions that rebuild values."""
    before = {key: (c._function, c._types, c.name) for key, c in _plain.CONSTRUCTORS.items()}
    for state in (
        b"}" + name("_function") + name("x") + b"sb.",
        b"N}" + name("_function") + name("x") + b"s\x86b.",
        b"N}" + name("__class__") + name("x") + b"s\x86b.",
    ):
        refused(b"\x80\x05" + constructor("make_uuid") + state)
    refused(b"\x80\x05" + constructor("make_uuid") + b")\x81.")
    after = {key: (c._function, c._types, c.name) for key, c in _plain.CONSTRUCTORS.items()}
    assert after == before
    with pytest.raises(AttributeError):
        _plain.make_uuid.name = "x"


def test_shared_objects_cannot_be_changed() -> None:
    """State that a pickle sets on a zone, which the whole process shares, is refused."""
    zone = zoneinfo.ZoneInfo("UTC")
    push = b"\x80\x05" + constructor("make_zone") + name("UTC") + b"\x85R"
    refused(push + b"N}" + name("key") + name("x") + b"s\x86b.")
    refused(push + b"}" + name("key") + name("x") + b"sb.")
    assert zone.key == "UTC"


def call(of: str, *args: object) -> bytes:
    """A pickle that calls a constructor with arguments of the attacker's choice."""
    inner = pickle.dumps(args, 5)[2:-1]
    inner = inner[9:] if inner[:1] == b"\x95" else inner
    return b"\x80\x05" + constructor(of) + inner + b"R."


@pytest.mark.parametrize(
    "payload",
    [
        call("make_array", "O", (1,), False, bytes(8)),
        call("make_array", "|O", (1,), False, bytes(8)),
        call("make_array", [("a", "O")], (1,), False, bytes(8)),
        call("make_array", [("a", [("b", "O")])], (1,), False, bytes(8)),
        call("make_array", "i4,O", (1,), False, bytes(12)),
        call("make_array", "f8", (2,), False, bytes(8)),
        call("make_array", "f8", (-1,), False, bytes(8)),
        call("make_array", "f8", (2**62, 2**62), False, bytes(8)),
        call("make_array", "f8", (True,), False, bytes(8)),
        call("make_array", "f8", ("1",), False, bytes(8)),
        call("make_array", "f8", (1,) * 65, False, bytes(8)),
        call("make_array", "no such type", (1,), False, bytes(8)),
        call("make_array", {"names": ["a"], "formats": ["O"]}, (1,), False, bytes(8)),
        call("make_array", 5, (1,), False, bytes(8)),
        call("make_scalar", "O", bytes(8)),
        call("make_scalar", "f8", bytes(7)),
        call("make_arrow", "table", b"ARROW1"),
        call("make_arrow", "pickle", b""),
        call("make_decimal", 5),
        call("make_decimal", "x"),
        call("make_fraction", "1e999999999", 1),
        call("make_fraction", 1, 0),
        call("make_uuid", -1),
        call("make_zone", "../../etc/passwd"),
        call("make_zone", "/etc/passwd"),
        call("make_date", b"xxxx"),
        call("make_datetime", b"x" * 10, "UTC"),
        call("make_datetime"),
        call("make_timedelta", 1),
        call("make_complex", "1", "2"),
    ],
    ids=range(30),
)
def test_constructors_refuse_arguments_that_make_no_sense(payload: bytes) -> None:
    """Arguments are checked, also those that NumPy or Python would take."""
    refused(payload)


def test_a_constructor_called_by_hand_is_a_fair_control() -> None:
    """The handmade pickles of the other tests are refused for what is in them."""
    assert DATA.loads(TypeCode.DATA, framed(call("make_uuid", 5))) == uuid.UUID(int=5)
    array: Any = DATA.loads(TypeCode.DATA, framed(call("make_array", "f8", (1,), False, bytes(8))))
    assert array.tolist() == [0.0]


def test_pickles_of_trusted_writers_are_refused() -> None:
    """The type code alone is enough: such an entry is not even looked at."""
    for value in ({1: 2}, Calls(ran), lambda: 1):
        encoded = CODE.dumps(value)
        with pytest.raises(SerializationError, match="trust='data'"):
            DATA.loads(encoded.type_code, memoryview(b"".join(encoded.parts)))
    assert CODE.loads(TypeCode.PICKLE5, framed(pickle.dumps(Calls(len, "abc")))) == 3


def test_a_pickle_under_another_code_is_not_run() -> None:
    """A payload gains nothing by calling itself something else."""
    payload = pickle.dumps(Calls(ran))
    for code in range(256):
        if code not in (TypeCode.PICKLE5, TypeCode.CLOUDPICKLE):
            for raw in (framed(payload), memoryview(payload)):
                try:
                    DATA.loads(code, raw)
                except SerializationError:
                    continue
                assert plain_code(code) in (
                    TypeCode.BYTES,
                    TypeCode.STR,
                    TypeCode.BYTEARRAY,
                    TypeCode.MEMORYVIEW,
                )


def test_an_array_header_cannot_ask_for_objects() -> None:
    """The fast encoding of arrays knows no dtype that holds pointers."""
    for dtype in (b"|O", b"O", b"<O8", b"|O8", b"<i4,O", b"|V8,O"):
        head = struct.pack("<BBHIQ", 0, 1, len(dtype), 0, 1) + dtype
        frame = head + bytes(-len(head) % 64) + bytes(8)
        with pytest.raises(SerializationError):
            DATA.loads(TypeCode.NDARRAY, memoryview(bytearray(frame)))


def test_arrow_data_that_lies_about_itself_is_refused() -> None:
    """Offsets beyond a buffer would be read from foreign memory: they are found first."""
    pa = pytest.importorskip("pyarrow")
    encoded = DATA.dumps(pa.array(["abc"] * 100))
    frame = bytearray(b"".join(encoded.parts))
    place = frame.index(struct.pack("<4I", 0, 3, 6, 9))
    struct.pack_into("<I", frame, place + 4, 2**30)
    with pytest.raises(SerializationError, match="Arrow data cannot be read"):
        DATA.loads(encoded.type_code, memoryview(frame))


def test_arrow_extension_types_are_not_plain_data() -> None:
    """To read one is to run the code that is registered under its name."""
    pa = pytest.importorskip("pyarrow")

    class Custom(pa.ExtensionType):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(pa.int64(), "plib.custom")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

    custom = pa.ExtensionArray.from_storage(Custom(), pa.array([1]))
    for value in (custom, pa.table({"a": custom}), pa.table({"a": pa.array([[1]])})):
        if (
            value is not custom
            and "a" in value.schema.names
            and value.schema.field("a").type == pa.list_(pa.int64())
        ):
            DATA.dumps(value)
            continue
        with pytest.raises(SerializationError, match="extension type"):
            DATA.dumps(value)


def test_reading_plain_data_imports_nothing() -> None:
    """A frame without arrays is read by a process that has neither NumPy nor Arrow loaded."""
    value = [1, dt.date(2026, 1, 2), decimal.Decimal("1.5"), Fraction(1, 2)]
    frame = b"".join(DATA.dumps(value).parts)
    script = (
        "import sys; from plib_cache.serialize import DefaultSerializer as S\n"
        "print(S('data').loads(10, memoryview(sys.stdin.buffer.read())))\n"
        "assert not {'numpy', 'pyarrow', 'pandas', 'cloudpickle'} & set(sys.modules)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], input=frame, capture_output=True, check=True, env=env
    )
    assert done.stdout.decode().strip() == repr(value)
