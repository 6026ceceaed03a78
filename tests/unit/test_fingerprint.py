# SPDX-License-Identifier: BSD-3-Clause
"""Fingerprints of values: equal for equal content, and for nothing else."""

from __future__ import annotations

import array
import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import io
import itertools
import math
import operator
import os
import pathlib
import pickle
import random
import re
import socket
import subprocess
import sys
import threading
import types
import uuid
import weakref
import zoneinfo
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plib_cache.exceptions import UnhashableArgumentError
from plib_cache.keys import fingerprint

np = pytest.importorskip("numpy")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats(allow_nan=False).filter(lambda x: x != 0 or math.copysign(1, x) > 0)
    | st.text(st.characters(), max_size=3)
    | st.binary(max_size=3)
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(SCALARS, inner, max_size=3)
        | st.sets(SCALARS, max_size=3)
        | st.frozensets(SCALARS, max_size=3)
    ),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """The value with the types of everything in it, comparable by ==."""
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        return kind, [typed(item) for item in value]
    if isinstance(value, dict):
        return kind, sorted((repr(typed(k)), typed(v)) for k, v in value.items())
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(typed(item)) for item in value)
    return kind, value


@given(left=PLAIN, right=PLAIN)
def test_fingerprints_are_equal_exactly_for_equal_values(left: Any, right: Any) -> None:
    """Equal and of the same types all the way down."""
    assert (fingerprint(left) == fingerprint(right)) == (typed(left) == typed(right))


@given(value=PLAIN)
def test_a_copy_has_the_same_fingerprint(value: Any) -> None:
    """The identity of objects does not matter, nor which of them are shared."""
    assert fingerprint(value) == fingerprint(copy.deepcopy(value))
    assert fingerprint([value, value]) == fingerprint([value, copy.deepcopy(value)])


@given(pairs=st.lists(st.tuples(SCALARS, PLAIN), max_size=5), seed=st.randoms())
def test_the_order_of_dicts_and_sets_does_not_matter(pairs: Any, seed: random.Random) -> None:
    """Equal dicts and sets have one fingerprint."""
    unique = list(dict(pairs).items())
    shuffled = unique[:]
    seed.shuffle(shuffled)
    assert fingerprint(dict(unique)) == fingerprint(dict(shuffled))
    assert fingerprint({k for k, _ in unique}) == fingerprint({k for k, _ in shuffled})


class Colour(enum.Enum):
    """An enum."""

    RED = 1
    BLUE = 2


