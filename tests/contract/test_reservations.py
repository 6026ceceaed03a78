# SPDX-License-Identifier: BSD-3-Clause
"""Reservations: a value is written where it will lie, and seen by nobody before it is sealed.

What is neither sealed nor aborted is given back, whatever becomes of who reserved it; that is seen
by ``stats().reserved``.
"""

from __future__ import annotations

import gc
import signal
from typing import Any

import numpy as np
import pytest
from waiting import stop

from plib_cache import Cache

from .mapped import ending, lies_in

LENGTH = 300_000
FLOATS = np.arange(30_000, dtype="f8")


@pytest.fixture
def cache(protected: Cache) -> Cache:
    """One with nothing in it."""
    return protected


def fill(reservation: Any, byte: int = 7) -> bytes:
    """Write every byte of a reservation; what it holds then."""
    data = bytes([byte]) * reservation.buffer.nbytes
    reservation.buffer[:] = data
    return data


class TestSealing:
    """What was filled is a value like any other."""

    @pytest.mark.parametrize("length", [0, 1, 100, 4096, LENGTH, 1 << 21])
    def test_bytes(self, cache: Cache, length: int) -> None:
        """It reads back as bytes, as a copy and in place; nobody sees it before."""
        with cache.reserve("k", length) as room:
            assert (room.buffer.nbytes, room.buffer.readonly) == (length, False)
            data = fill(room)
            assert "k" not in cache
            assert cache.stats().reserved >= length
            assert "open" in repr(room)
        assert "sealed" in repr(room)
        assert (cache.stats().reserved, cache["k"]) == (0, data)
        assert (cache.view("k"), cache.get("k", copy=False)) == (data, data)
        assert room.buffer == data
        assert room.buffer.readonly
        del room
        assert cache.stats().leased == 0

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["f8", ">i4", "?", "M8[us]", "U7", "c16", "V3"])
    def test_array(self, cache: Cache, dtype: str, order: Any) -> None:
        """It reads back as the array, of that dtype, shape and order, in place."""
        shape = (40, 50)
        raw = np.arange(2000 * np.dtype(dtype).itemsize) % 2
        values = None if dtype == "U7" else raw.astype("u1").view(dtype).reshape(shape)
        with cache.reserve_array("k", shape, dtype, order=order) as room:
            assert room.array.shape == shape
            room.array[...] = "text" if values is None else values
            filled = room.array.copy()
        for got in (cache["k"], cache.get("k", copy=False), cache.get("k", copy="cow")):
            assert (type(got), got.dtype, got.shape) == (np.ndarray, np.dtype(dtype), shape)
            assert got.flags.f_contiguous is (order == "F")
            assert np.array_equal(got, filled)
        assert cache.view("k") == filled.tobytes(order)

    def test_out(self, cache: Cache) -> None:
        """NumPy computes into the cache; a reader has it in place, and aligned."""
        room = cache.reserve_array("sum", FLOATS.shape, FLOATS.dtype)
        assert np.add(FLOATS, 1, out=room.array) is room.array
        room.array += 1
        with pytest.raises(AttributeError, match="write into it"):
            room.array = FLOATS
        room.seal()
        got = cache.get("sum", copy=False)
        assert np.array_equal(got, FLOATS + 2)
        assert lies_in(cache, got)
        assert got.ctypes.data % 64 == 0
        assert np.array_equal(room.array, FLOATS + 2)  # the filler may go on reading
        with cache.reserve_array("large", 1 << 18, "f8") as large:
            large.array[:] = 1
        assert cache.get("large", copy=False).ctypes.data % 4096 == 0

    @pytest.mark.parametrize("shape", [(), 0, 5, (0, 3), (2, 0), [3, 4], (np.int64(2), 1, 1)])
    def test_shapes(self, cache: Cache, shape: Any) -> None:
        """Of no dimensions, of no elements, given by an int or a list."""
        with cache.reserve_array("k", shape, "i8") as room:
            room.array[...] = 3
        assert np.array_equal(cache["k"], np.full(shape, 3))
        assert cache["k"].shape == np.empty(shape).shape

    def test_replaces(self, cache: Cache) -> None:
        """What was there stays until the sealing, and its readers keep it."""
        cache["k"] = old = b"o" * LENGTH
        view = cache.view("k")
        with cache.reserve("k", LENGTH) as room:
            data = fill(room)
            assert cache["k"] == old
            cache["k"] = old = b"p" * LENGTH
            assert cache["k"] == old
        assert cache["k"] == data
        assert view == b"o" * LENGTH

    def test_terms(self, cache: Cache, eventually: Any) -> None:
        """Expiry counts from sealing; tags and namespace are those of ``set``."""
        room = cache.reserve("k", LENGTH, expire=0.5)
        data = fill(room)
        cache.set("clock", 1, expire=1.5)
        eventually(lambda: "clock" not in cache)
        room.seal()
        assert cache.get("k") == data
        eventually(lambda: "k" not in cache)
        with cache.reserve("t", LENGTH, tags=["red"]) as room:
            fill(room)
        with cache.reserve_array("n", 9, "f8", namespace="ours") as room:
            room.array[:] = 1
        assert list(cache["n"]) == [1] * 9
        cache.invalidate_tag("red")
        assert "t" not in cache
        assert "n" in cache
        cache.invalidate_namespace("ours")
        assert "n" not in cache

    def test_invalidated_meanwhile(self, cache: Cache) -> None:
        """What is filled while its tag is invalidated is out of date when it is sealed."""
        with cache.reserve("t", LENGTH, tags=["red"]) as room:
            fill(room)
            cache.invalidate_tag("red")
        assert "t" not in cache


