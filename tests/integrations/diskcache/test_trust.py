# SPDX-License-Identifier: BSD-3-Clause
"""What runs when a cache is read: with trust="data" nothing, whoever has written it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plib_cache import PlibCacheWarning, SerializationError
from plib_cache.integrations.diskcache import Cache, Disk, _keys


class Bomb:
    """Ends the process of whoever reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)

    def __hash__(self) -> int:
        return 1


def read_everything(folder: Path) -> list[Any]:
    with Cache(folder, trust="data") as cache:
        with pytest.warns(PlibCacheWarning):
            assert cache.get("bomb", "none") == "none"
        with pytest.warns(PlibCacheWarning, match="a key was pickled"):
            assert list(cache) == ["bomb", "fine"]
        assert list(cache.iterkeys()) == ["bomb", "fine"]
        assert cache.peekitem() == ("fine", 1)
        assert cache.pop("bomb", "none") == "none"
        return list(cache)


def test_data_runs_nothing(tmp_path: Path, fork: Callable[..., Any]) -> None:
    """Values and keys that would run code are misses, and are told of once."""
    with Cache(tmp_path) as cache:
        cache["bomb"] = Bomb()
        cache[Bomb()] = 1
        cache["fine"] = 1
    assert fork(read_everything, tmp_path).result() == ["fine"]


def test_data_stores_nothing_that_would(tmp_path: Path) -> None:
    """Neither as value nor as key; plain data is both."""
    with Cache(tmp_path, trust="data") as cache:
        for key, value in (("a", Bomb()), (Bomb(), 1)):
            with pytest.raises(SerializationError, match="trust='data'"):
                cache[key] = value
        cache[(1, None, datetime.date(2026, 1, 1))] = {"a": [datetime.date(2026, 1, 1)]}
        assert list(cache) == [(1, None, datetime.date(2026, 1, 1))]
        assert cache[(1, None, datetime.date(2026, 1, 1))] == {"a": [datetime.date(2026, 1, 1)]}


def test_the_region_is_for_its_owner_alone(cache: Cache) -> None:
    """Whoever else there is can neither read nor write it."""
    assert Path(cache._cache.path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("tag", [["a"], object(), (1,)])
def test_tags_are_what_they_are_in_diskcache(cache: Cache, tag: Any) -> None:
    """Text, bytes and numbers."""
    with pytest.raises(TypeError, match="tag"):
        cache.set("a", 1, tag=tag)


def test_foreign_entries_are_misses(cache: Cache) -> None:
    """What was not stored by this class, or is cut, is a miss with a warning."""
    from plib_cache import Cache as Native
    from plib_cache.serialize import Encoded

    class Odd:
        name = "odd"

        def dumps(self, value: Any) -> Encoded:
            return Encoded(value[0], [value[1]], len(value[1]))

        def loads(self, type_code: int, data: memoryview) -> Any:
            raise AssertionError("unreachable")

    with Native(path=cache._cache.path, serializer=Odd()) as native:
        native.set(b"sshort", (100, b"x"))
        native.set(b"slengths", (100, b"\0\0\0\0" + b"\xff" * 24))
    with Native(path=cache._cache.path) as native:
        native["splain"] = 1
    for key in ("short", "lengths", "plain"):
        with pytest.warns(PlibCacheWarning) if key == "short" else nothing():
            assert cache.get(key) is None
    assert list(cache) == []


def nothing() -> Any:
    """No warning is asked for."""
    import contextlib

    return contextlib.nullcontext()


def test_keys_are_packed_and_unpacked() -> None:
    """Each comes back with its type; whole floats as ints, which are equal."""
    for key in (0, -(2**63), 2**63 - 1, 0.5, float("inf"), -0.25, "", "ä", b"", b"\0"):
        back, raw = _keys.unpack(_keys.pack(key, True))
        assert (back, type(back), raw) == (key, type(key), True)
    assert _keys.unpack(_keys.pack(1e15, True)) == (10**15, True)
    assert _keys.unpack(_keys.pack(b"x", False)) == (b"x", False)
    assert _keys.pack(1e300, True)[:1] == b"f"
    for odd in (b"", b"x", b"f123"):
        with pytest.raises(ValueError, match="no key"):
            _keys.unpack(odd)
    with pytest.raises(TypeError, match="put"):
        _keys.pack([], True)
    assert Disk("").put(2**63)[1] is False
