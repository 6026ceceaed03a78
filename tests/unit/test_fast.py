"""The hot path in C: the same answers as the general path gives, one core, the GIL, no leaks."""

from __future__ import annotations

import datetime
import gc
import inspect
import math
import pickle
import random
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import plib_cache
from plib_cache import Cache, ClosedError, PlibCacheWarning
from plib_cache._core import SET, Terms, binding
from plib_cache._frame import Encoded
from plib_cache._memo import Missed
from plib_cache.exceptions import SerializationError

if binding() != "fast":
    pytest.skip("asked for the cffi binding alone", allow_module_level=True)

OPERATIONS = ["get", "set", "delete", "incr", "decr", "get_many"]
fast: Any = sys.modules["plib_cache._fast"]
native = sys.modules["plib_cache._native"]


class Text(str):
    """Not an exact key."""


class Raw(bytes):
    """Not an exact key or value."""


class Whole(int):
    """Not an exact value."""


KEYS: list[Any] = [
    "a", b"a", "key", "ä€\U0001f600", b"\0\xff", "k" * 4096, b"k" * 4096, "é" * 2048, Text("sub"),
    Raw(b"sub"),
]  # fmt: skip
NO_KEYS: list[Any] = [
    "", b"", "k" * 4097, b"k" * 4097, "é" * 2049, "\ud800", 1, None, ("a",), bytearray(b"a"),
    Text(""), memoryview(b"a"),
]  # fmt: skip
VALUES: list[Any] = [
    b"", b"a", b"x" * 128, b"x" * 16384, b"x" * 16385, b"x" * 65536, b"x" * 65537, b"y" * 300_000,
    "", "abc", "ä€\U0001f600", "\ud800x", "t" * 16385, "t" * 70_000, "ü" * 70_000, 0, 1, -1, 10**17,
    10**18 - 1, 10**18, -(10**18), 2**63 - 1, 2**63, -(2**63), 2**64, 10**600, 10**700, 0.0, -0.0,
    1.5, math.inf, math.nan, 5e-324, True, False, None, bytearray(b"ba"), bytearray(70_000),
    [1, "a"], {"a": (1, 2)}, {"big": b"z" * 200_000}, Raw(b"r"), Text("t"), Whole(3), (), Ellipsis,
]  # fmt: skip


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b)) and repr(a)[:50] == repr(b)[:50]


def answer(function: Callable[..., Any], *args: Any, **names: Any) -> Any:
    """What a call returns or raises, to be compared."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            result = function(*args, **names)
        except Exception as error:
            result = type(error), str(error), error.args
        return result, [str(w.message) for w in warned]


@pytest.fixture(params=["code", "data", "custom"])
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache of each kind of serializer."""
    options: dict[str, Any] = {"serializer": Pickler()}
    if request.param != "custom":
        options = {"trust": request.param}
    with Cache("fast", size="16MiB", **options) as made:
        yield made
        assert made.check() == []


class Pickler:
    """A serializer of one's own."""

    name = "pickler"

    def dumps(self, value: object) -> Encoded:
        raw = pickle.dumps(value)
        return Encoded(0, [raw], len(raw))

    def loads(self, type_code: int, data: memoryview) -> object:
        return pickle.loads(data)


