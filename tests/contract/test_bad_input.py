# SPDX-License-Identifier: BSD-3-Clause
"""Bad input: a clear error that says what to do, nothing lost, no state changed."""

from __future__ import annotations

import datetime
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plib_cache import (
    Cache,
    ConfigurationError,
    PlibCacheWarning,
    ProtectionUnavailableError,
    SerializationError,
    ValueTooLargeError,
)
from plib_cache._core import SET, Region, Terms
from plib_cache.serialize import Encoded


@pytest.fixture
def cache(small: Cache) -> Iterator[Cache]:
    """A cache with one entry, which is all that it holds in the end too."""
    small["there"] = b"value"
    yield small
    assert dict(small.items()) == {"there": b"value"}


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "error", "message"),
        [
            ("", ValueError, "is empty: give one of 1 to 4096"),
            (b"", ValueError, "is empty: give one of 1 to 4096"),
            ("k" * 4097, ValueError, "1 to 4096"),
            ("\N{SNOWMAN}" * 1366, ValueError, "1 to 4096"),
            ("\ud800", ValueError, "surrogate"),
            (5, TypeError, "str or bytes"),
            (None, TypeError, "str or bytes"),
            (bytearray(b"k"), TypeError, "str or bytes"),
            (("a", "b"), TypeError, "str or bytes"),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_refused_everywhere(self, cache: Cache, key: Any, error: Any, message: str) -> None:
        """Every operation refuses such a key in the same way."""
        uses: list[Any] = [
            lambda: cache.get(key), lambda: cache[key], lambda: cache.set(key, 1),
            lambda: cache.delete(key), lambda: key in cache, lambda: cache.add(key, 1),
            lambda: cache.incr(key), lambda: cache.touch(key, 1), lambda: cache.gat(key, 1),
            lambda: cache.gets(key), lambda: cache.cas(key, 1, 1), lambda: cache.append(key, b""),
            lambda: cache.get_many(["there", key]), lambda: cache.delete_many(["there", key]),
            lambda: cache.set_many({"there": 1, key: 2}) if key.__hash__ else cache.get(key),
            lambda: cache.get_or_compute(key, lambda: 1), lambda: cache.pop(key),
        ]  # fmt: skip
        for use in uses:
            with pytest.raises(error, match=message):
                use()


class TestValues:
    def test_too_large(self, cache: Cache) -> None:
        """The error names the limit; what was there stays."""
        limit = cache.info().value_max
        for store in (cache.set, cache.replace):
            with pytest.raises(ValueTooLargeError, match=f"{limit + 1} bytes.*{limit} bytes"):
                store("there", b"x" * (limit + 1))
        with pytest.raises(ValueTooLargeError, match="size="):
            cache.set_many({"there": b"x" * (limit + 1)})
        with pytest.raises(ValueTooLargeError):
            cache.append("there", b"x" * limit)

    def test_the_limit_fits(self, small: Cache) -> None:
        """A value of exactly the limit can be stored."""
        limit = small.info().value_max
        small["largest"] = b"x" * limit
        assert len(small["largest"]) == limit

    @pytest.mark.parametrize("make", [threading.Lock, socket.socket, lambda: (i for i in "ab")])
    def test_unpicklable(self, cache: Cache, make: Any) -> None:
        """The error names the type; nothing is stored, in a batch neither."""
        value = make()
        name = type(value).__name__
        for store in (
            lambda: cache.set("there", value),
            lambda: cache.set("new", {"inside": [value]}),
            lambda: cache.set_many({"new": 1, "there": value}),
        ):
            with pytest.raises(SerializationError, match=name):
                store()
        if isinstance(value, socket.socket):
            value.close()

    def test_class_that_cannot_be_imported(self, python: Any, small: Cache) -> None:
        """The reader's error names the class, and the entry stays for those who can read it."""
        python(
            "import sys, types, plib_cache\n"
            "module = types.ModuleType('only_here')\n"
            "exec('class Thing: pass', module.__dict__)\n"
            "sys.modules['only_here'] = module\n"
            f"plib_cache.Cache(path={small.path!r})['thing'] = module.Thing()\n"
        )
        with pytest.raises(SerializationError, match=r"only_here.*Thing"):
            small["thing"]
        with Cache(path=small.path) as lenient, pytest.raises(SerializationError, match="Thing"):
            lenient.get("thing")
        assert "thing" in small

    def test_damaged(self, small: Cache) -> None:
        """A damaged value is a miss with one warning; strict raises."""
        broken = b"not a pickle"
        encoded = Encoded(8, [broken], len(broken))
        small._region.store(SET, b"broken", encoded, Terms())
        with pytest.raises(SerializationError, match="damaged"):
            small["broken"]
        with Cache(path=small.path) as lenient:
            with pytest.warns(PlibCacheWarning, match="damaged"):
                assert lenient.get("broken") is None
            assert lenient.get("broken", 5) == 5  # a second warning would be an error here
            assert "broken" not in lenient.get_many(["broken"])

    def test_trust_data(self, cache: Cache) -> None:
        """Code is neither written nor read."""
        with Cache(path=cache.path, trust="data") as data:
            with pytest.raises(SerializationError, match="ValueError"):
                data["there"] = ValueError()
            cache["exception"] = ValueError()
            with pytest.raises(SerializationError, match="trust"):
                data["exception"]
        del cache["exception"]


class TestArguments:
    @pytest.mark.parametrize(
        ("expire", "error", "message"),
        [
            ("60", TypeError, "expire is a str"),
            (True, TypeError, "expire is a bool"),
            (float("nan"), ValueError, "None for never"),
            (float("inf"), ValueError, "None for never"),
            (10**400, ValueError, "None for never"),
            (datetime.datetime(2100, 1, 1), ValueError, "time zone"),
            (datetime.date(2100, 1, 1), TypeError, "expire is a date"),
        ],
        ids=repr,
    )
    def test_expire(self, cache: Cache, expire: Any, error: Any, message: str) -> None:
        """An expiry that means nothing is refused everywhere."""
        for use in (
            lambda: cache.set("there", 1, expire=expire),
            lambda: cache.set_many({"there": 1}, expire=expire),
            lambda: cache.touch("there", expire),
            lambda: cache.gat("there", expire),
            lambda: cache.flush(expire),
            lambda: cache.get_or_compute("new", lambda: 1, expire=expire),
        ):
            with pytest.raises(error, match=message):
                use()

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"tags": "red"}, TypeError, "one name"),
            ({"tags": [1]}, TypeError, "the tag 1 is a int: give a str"),
            ({"tags": [""]}, ValueError, "empty"),
            ({"tags": list("abcde")}, ValueError, "at most 4"),
            ({"tags": ["\udcff"]}, ValueError, "the tag .* holds a lone surrogate.*a digest"),
            ({"namespace": "\ud800"}, ValueError, "the namespace .* holds a lone surrogate"),
            ({"namespace": 5}, TypeError, "the namespace 5 is a int: give a str"),
            ({"namespace": ""}, ValueError, "empty"),
        ],
    )
    def test_names(self, cache: Cache, arguments: Any, error: Any, message: str) -> None:
        """Tags and namespaces are checked before anything is stored."""
        with pytest.raises(error, match=message):
            cache.set("there", 1, **arguments)

    @pytest.mark.parametrize("delta", [-1, 2**64, 1.0, "1", None, True])
    def test_delta(self, cache: Cache, delta: Any) -> None:
        """Deltas are ints of 64 bits without a sign."""
        for count in (cache.incr, cache.decr):
            with pytest.raises((TypeError, ValueError), match="delta"):
                count("there", delta)

    @pytest.mark.parametrize("token", [None, "1", -1, 2**64, 1.5])
    def test_token(self, cache: Cache, token: Any) -> None:
        """Tokens are those that gets gave."""
        with pytest.raises((TypeError, ValueError), match="token"):
            cache.cas("there", 1, token)

    @pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), "5", None])
    def test_limit(self, cache: Cache, limit: Any) -> None:
        """The limit of a computation is a positive number of seconds."""
        with pytest.raises((TypeError, ValueError), match="limit"):
            cache.get_or_compute("new", lambda: 1, limit=limit)