class Level(enum.IntFlag):
    """A flag."""

    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: object
    y: object = 0


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A frozen dataclass."""

    x: int


class Slotted:
    """State in slots, one of them private."""

    __slots__ = ("__b", "a")

    def __init__(self, a: object, b: object) -> None:
        self.a = a
        self.__b = b


class Child(Slotted):
    """Slots and a dict."""

    def __init__(self) -> None:
        super().__init__(1, 2)
        self.c = 3


class Keyed:
    """Says what matters."""

    def __init__(self, key: object) -> None:
        self.lock = threading.Lock()
        self.key = key

    def __plib_key__(self) -> object:
        return self.key


class Dasked(Keyed):
    """Says so to dask."""

    __plib_key__ = None  # type: ignore[assignment]

    def __dask_tokenize__(self) -> object:
        return self.key


class Lazy:
    """Remembers a result."""

    def __init__(self) -> None:
        self.n = 2

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.n


class MyInt(int):
    """A subclass of int."""


class MyList(list):  # type: ignore[type-arg]
    """A subclass of list."""


class MySet(set):  # type: ignore[type-arg]
    """A subclass of set."""


class MyDict(dict):  # type: ignore[type-arg]
    """A subclass of dict."""


class Stateful:
    """Chooses its state."""

    def __init__(self, kept: int, dropped: int) -> None:
        self.kept, self.dropped = kept, dropped

    def __getstate__(self) -> object:
        return self.kept


Pair = collections.namedtuple("Pair", "a b")


def module_level() -> None:
    """A function."""


DIFFERENT: list[Any] = [
    dt.date(2026, 1, 2), dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 2, fold=1),
    dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc),
    dt.datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC")),
    dt.time(1), dt.timedelta(1), dt.timedelta(0, 1), dt.timezone.utc,
    dt.timezone(dt.timedelta(hours=1)), zoneinfo.ZoneInfo("UTC"),
    decimal.Decimal("1"), decimal.Decimal("1.0"), Fraction(1), uuid.UUID(int=1),
    pathlib.PurePosixPath("/a"), pathlib.PosixPath("/a"), pathlib.PureWindowsPath("/a"), "/a",
    range(3), range(0, 3, 2), slice(3), 1j, complex(0.0, -1.0), 1, 1.0, True, MyInt(1), Colour.RED,
    Colour.BLUE, Level.LOW, Level.LOW | Level.HIGH, Point(1), Point(1, 1), Point("1"), Frozen(1),
    Slotted(1, 2), Slotted(2, 1), Child(), Keyed(1), Keyed(2), Dasked(1), Dasked(2), Lazy(),
    Stateful(1, 2), Pair(1, 2), (1, 2), [1, 2], MyList([1, 2]), {1, 2}, MySet([1, 2]),
    frozenset([1, 2]), {1: 2}, MyDict({1: 2}), collections.OrderedDict([(1, 2), (3, 4)]),
    collections.OrderedDict([(3, 4), (1, 2)]), collections.defaultdict(list, {1: 2}),
    collections.Counter({1: 2}), collections.deque([1, 2]), collections.deque([1, 2], 2),
    types.SimpleNamespace(a=1), types.MappingProxyType({1: 2}), re.compile("a"),
    re.compile("a", re.I), re.compile(b"a"), bytearray(b"a"), b"a", memoryview(b"a"),
    array.array("b", b"a"), array.array("B", b"a"), Ellipsis, NotImplemented, None,
    int, str, Colour, Point, len, math.sqrt, math, operator, module_level, Point.__init__,
    functools.partial(module_level), functools.partial(module_level, 1), [].append, [1].append,
    Keyed(1).__plib_key__, Keyed(2).__plib_key__, lambda: 1, lambda: 2,
    functools.lru_cache(len), ValueError("a"), ValueError("b"), KeyError("a"), list[int],
    operator.itemgetter(1), operator.itemgetter(2), np.add, np.multiply, np.dtype("i4"),
    np.dtype("i8"), np.dtype([("a", "i4")]), np.int32, np.int32(1), np.int64(1), np.float64(1),
    np.array(1), np.array([1]), np.array([[1]]), np.array([1.0]), np.array([1], ">i8"),
    np.array([1], object), np.array(["1"], object), np.array(["1"]), np.array([b"1"]),
    np.array([0], "M8[s]"), np.array([0], "M8[ms]"), np.array([0], "m8[s]"), np.zeros((0, 2)),
    np.zeros((2, 0)), np.ma.masked_array([1, 2], [0, 1]), np.ma.masked_array([1, 2], [1, 0]),
    np.array([(1, 2)], "i4,i4"), np.array([(1, 2)], "i4,i8"), np.zeros(1, "V3"),
    np.datetime64("2026-01-02"), np.str_("a"), np.longdouble(1),
    np.random.RandomState(1), np.random.RandomState(2), random.Random(1), random.Random(2),
]  # fmt: skip


def test_values_that_differ_have_different_fingerprints() -> None:
    """No two of many kinds of values collide, alone or in a container."""
    for wrap in (lambda x: x, lambda x: [x], lambda x: {"k": x}):
        prints = [fingerprint(wrap(value)) for value in DIFFERENT]
        clashes = [
            (a, b) for (i, a), (j, b) in itertools.combinations(enumerate(DIFFERENT), 2)
            if prints[i] == prints[j]
        ]  # fmt: skip
        assert not clashes


def test_values_that_are_rebuilt_have_the_same_fingerprint() -> None:
    """What went through pickle is what it was."""
    for value in DIFFERENT:
        try:
            again = pickle.loads(pickle.dumps(value, 5))
        except Exception:
            continue
        if not isinstance(value, types.MethodType):
            assert fingerprint(again) == fingerprint(value), value


def test_what_does_not_matter_does_not_count() -> None:
    """Remembered results, dropped state, and what a class leaves out of its key."""
    lazy = Lazy()
    before = fingerprint(lazy)
    assert lazy.double == 4
    assert fingerprint(lazy) == before
    assert fingerprint(Stateful(1, 2)) == fingerprint(Stateful(1, 3))
    assert fingerprint(Keyed(1)) == fingerprint(Keyed(1))
    assert fingerprint(Dasked([1])) == fingerprint(Dasked([1]))


def local_enum(value: int) -> Any:
    """A member of a class whose name does not lead to it."""

    class Local(enum.Enum):
        ONE = value
        TWO = 2

    return Local.ONE


def test_members_of_a_local_enum() -> None:
    """They are known by their class, which they are in themselves."""
    one = local_enum(1)
    assert fingerprint(one) == fingerprint(local_enum(1))
    others = [type(one).TWO, local_enum(3), type(one)]
    assert len({fingerprint(value) for value in (one, *others)}) == 4


def running() -> Any:
    """A generator that has begun."""
    yield 1


async def coroutine() -> None:
    """Never awaited."""


def unstable() -> list[Any]:
    """Values that have no content that another process could see."""
    return [
        object(), threading.Lock(), threading.RLock(), threading.Event(), running(), iter([1]),
        iter(()), map(len, []), zip(), itertools.count(), enumerate([]), io.StringIO("a"),
        weakref.ref(Point), threading.local(), weakref.WeakValueDictionary(),
        sys._getframe(), module_level.__code__,
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(17))
def test_values_without_content_are_refused(index: int) -> None:
    """Also inside of others, and the message names them."""
    value = unstable()[index]
    name = type(value).__name__
    for wrapped in (value, [value], {"k": (value,)}, Point(value), functools.partial(len, value)):
        with pytest.raises(UnhashableArgumentError, match="cannot be hashed stably") as info:
            fingerprint(wrapped)
    if index != 3:
        assert re.search(f"{name}|[lL]ock|ReferenceType", str(info.value))


def test_open_things_are_refused(tmp_path: pathlib.Path) -> None:
    """Files, sockets and coroutines."""
    unawaited = coroutine()
    with open(tmp_path / "f", "wb") as file, socket.socket() as sock:
        for value in (file, sock, unawaited):
            with pytest.raises(UnhashableArgumentError):
                fingerprint(value)
    unawaited.close()


def test_the_place_of_the_culprit_is_told() -> None:
    """Through containers and attributes."""
    with pytest.raises(UnhashableArgumentError, match=r"_thread\.lock at \['a'\]\[1\]\.x\[0\]"):
        fingerprint({"a": [1, Point([threading.Lock()])]})


def test_cycles_and_deep_nesting_are_refused() -> None:
    """They would have no end."""
    cycle: list[Any] = []
    cycle.append({"k": (cycle,)})
    node = Point(1)
    node.y = node
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, node, deep):
        with pytest.raises(UnhashableArgumentError):
            fingerprint(value)


def test_a_value_may_occur_twice() -> None:
    """Only what contains itself is refused."""
    part = [1, {"a": object}]
    assert fingerprint([part, part, (part,)]) == fingerprint([part[:], part[:], (part[:],)])


def local_class(n: int) -> type:
    """A class whose name does not lead to it."""

    class Local:
        def method(self) -> object:
            return super().__hash__(), n

    return Local


def test_local_classes_differ_by_their_methods() -> None:
    """Two classes of one name are two."""
    assert fingerprint(local_class(1)) == fingerprint(local_class(1))
    assert fingerprint(local_class(1)) != fingerprint(local_class(2))
    assert fingerprint(local_class(1)()) != fingerprint(local_class(2)())


GOLDEN: list[tuple[Any, str]] = [
    ([1, [2.5, "a"], {"k": {1, 2}, 3: None}, (b"x", True)], "c1c27e2b460b7adbf958d5363c2f3d34"),
    (
        [dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone.utc), dt.timedelta(1), dt.date(1, 1, 1)],
        "dbeb92556639ec0e41b1fef68b2c4f6d",
    ),
    (
        [decimal.Decimal("1.10"), Fraction(1, 3), uuid.UUID(int=7), range(3), 1j],
        "10e5027cbdf2f29f72ce5e63452f08d2",
    ),
    (
        [pathlib.PurePosixPath("/a"), re.compile("a"), collections.deque([1]), len, int],
        "bf1fd095f3aad030943e72229caeebeb",
    ),
    (
        [operator.itemgetter(1), functools.partial(len, [1]), ValueError("x"), math],
        "1e996299747d149369fc4030c9e6bb6c",
    ),
    (
        [np.arange(6, dtype="<i4").reshape(2, 3), np.float32(1.5), np.dtype("<f8")],
        "86ee3172b252d49a2ad135dd6f8cedd1",
    ),
]


@pytest.mark.parametrize(("value", "expected"), GOLDEN, ids=range(len(GOLDEN)))
def test_golden_fingerprints(value: Any, expected: str) -> None:
    """The same under every version of Python."""
    assert fingerprint(value).hex() == expected


def test_fingerprints_import_nothing() -> None:
    """Libraries that a program does not use are not loaded, and do not change keys."""
    script = (
        "import sys\n"
        "if len(sys.argv) > 1: import numpy, pandas, pyarrow\n"
        "from plib_cache.keys import fingerprint\n"
        "import collections, decimal\n"
        "print(fingerprint([1, {'a': decimal.Decimal(1)}, collections.deque([1])]).hex())\n"
        "assert len(sys.argv) > 1 or not {'numpy', 'pandas', 'pyarrow'} & set(sys.modules)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answers = {
        subprocess.run(
            [sys.executable, "-c", script, *more], capture_output=True, check=True, env=env
        ).stdout
        for more in ([], ["all"])
    }
    assert len(answers) == 1