class TestGivingBack:
    """What is not sealed leaves nothing behind."""

    def test_exception(self, cache: Cache) -> None:
        """A block that raises stores nothing."""
        cache["k"] = "old"
        with pytest.raises(ZeroDivisionError), cache.reserve("k", LENGTH) as room:  # noqa: PT012
            fill(room)
            raise ZeroDivisionError
        assert (cache["k"], cache.stats().reserved) == ("old", 0)
        assert "aborted" in repr(room)
        for use in (room.seal, lambda: room.buffer):
            with pytest.raises(ValueError, match=r"aborted|given back"):
                use()
        room.abort()

    def test_abort(self, cache: Cache) -> None:
        """Inside a block as well; what is derived from it can do no harm afterwards."""
        with cache.reserve_array("k", 50_000, "f8") as room:
            array, part = room.array, room.buffer[8:]
            used = cache.stats().used
            room.abort()
            assert cache.stats().used <= used - 400_000
            assert not array.flags.writeable
        cache["other"] = other = b"o" * 400_000
        part[:1000] = bytes(1000)  # memory of nobody
        assert cache["other"] == other
        assert "k" not in cache

    def test_garbage(self, cache: Cache) -> None:
        """It goes with the last object over it."""
        room = cache.reserve("k", LENGTH)
        part = room.buffer[5:]
        del room
        gc.collect()
        assert cache.stats().reserved >= LENGTH
        part[0] = 1
        del part
        assert (cache.stats().reserved, "k" in cache) == (0, False)

    def test_death(self, cache: Cache, fork: Any, eventually: Any) -> None:
        """A stopped filler keeps its room and holds up nobody; a killed one gives it back."""

        def filler() -> None:
            room = cache.reserve("k", 8 << 20)
            fill(room)
            cache["reserved"] = 1
            signal.pause()
            assert room.buffer[0] == 8

        child = fork(filler)
        eventually(lambda: "reserved" in cache)
        stop(child.pid)
        cache["k"] = b"by others"
        for n in range(100):
            cache[f"churn-{n}"] = bytes(LENGTH)
            assert f"churn-{n}" in cache
        with cache.reserve("mine", LENGTH) as room:
            fill(room)
        assert cache.stats().reserved >= 8 << 20
        child.kill()
        child.reap()
        with cache.reserve("k", 14 << 20) as room:  # more than may be held besides the dead one's
            fill(room)
        assert cache["k"][:1] == b"\7"

    def test_fork(self, cache: Cache) -> None:
        """A child can neither seal nor change what its parent fills."""
        room = cache.reserve("k", LENGTH)
        data = fill(room)

        def child() -> None:
            assert bytes(room.buffer[:9]) == bytes(9)
            room.buffer[:] = bytes(LENGTH)
            with pytest.raises(ValueError, match="parent"):
                room.seal()
            with cache.reserve("child", LENGTH) as own:
                fill(own, 9)

        assert ending(child) == 0
        assert "k" not in cache
        assert cache["child"] == bytes([9]) * LENGTH
        assert cache.stats().reserved >= LENGTH
        room.seal()
        assert cache["k"] == data