class TestSameAnswers:
    @pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
    def test_values(self, cache: Cache, key: Any) -> None:
        """What one path stores the other reads, and it is what was stored."""
        paths: Any = cache
        for value in VALUES:
            stored = answer(paths._general_set, key, value)
            assert answer(cache.set, key, value) == stored
            if stored[0] is not None:
                continue
            for read in (cache.get, paths._general_get, cache.__getitem__):
                assert same(read(key), value), (value, read)
            assert paths._general_set(key, value) is None
            for read in (cache.get, paths._general_get, cache.__getitem__):
                assert same(read(key), value), (value, read)
            assert key in cache
            (found,) = cache.get_many([key]).values()
            assert same(found, value)

    @pytest.mark.parametrize("key", [*NO_KEYS, "absent", b"absent"], ids=range(14))
    def test_keys_that_are_none(self, cache: Cache, key: Any) -> None:
        """What is no key is refused, and what is not there is missed, in the same words."""
        paths: Any = cache
        calls = {
            "get": (key,), "set": (key, 1), "delete": (key,), "incr": (key,), "decr": (key, 2),
            "get_many": ([key],), "getitem": (key,), "setitem": (key, 1), "delitem": (key,),
            "contains": (key,),
        }  # fmt: skip
        for name, args in calls.items():
            own = getattr(cache, name if name in OPERATIONS else f"__{name}__")
            assert answer(own, *args) == answer(getattr(paths, f"_general_{name}"), *args), name
            cache.clear()

    @pytest.mark.parametrize(
        ("name", "args", "names"),
        [
            ("get", (), {}),
            ("get", ("a", 1, 2), {}),
            ("get", ("a",), {"default": 7}),
            ("get", (), {"key": "b", "default": 7}),
            ("get", ("none",), {"default": 7}),
            ("get", (), {"default": 7}),
            ("get", ("none", 7), {"default": 7}),
            ("get", (3,), {"default": 7}),
            ("get", (Text("none"),), {"default": 7}),
            ("get", (Text("a"),), {"default": 7}),
            ("get", ("a",), {"other": 7}),
            ("set", ("a",), {}),
            ("set", ("a", 1, None, None), {}),
            ("set", ("a", 1, 0), {}),
            ("set", ("a", 1, "soon"), {}),
            ("set", ("a", [1], 60), {}),
            ("set", ("a", 1), {"expire": 60}),
            ("set", ("a", [1]), {"expire": -1}),
            ("set", ("a", 1), {"expire": math.nan}),
            ("set", (3, 1), {"expire": math.nan}),
            ("set", ("a", 1, 60), {"expire": 60}),
            ("set", ("a",), {"value": 1, "expire": 60}),
            ("set", ("a", b"x" * 20_000_000), {}),
            ("set", ("a", [b"x" * 20_000_000]), {}),
            ("set", ("a", {"x": list(range(20_000))}), {}),
            ("set", ("a", threading.Lock()), {}),
            ("set", ("a", memoryview(b"abcd").cast("I")), {}),
            ("set", ("a", 1), {"tags": ["x"], "namespace": "n"}),
            ("set", ("a", 1), {"tags": "x"}),
            ("delete", (), {}),
            ("delete", ("a", "b"), {}),
            ("delete", (), {"key": "a"}),
            ("incr", ("a", -1), {}),
            ("incr", ("a", 2**64), {}),
            ("incr", ("a", 2**64 - 1), {}),
            ("incr", ("a", True), {}),
            ("incr", ("a", 1.0), {}),
            ("incr", ("a", Whole(4)), {}),
            ("incr", ("a",), {"delta": 3}),
            ("decr", ("a", 100), {}),
            ("incr", ("text",), {}),
            ("decr", ("list",), {}),
            ("get_many", (), {}),
            ("get_many", (3,), {}),
            ("get_many", ("a",), {}),
            ("get_many", (b"a",), {}),
            ("get_many", (["a", 3],), {}),
            ("get_many", ({"a": 1, "b": 2},), {}),
            ("get_many", ([],), {}),
            ("get_many", (["a", "a", b"a", Text("a")],), {}),
        ],
    )
    def test_calls(self, name: str, args: Any, names: Any) -> None:
        """Also calls that are wrong or rare have the same answer."""
        answers = []
        for prefix in ("", "_general_"):
            with Cache(f"calls{prefix}", size="8MiB") as cache:
                cache["a"], cache["text"], cache["list"] = 5, "x", [1]
                found = answer(getattr(cache, prefix + name), *args, **names)
                answers.append((found, sorted(cache.items(), key=repr), cache.stats()))
        assert repr(answers[0]) == repr(answers[1])

    @pytest.mark.parametrize("value", [1, [1]])
    def test_expiry(self, small: Cache, monkeypatch: Any, value: Any) -> None:
        """It is that of the general path."""
        for args, names in [((60,), {}), ((), {"expire": 60}), ((datetime.timedelta(0, 60),), {})]:
            small.set("a", value, *args, **names)
            assert small.get("a") == value
            with monkeypatch.context() as patch:
                patch.setattr("plib_cache._moments.time.time", lambda: 0.0)
                small.set("a", value, *args, **names)
            assert "a" not in small

    def test_closed_while_encoding(self) -> None:
        """What a value does while it is pickled may end the cache."""
        cache = Cache("closing", size="8MiB")

        class Closer:
            def __reduce__(self) -> Any:
                cache.close()
                return list, ()

        with pytest.raises(ClosedError):
            cache.set("a", Closer())

    @pytest.mark.parametrize(
        "parts",
        [
            [], [b"a"] * 16, [b"a"] * 17, (b"a", b"b"), ["a"], [bytearray(b"a")], None,
            iter([b"a", b"b"]), {b"a": 1},
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("kind", [Encoded, lambda *fields: fields])
    def test_odd_encodings(self, parts: Any, kind: Any) -> None:
        """A serializer of one's own is stored, or refused, as by the general path."""

        class Odd(Pickler):
            def dumps(self, value: object) -> Encoded:
                return kind(3, parts, 2)  # type: ignore[no-any-return]

            def loads(self, type_code: int, data: memoryview) -> object:
                return type_code, bytes(data)

        answers = []
        for prefix in ("", "_general_"):
            Cache(f"odd{prefix}", size="8MiB")["a"] = 1  # the file has grown, so no call waits
            with Cache(f"odd{prefix}", size="8MiB", serializer=Odd()) as cache:
                answers.append(answer(getattr(cache, prefix + "set"), "a", 1))
                answers.append(cache.get("a"))
        assert answers[:2] == answers[2:]

    def test_get_many_of_an_iterator(self, small: Cache) -> None:
        """It is read once, whichever path its keys take."""
        small["a"], small["b"] = 1, [2]
        assert small.get_many(iter(["a", "b", "c"])) == {"a": 1, "b": [2]}
        assert small.get_many(iter([Text("a"), "b"])) == {"a": 1, "b": [2]}

    def test_counts(self) -> None:
        """Hits and misses are counted as the general path counts them, each once."""
        counted = []
        for prefix in ("", "_general_"):
            with Cache(f"counts{prefix}", size="8MiB") as cache:
                cache["a"], cache["big"], cache["list"] = 1, b"x" * 100_000, [1]
                for key in ("a", "big", "list", "none"):
                    getattr(cache, prefix + "get")(key)
                    getattr(cache, prefix + ("contains" if prefix else "__contains__"))(key)
                getattr(cache, prefix + "get_many")(["a", "list", "none"])
                counted.append(cache.stats())
        assert counted[0] == counted[1]
        assert (counted[0].hits, counted[0].misses) == (8, 3)

    @pytest.mark.parametrize(
        ("type_code", "data"),
        [
            (1, b"\xff"), (2, b""), (2, b"-"), (2, b"1x"), (2, b"+1"), (2, b" 1"), (2, b"1 2"),
            (2, b"1_0"), (2, b"--1"), (2, b"9" * 641), (3, b"1234567"), (3, b"123456789"), (4, b""),
            (4, b"\2"), (4, b"\0\0"), (5, b"x"), (7, b"x"), (8, b"x"), (99, b"x"), (2, b"12  "),
            (2, b"-0"), (2, b"007"), (2, b"0" * 30 + b"5"), (2, b"1" * 19), (6, b"ab"),
        ],
    )  # fmt: skip
    def test_odd_bytes(self, type_code: int, data: bytes) -> None:
        """Damaged and unusual bytes are what the general path says."""
        for strict in (False, True):
            with Cache("odd", size="8MiB", strict=strict) as cache:
                paths: Any = cache
                cache._region.store(SET, b"k", Encoded(type_code, [data], len(data)), Terms())
                expected = answer(paths._general_get, "k", "absent")
                cache._warned = False
                assert repr(answer(cache.get, "k", "absent")) == repr(expected)
                cache._warned = False
                one = answer(paths._general_getitem, "k")
                cache._warned = False
                assert repr(answer(cache.__getitem__, "k")) == repr(one)
                cache._warned = False
                many = answer(paths._general_get_many, ["k"])
                cache._warned = False
                assert repr(answer(cache.get_many, ["k"])) == repr(many)

    def test_closed(self) -> None:
        """A closed cache is an error for every operation, and so is one never opened."""
        cache = Cache("closed", size="8MiB")
        cache["a"] = 1
        cache.close()
        calls: list[Callable[[], Any]] = [
            lambda: cache.get("a"), lambda: cache["a"], lambda: "a" in cache,
            lambda: cache.set("a", 1), lambda: cache.delete("a"), lambda: cache.incr("a"),
            lambda: cache.decr("a"), lambda: cache.get_many(["a"]), lambda: cache.pop("a"),
            lambda: cache.__setitem__("a", 1), lambda: cache.__delitem__("a"),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(ClosedError):
                call()
        with pytest.raises(AttributeError):
            Cache.__new__(Cache).get("a")

    def test_one_of_two_closed(self) -> None:
        """Another cache of the same region goes on, the closed one does not."""
        with Cache("two", size="8MiB") as other, Cache("two") as cache:

            @plib_cache.cache(cache=cache, strict=True)
            def f(a: int) -> int:
                return a

            cache["a"] = f(1)
            cache.close()
            with pytest.raises(ClosedError):
                cache.get("a")
            with pytest.raises(ClosedError):
                f(1)
            assert other.get("a") == 1

    def test_subclass(self) -> None:
        """A subclass may have operations of its own, and call those of Cache."""

        class Loud(Cache):
            def get(self, key: Any, default: Any = None) -> Any:
                return ["loud", super().get(key, default)]

            def __getitem__(self, key: Any) -> Any:
                return ["item", super().__getitem__(key)]

        with Loud("loud", size="8MiB") as cache:
            cache["a"] = 1
            assert cache.get("a") == ["loud", 1]
            assert cache.get(Text("a")) == ["loud", 1]
            assert cache["a"] == ["item", 1]

    @pytest.mark.parametrize("gone", [False, True])
    def test_get_many_while_others_write(self, small: Cache, monkeypatch: Any, gone: bool) -> None:
        """What grows or goes between two looks is read by itself."""
        small.set_many({"p": [1], "a": b"a" * 70_000, "b": b"b" * 70_000})
        load_or = small._load_or

        def load_while_others_write(*args: Any) -> Any:
            small["a"] = b"A" * 90_000
            if gone:
                del small["b"]
            return load_or(*args)

        monkeypatch.setattr(small, "_load_or", load_while_others_write)
        found = small.get_many(["p", "b", "a"])
        rest = {} if gone else {"b": b"b" * 70_000}
        assert found == {"p": [1], "a": b"A" * 90_000, **rest}

    def test_signatures(self) -> None:
        """The operations in C tell what those that they stand for tell."""
        for name in OPERATIONS:
            general = getattr(Cache, f"_general_{name}")
            own = list(inspect.signature(getattr(Cache, name)).parameters.values())
            meant = list(inspect.signature(general).parameters.values())
            assert [(p.name, p.default) for p in own] == [(p.name, p.default) for p in meant]
            assert [p.kind for p in own[1:]] == [p.kind for p in meant[1:]]
            assert inspect.getdoc(getattr(Cache, name)) == inspect.getdoc(general)


class TestDecorator:
    def test_same_key(self) -> None:
        """The key in C is the key in Python: what one stored the other finds."""

        @plib_cache.cache
        def f(a: Any, b: Any = 2, *rest: Any, c: Any = None, **more: Any) -> Any:
            return repr((a, b, rest, c, more))

        memo = memo_of(f)
        calls: list[tuple[Any, Any]] = [
            ((1,), {}), ((1, 2), {}), ((), {"a": 1}), ((1, 2, 3, 4), {"c": 5, "z": 6}),
            (("ä", b"x"), {"c": (1, (2,))}), ((math.nan,), {}), (([1, 2],), {}), ((-0.0,), {}),
            ((10**50,), {}), (("x" * 5000,), {}), (({"a": 1},), {}),
        ]  # fmt: skip
        for args, kwargs in calls:
            missed = memo.seek(args, kwargs)
            assert type(missed) in (Missed, str)  # f(1), f(1, 2) and f(a=1) are one call
            if type(missed) is Missed:
                assert missed == f.cache_key(*args, **kwargs)
            value = f(*args, **kwargs)
            assert memo.seek(args, kwargs) == value
            assert memo._seek(args, kwargs) == value

    def test_counts(self) -> None:
        """Every call counts once, however it was answered."""

        @plib_cache.cache
        def f(a: Any, b: int = 0) -> Any:
            return a

        for argument in (1, "x", (1, 2), [1], None, b"z" * 30_000, {"k": [1]}):
            f.cache_clear()
            for n in range(1, 5):
                assert f(argument) == argument
                assert f.cache_info()[:2] == (n - 1, 1)

    def test_saved_time(self) -> None:
        """What hits saved is that of the general path, reported or not."""

        @plib_cache.cache
        def f(a: int) -> int:
            return a

        f(0)
        memo = memo_of(f)
        for cost in (8, 100, 255):
            key = f.cache_key(cost)
            terms = Terms(name=memo.home().name, cost=cost)
            memo.home().region.store(SET, key, Encoded(2, [b"1"], 1), terms)
        for cost, hits in ((8, 3000), (100, 7), (255, 3)):
            before = f.saved_seconds()
            for _ in range(hits):
                f(cost)
            expected = hits * plib_cache.stats.cost_us(cost) / 1e6
            assert f.saved_seconds() - before == pytest.approx(expected, rel=1e-2, abs=3e-6)

    def test_wrong_calls(self) -> None:
        """They raise what the function itself raises."""

        @plib_cache.cache
        def f(a: int, b: int = 0) -> int:
            return a

        g = f.__wrapped__
        f(1)
        f(1, 2)
        wrong: list[tuple[Any, Any]] = [
            ((), {}), ((1, 2, 3), {}), ((1,), {"c": 2}), ((1,), {"a": 2}), ((1, 2), {"c": 2}),
        ]  # fmt: skip
        for args, kwargs in wrong:
            ours, its = answer(f, *args, **kwargs), answer(g, *args, **kwargs)
            assert ours[0][:2] == its[0][:2]

    def test_closed_and_opened_again(self) -> None:
        """Where the cache went, the function goes on; where it comes again, too."""
        cache = Cache("own", size="8MiB")

        @plib_cache.cache(cache=cache)
        def f(a: int) -> int:
            return a

        @plib_cache.cache
        def g(a: int) -> int:
            return a

        assert (f(1), f(1), g(1), g(1)) == (1, 1, 1, 1)
        cache.close()
        with pytest.warns(PlibCacheWarning, match="closed"):
            assert f(1) == 1
        plib_cache.get_cache().close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert [g(1) for _ in range(3)] == [1, 1, 1]
        assert g.cache_info().hits >= 2

    def test_damaged(self) -> None:
        """A result that cannot be read is computed again, with one warning."""

        @plib_cache.cache
        def f(a: int) -> int:
            return a

        assert f(1) == 1
        memo = memo_of(f)
        terms = Terms(name=memo.home().name)
        for broken in (Encoded(2, [b"x"], 1), Encoded(8, [b"x"], 1)):
            memo._warned = False
            memo.home().region.store(SET, f.cache_key(1), broken, terms)
            with pytest.warns(PlibCacheWarning, match="damaged"):
                assert f(1) == 1
            assert f(1) == 1

    def test_trust(self) -> None:
        """Another serializer than the cache's is asked."""

        @plib_cache.cache(strict=True, trust="data")
        def f(a: int) -> int:
            return a

        assert f(1) == 1
        memo = memo_of(f)
        encoded = plib_cache.serialize.default_serializer().dumps(Whole(3))
        memo.home().region.store(SET, f.cache_key(1), encoded, Terms(name=memo.home().name))
        with pytest.raises(SerializationError, match="trust"):
            f(1)

    def test_by_value(self, python: Callable[..., str]) -> None:
        """A function that is sent by value finds its results there, with either binding."""

        @plib_cache.cache(version=1, cache="sent")
        def f(a: int) -> int:
            return a + 1

        assert f(1) == 2
        sent = cloudpickle.dumps(f)
        assert pickle.loads(sent)(1) == 2
        source = f"import pickle; f = pickle.loads({sent!r}); print(f(1), f(2), f(2))"
        assert python(source) == "2 3 3\n"
        assert f.cache_info().hits >= 2

    def test_garbage(self) -> None:
        """A function that nobody knows any more goes, with all that it has."""

        @plib_cache.cache
        def f(a: int) -> int:
            return a

        f(1)
        gone = __import__("weakref").ref(memo_of(f))
        del f
        gc.collect()
        assert gone() is None


def memo_of(function: Any) -> Any:
    return function.cache_info.args[0]


class TestOneCore:
    def test_one_shared_object(self) -> None:
        """Both modules come from one file, which is mapped once."""
        assert fast.__spec__.origin == native.__spec__.origin
        mapped = {
            line.split()[-1]
            for line in Path("/proc/self/maps").read_text().splitlines()
            if "plib_cache" in line and line.endswith(".so")
        }
        assert mapped == {native.__spec__.origin}

    def test_one_registry(self) -> None:
        """A region that cffi opens again is the one that the fast path has."""
        with Cache("registry", size="8MiB") as cache:
            ffi, lib = native.ffi, native.lib
            options, handle = ffi.new("plc_options *"), ffi.new("plc_cache **")
            name = ffi.new("char[]", cache.path.encode())
            options.path = name
            assert lib.plc_open_nogil(options, handle, ffi.new("plc_report *")) == 0
            assert int(ffi.cast("uintptr_t", handle[0])) == cache._region.port.address
            assert cache.info().processes == 1
            cache["a"] = b"one"
            lib.plc_close_nogil(handle[0])
            assert cache["a"] == b"one"

    def test_missing(self, tmp_path: Path) -> None:
        """A shared object without the fast path is an error, not slow."""
        package = Path(plib_cache.__file__).parent
        source = (
            f"import sys; sys.path.insert(0, {str(package.parent)!r})\n"
            "import importlib.machinery as m\n"
            "class Not(m.ExtensionFileLoader):\n"
            "    def create_module(self, spec):\n"
            "        if spec.name.endswith('_fast'): raise ImportError('no _fast')\n"
            "        return super().create_module(spec)\n"
            "m.ExtensionFileLoader = Not\n"
            "import plib_cache\n"
        )
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
        assert done.returncode != 0
        assert "ImportError: no _fast" in done.stderr


@pytest.fixture
def no_switch() -> Iterator[None]:
    """Threads change only where the GIL is given up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this interpreter has no GIL"
)
class TestGil:
    """With a switch interval of 1000 s another thread runs only when the GIL is given up."""

    def others_run(self, work: Callable[[], Any], rounds: int) -> bool:
        """Whether another thread ran while this one worked, so many times at most."""
        asked, answered = threading.Event(), []
        other = threading.Thread(target=lambda: (asked.wait(), answered.append(1)))
        other.start()
        asked.set()
        seen = False
        for _ in range(rounds):
            work()
            if answered:
                seen = True
                break
        other.join()
        return seen

    def works(self, cache: Cache, size: int) -> dict[str, Callable[[], Any]]:
        value = b"x" * size
        text = "t" * size
        cache["k"], cache["t"], cache["l"] = value, text, bytearray(value)

        @plib_cache.cache
        def f(a: int) -> bytes:
            return value

        f(1)
        return {
            "get": lambda: cache.get("k"),
            "get str": lambda: cache.get("t"),
            "get bytearray": lambda: cache.get("l"),
            "item": lambda: cache["k"],
            "set": lambda: cache.set("k", value),
            "set item": lambda: cache.__setitem__("t", text),
            "get_many": lambda: cache.get_many(["k", "t"]),
            "decorator": lambda: f(1),
        }

    def test_short_calls_keep_it(self, no_switch: None) -> None:
        """Nobody else runs during a thousand short calls."""
        with Cache("gil", size="16MiB") as cache:
            works = self.works(cache, 20_000)
            works["incr"] = lambda: cache.incr("n")
            works["delete"] = lambda: cache.delete("none")
            for _ in range(2000):  # the region takes all its memory, for which calls have to wait
                works["set"]()
            for name, work in works.items():
                assert not self.others_run(work, 1000), name

    def test_long_copies_give_it_up(self, no_switch: None) -> None:
        """Somebody else runs during copies of more than 64 KiB, soon."""
        with Cache("gil", size="64MiB") as cache:
            for name, work in self.works(cache, 1_000_000).items():
                assert self.others_run(work, 100_000), name


class TestLeaks:
    def works(self, cache: Cache) -> dict[str, Callable[[], Any]]:
        """One call of each path; what only Python does is in names that begin with "general"."""

        @plib_cache.cache(cache=cache)
        def f(a: Any) -> Any:
            return a

        f(12345)
        f("text")
        f([1])
        cache["key"], cache["list"], cache["long"], cache["n"] = b"v" * 500, [1], b"x" * 17_000, 1
        cache["wide"], cache["text"] = "ä" * 100, "a" * 17_000
        seek = memo_of(f).seek
        return {
            "get": lambda: cache.get("key"),
            "get absent": lambda: cache.get("none", cache),
            "set": lambda: cache.set("key", b"v" * 500),
            "item": lambda: cache["key"],
            "contains": lambda: "key" in cache,
            "set item": lambda: cache.__setitem__("n", 5),
            "set str": lambda: cache.set("wide", "ä" * 100),
            "get str": lambda: cache.get("wide"),
            "get long": lambda: cache.get("long"),
            "get long str": lambda: cache.get("text"),
            "get_many": lambda: cache.get_many(["key", "none", "wide"]),
            "incr": lambda: cache.incr("n"),
            "delete": lambda: cache.delete("none"),
            "no item": lambda: answer_only(lambda: cache["none"]),
            "hit": lambda: f(12345),
            "hit by name": lambda: f(a="text"),
            "miss": lambda: seek(((3, (4, "ä", 10**30)),), {}),
            "general load": lambda: cache.get("list"),
            "general many": lambda: cache.get_many(["list", "none", "long", Text("key")]),
            "general rest of many": lambda: cache.get_many(["long"] * 5),
            "general set": lambda: cache.set("list", [1]),
            "general error": lambda: answer_only(lambda: cache.get("")),
            "general refusal": lambda: answer_only(lambda: cache.incr("list")),
            "general hit": lambda: f([1]),
        }

    def test_nothing_is_left(self) -> None:
        """No object stays, however often a path is taken."""
        with Cache("leaks", size="16MiB") as cache:
            for name, work in self.works(cache).items():
                rounds = 5_000 if name.startswith("general") else 100_000
                for _ in range(100):
                    work()
                gc.collect()
                before = sys.getallocatedblocks()
                for _ in range(rounds):
                    work()
                gc.collect()
                assert sys.getallocatedblocks() - before < rounds / 20, name

    def test_no_memory_is_left(self) -> None:
        """Nor any memory that is not of objects."""
        with Cache("leaks", size="16MiB") as cache:
            for name, work in self.works(cache).items():
                for _ in range(100):
                    work()
                tracemalloc.start()
                try:
                    before = tracemalloc.get_traced_memory()[0]
                    for _ in range(500):
                        work()
                    gc.collect()
                    grown = tracemalloc.get_traced_memory()[0] - before
                finally:
                    tracemalloc.stop()
                assert grown < 10_000, name  # 20 bytes for each

    def test_references(self) -> None:
        """Keys, values and defaults have as many references as before."""
        key, value, absent, item = "a key", b"value" * 9, object(), "an argument"
        with Cache("references", size="8MiB") as cache:

            @plib_cache.cache(cache=cache)
            def f(a: Any) -> int:
                return 1

            f(item)
            things = [key, value, absent, item, None, True, cache._region.port]
            before = [sys.getrefcount(thing) for thing in things]
            for _ in range(1000):
                cache.get(key, absent)
                cache.set(key, value)
                cache.set(key, None)
                cache.get(key, absent)
                cache[key] = True
                cache.get_many([key, key])
                cache.delete(key)
                f(item)
            after = [sys.getrefcount(thing) for thing in things]
        assert [b - a for a, b in zip(before, after, strict=True) if abs(b - a) > 100] == []


def answer_only(function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception:
        pass


def test_threads_share_one_cache() -> None:
    """Many threads read, write and count through the same objects."""
    with Cache("threads", size="16MiB") as cache:

        @plib_cache.cache(cache=cache)
        def f(a: int) -> int:
            return a * 2

        cache["n"] = 0
        wrong: list[Any] = []

        def work(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(2000):
                n = chance.randrange(50)
                cache.set(f"k{n}", n)
                found = cache.get_many([f"k{n}", f"k{chance.randrange(50)}"])
                if found[f"k{n}"] != n or f(n) != 2 * n:
                    wrong.append(n)
                cache.incr("n")

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert cache["n"] == 8000


@pytest.mark.parametrize("long", [b"a" * 40_000, ["a" * 40_000]], ids=["bytes", "list"])
@pytest.mark.parametrize(
    "other",
    [b"b" * 17_000, b"c", "t" * 17_000, ["d" * 17_000], memoryview(b"e" * 17_000)],
    ids=range(5),
)
def test_values_that_change_while_they_are_read(
    fork: Callable[..., Any], long: Any, other: Any
) -> None:
    """What is read is one of the values that were written, whole and of its type."""
    values = [long, other]
    with Cache("changing", size="32MiB", strict=True) as cache:
        cache["k"] = values[0]

        def write() -> None:
            while "end" not in cache:
                for value in values * 50:
                    cache.set("k", value)

        child = fork(write)
        for _ in range(30_000):
            found = cache.get("k", 0)
            assert type(found) is type(values[values.index(found)])
            assert not getattr(found, "readonly", False)  # what is kept may be written to
        cache["end"] = 1
        child.result()


def test_forked_child(fork: Callable[..., Any]) -> None:
    """A child goes on with the parent's cache and functions."""
    with Cache("forked", size="8MiB") as cache:

        @plib_cache.cache(cache=cache)
        def f(a: int) -> int:
            return a

        cache["a"] = 1
        f(1)

        def child() -> Any:
            cache["b"] = 2
            return cache["a"], cache.get_many(["a", "b"]), f(1), f(2)

        assert fork(child).result() == (1, {"a": 1, "b": 2}, 1, 2)
        assert cache["b"] == 2
        assert f.cache_info().hits == 1