class TestOpening:
    @pytest.mark.parametrize(
        "name", ["", "a/b", "..", ".hidden", "-x", "a\n", "a\0", "x" * 65, "\u00e9", " ", 5]
    )
    def test_names(self, name: Any) -> None:
        """A name is the name of a file in the region folder, and nothing else."""
        with pytest.raises(ConfigurationError, match="cannot name a region"):
            Cache(name)

    @pytest.mark.parametrize(
        "size", [-1, 0, 1, "1MiB", "-4MiB", "much", "4 parsecs", "", 1.5, True, 2**50, "9" * 400]
    )
    def test_sizes(self, size: Any, regions: Path) -> None:
        """Sizes lie between 4 MiB and 1 TiB."""
        with pytest.raises(ConfigurationError, match="size="):
            Cache("new", size=size)
        assert not (regions / "new").exists()

    def test_size_forms(self) -> None:
        """Bytes, and the usual units."""
        for size, expected in {
            4194304: 4 << 20, "4MiB": 4 << 20, "4M": 4 << 20, "4.5MiB": 4718592, "8 mib": 8 << 20,
            "5MB": 5001216, "8192K": 8 << 20, "4194304": 4 << 20, "4194305": (4 << 20) + 4096,
        }.items():  # fmt: skip
            with Cache("sized", size=size) as cache:
                assert cache.info().size == expected
                os.unlink(cache.path)

    def test_other_size(self, cache: Cache) -> None:
        """Both sizes are named; without one it attaches."""
        with pytest.raises(ConfigurationError, match=r"8388608 bytes.*16777216"):
            Cache("small", size="16MiB")
        with Cache("small", size="8MiB") as same, Cache("small") as any_size:
            assert same["there"] == any_size["there"] == b"value"

    def test_size_that_can_never_fit(self, regions: Path, untested: Any) -> None:
        """The error says how much is free."""
        free = os.statvfs(regions).f_bavail * os.statvfs(regions).f_frsize
        if free > 1 << 40:
            untested("a size that can never fit (there is room for anything here)")
        with pytest.raises(ConfigurationError, match=r"\d+ bytes are needed and \d+ are free"):
            Cache("huge", size="1TiB")
        assert not (regions / "huge").exists()

    def test_name_and_path(self, folder: Path) -> None:
        """Only one of them says where the region is."""
        with pytest.raises(ConfigurationError, match="give one"):
            Cache("name", path=folder / "region")

    def test_nothing_there(self, regions: Path, folder: Path) -> None:
        """create=False does not create."""
        with pytest.raises(ConfigurationError, match="create=True"):
            Cache("nothing", create=False)
        with pytest.raises(ConfigurationError, match="create=True"):
            Cache(path=folder / "nothing", create=False)
        assert not (regions / "nothing").exists()

    def test_no_folder(self, folder: Path) -> None:
        """A path's folder must exist."""
        with pytest.raises(ConfigurationError, match="does not exist: make it first"):
            Cache(path=folder / "missing" / "region")

    @pytest.mark.parametrize("path", [5, None.__class__, b"a\0b", "a\0b"])
    def test_no_path(self, path: Any) -> None:
        """A path is the name of a file."""
        with pytest.raises(ConfigurationError, match="path="):
            Cache(path=path)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"protection": "much"}, ConfigurationError),
            ({"trust": "none"}, ConfigurationError),
            ({"expected_entry": 0}, ConfigurationError),
            ({"expected_entry": "1"}, ConfigurationError),
            ({"remote": "host"}, ConfigurationError),
        ],
    )
    def test_options(self, options: Any, error: Any) -> None:
        """Options that make no sense are refused."""
        with pytest.raises(error):
            Cache("new", **options)

    @pytest.mark.parametrize("variable", ["PLIB_CACHE_TRUST", "PLIB_CACHE_PROTECTION"])
    def test_environment(self, monkeypatch: Any, variable: str) -> None:
        """The same holds for the environment, and the variable is named."""
        monkeypatch.setenv(variable, "nonsense")
        with pytest.raises(ConfigurationError, match=f"{variable}.*nonsense"):
            Cache("new", size="4MiB")

    @pytest.mark.parametrize("value", ["nonsense", "auto", "CFFI"])
    def test_environment_binding(self, python: Any, value: str) -> None:
        """A binding that does not exist is an error at import, and the variable is named."""
        source = "try: import plib_cache\nexcept Exception as e: print(type(e).__name__, e)"
        said = python(source, PLIB_CACHE_BINDING=value)
        assert said.startswith(f"ConfigurationError PLIB_CACHE_BINDING is {value!r}")

    def test_environment_trust(self, monkeypatch: Any) -> None:
        """PLIB_CACHE_TRUST=data holds where no trust is given."""
        monkeypatch.setenv("PLIB_CACHE_TRUST", "data")
        with Cache("new", size="4MiB") as cache, pytest.raises(SerializationError):
            cache["a"] = ValueError()
        with Cache("new", trust="code") as cache:
            cache["a"] = ValueError()

    def test_protection(self) -> None:
        """What the machine does not offer is an error, or it is there."""
        with Cache("auto", size="4MiB") as cache:
            offered = cache.info().protection
        if offered == "none":
            with pytest.raises(ProtectionUnavailableError, match="'none'"):
                Cache("new", size="4MiB", protection="pku")
        with Cache("new", size="4MiB", protection="none") as cache:
            assert cache.info().protection == "none"


def test_a_region_refuses_what_it_cannot_mean(small: Cache) -> None:
    """The thin layer over the core refuses too: no argument reaches the region unchecked."""
    region: Region = small._region
    with pytest.raises(ConfigurationError):
        region.get(b"k" * 4097)
    with pytest.raises(ConfigurationError):
        region.store(SET, b"", Encoded(0, [b"x"], 1), Terms())
    with pytest.raises(OverflowError):
        region.touch(b"key", -1)
