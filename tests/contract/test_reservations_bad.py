# SPDX-License-Identifier: BSD-3-Clause
"""Reservations that cannot be, and writing when it is too late."""

from __future__ import annotations

import ctypes
import pickle
import signal
from typing import Any

import numpy as np
import pytest

from plib_cache import Cache, ClosedError, ConfigurationError, RegionFullError, ValueTooLargeError

from .mapped import ending
from .ways import PickleOnly

LENGTH = 300_000


@pytest.fixture
def cache(protected: Cache) -> Cache:
    """One with nothing in it."""
    return protected


@pytest.mark.parametrize(
    ("nbytes", "error"),
    [
        (-1, ValueError), (1.0, TypeError), ("5", TypeError), (None, TypeError), (b"5", TypeError),
        (16 << 20, ValueTooLargeError), (1 << 41, ValueTooLargeError),
        (1 << 62, ValueTooLargeError),
        (1 << 63, ValueTooLargeError), (1 << 70, ValueTooLargeError), (-(1 << 70), ValueError),
    ],
)  # fmt: skip
def test_length(cache: Cache, nbytes: Any, error: type[Exception]) -> None:
    """Of any size and kind; the error names it."""
    with pytest.raises(error, match=str(nbytes) if isinstance(nbytes, int) else "nbytes"):
        cache.reserve("k", nbytes)
    assert "k" not in cache


def test_longest(cache: Cache) -> None:
    """What can be stored can be reserved, and not a byte more."""
    longest = cache.info().value_max
    with cache.reserve("k", np.int64(longest)) as room:
        room.buffer[-1] = 1
    assert len(cache["k"]) == longest
    with pytest.raises(ValueTooLargeError, match=str(longest)):
        cache.reserve("k", longest + 1)


@pytest.mark.parametrize(
    ("shape", "dtype", "order", "error"),
    [
        (-1, "f8", "C", ValueError), ((2, -1), "f8", "C", ValueError), (1.5, "f8", "C", TypeError),
        ("ab", "f8", "C", TypeError), (None, "f8", "C", TypeError),
        ((1,) * 65, "f8", "C", ValueError),
        (3, object, "C", TypeError), (3, "nonsense", "C", TypeError), (3, "U", "C", TypeError),
        (3, [("a", "i4")], "C", TypeError), (3, "f8", "A", ValueError), (3, "f8", None, ValueError),
        ((1 << 40, 1 << 40), "f8", "C", ValueError), (1 << 59, "f8", "C", ValueTooLargeError),
        (4 << 20, "f8", "F", ValueTooLargeError),
    ],
)  # fmt: skip
def test_array(cache: Cache, shape: Any, dtype: Any, order: Any, error: type[Exception]) -> None:
    """No array of that shape, dtype and order can be written in place."""
    with pytest.raises(error):
        cache.reserve_array("k", shape, dtype, order=order)
    assert "k" not in cache


def test_key(cache: Cache) -> None:
    """A key is checked before anything is reserved."""
    for key in ("", "k" * 5000, 5, None):
        with pytest.raises((TypeError, ValueError)):
            cache.reserve(key, 100)  # type: ignore[arg-type]


def test_full(cache: Cache) -> None:
    """More than may be held at once is refused, with the numbers; then it goes on."""
    most = cache.info().in_place_most
    rooms = [cache.reserve(f"k{n}", most // 8) for n in range(7)]
    with pytest.raises(RegionFullError, match=r"leased.*reserved.*seal or abort"):
        cache.reserve("more", most // 2)
    cache["other"] = bytes(LENGTH)
    assert "other" in cache
    rooms.clear()
    with cache.reserve("more", most // 2):
        pass
    assert "more" in cache


def test_serializer() -> None:
    """Who has values stored in a way of his own cannot have them written in place."""
    with Cache("own", size="8MiB", serializer=PickleOnly()) as cache:
        for use in (lambda: cache.reserve("k", 5), lambda: cache.reserve_array("k", 5, "f8")):
            with pytest.raises(ConfigurationError, match=r"PickleOnly.*set"):
                use()
        cache["k"] = value = [np.arange(5000.0), "text"]
        assert np.array_equal(cache.get("k", copy=False)[0], value[0])
    with Cache("data", size="8MiB", trust="data") as cache, cache.reserve("k", 5) as room:
        room.buffer[:] = b"plain"
        room.seal()
        assert cache["k"] == b"plain"


def test_twice(cache: Cache) -> None:
    """One reservation is one value."""
    room = cache.reserve("k", LENGTH)
    room.seal()
    with pytest.raises(ValueError, match="sealed already"):
        room.seal()
    room.abort()
    assert "k" in cache
    with cache.reserve("k", LENGTH) as room:
        room.seal()
    with cache.reserve("k", LENGTH) as room:
        room.seal()
        cache.delete("k")
    assert "k" not in cache


class TestLateWriting:
    """After the sealing nobody writes, its filler no more than others."""

    def test_raises(self, cache: Cache) -> None:
        """As far as Python sees."""
        room = cache.reserve_array("k", 50_000, "f8")
        array, buffer = room.array, room.buffer
        array[:] = 1
        room.seal()
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 2
        with pytest.raises(ValueError, match="released"):
            buffer[0] = 2
        with pytest.raises(TypeError, match="read-only"):
            room.buffer[0] = 2
        with pytest.raises(TypeError, match="read-only"):
            memoryview(room.buffer.obj)[0] = 2
        assert np.array_equal(cache["k"], np.ones(50_000))

    @pytest.mark.parametrize("way", ["slice", "array", "address"])
    def test_faults(self, cache: Cache, way: str) -> None:
        """Through what was derived before, it ends the process; the value stays."""

        def child() -> None:
            room = cache.reserve_array("k", 50_000, "f8")
            room.array[:] = 1
            part, view, at = room.buffer[4096:], room.array[5:], room.array.ctypes.data
            room.seal()
            assert (part[0], view[0]) == (0, 1)  # reading goes on
            if way == "slice":
                part[-1] = 2
            elif way == "array":
                view[0] = 2
            else:
                ctypes.memset(at, 2, 1)

        assert ending(child) == -signal.SIGSEGV
        assert np.array_equal(cache["k"], np.ones(50_000))


def test_closed(cache: Cache) -> None:
    """What was reserved when the cache is closed is never stored, and does no harm."""
    room = cache.reserve("k", LENGTH)
    sealed = cache.reserve("sealed", LENGTH)
    sealed.buffer[:] = bytes([7]) * LENGTH
    sealed.seal()
    cache.close()
    room.buffer[:10] = bytes(10)
    with pytest.raises(ClosedError, match="open it again"):
        room.seal()
    with pytest.raises(ClosedError):
        cache.reserve("k", LENGTH)
    assert sealed.buffer == bytes([7]) * LENGTH
    del room, sealed
    with Cache(path=cache.path) as again:
        assert again.stats().reserved == again.stats().leased == 0
        assert "k" not in again
        assert again["sealed"] == bytes([7]) * LENGTH


def test_pickle_and_attributes(cache: Cache) -> None:
    """A reservation is this process's; one of bytes has no array."""
    room = cache.reserve("k", LENGTH)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(room)
    with pytest.raises(AttributeError, match="reserve_array"):
        _ = room.array
