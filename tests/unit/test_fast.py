"""The hot path in C gives the same answers as the general path does, and is the same core."""

from __future__ import annotations

import datetime
import inspect
import math
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import plib_cache
from plib_cache import Cache, ClosedError
from plib_cache._core import SET, Terms
from plib_cache._frame import Encoded

from .hot import Raw, Text, Whole, answer, must_be_there

must_be_there()

OPERATIONS = ["get", "set", "delete", "incr", "decr", "get_many", "removed"]
fast: Any = sys.modules["plib_cache._fast"]
native = sys.modules["plib_cache._native"]


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
