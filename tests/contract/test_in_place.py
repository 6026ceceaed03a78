# SPDX-License-Identifier: BSD-3-Clause
"""Values in place: they hold until the last who reads them is gone, and nobody can change them.

That a lease has ended is seen by ``stats().leased``, and by the pages that are free again.
"""

from __future__ import annotations

import ctypes
import gc
import pickle
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from waiting import stop

from plib_cache import Cache

from .mapped import DATA, OTHER, RAW, churn, ending, lies_in, nothing_held


@pytest.fixture
def cache(protected: Cache) -> Cache:
    """One with an array and bytes."""
    protected["array"], protected["bytes"] = DATA, RAW
    return protected


DERIVED: dict[str, Callable[[memoryview], Any]] = {
    "slice": lambda view: view[8:],
    "cast": lambda view: view.cast("d"),
    "memoryview": memoryview,
    "PickleBuffer": pickle.PickleBuffer,
    "frombuffer": lambda view: np.frombuffer(view, "f8"),
    "asarray": np.asarray,
    "view of an array": lambda view: np.frombuffer(view, "f8")[::2].reshape(2, -1).T.view("i8"),
    "dlpack": lambda view: np.from_dlpack(np.frombuffer(view, "f8")),
    "memoryview of an array": lambda view: memoryview(np.frombuffer(view, "f8"))[5:],
    "arrow buffer": lambda view: pa.py_buffer(view).slice(64),
    "arrow array": lambda view: pa.Array.from_buffers(
        pa.float64(), len(view) // 8, [None, pa.py_buffer(view)]
    )[7:],
    "column": lambda view: pd.DataFrame(np.frombuffer(view, "f8").reshape(-1, 4), copy=False)[2],
}


class TestEnd:
    """The lease ends with the last object that was derived from the view."""

    @pytest.mark.parametrize("name", DERIVED)
    @pytest.mark.parametrize("key", ["array", "bytes"])
    def test_last_object(self, cache: Cache, key: str, name: str) -> None:
        """Whichever it is, and it alone keeps the bytes as they were."""
        derived = DERIVED[name](cache.view(key))
        expected = np.asarray(DERIVED[name](memoryview(RAW))).tobytes()
        cache[key] = OTHER
        churn(cache)
        gc.collect()
        assert len(RAW) <= cache.stats().leased <= len(RAW) + 8192
        assert np.asarray(derived).tobytes() == expected
        del derived
        gc.collect()
        assert cache.stats().leased == 0

    def test_torch(self, cache: Cache, untested: Any) -> None:
        """A tensor over an array in place."""
        try:
            import torch  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            untested("tensors over values in place (torch is not installed)")
        tensor = torch.from_dlpack(np.asarray(cache.get("array", copy="cow")))
        assert cache.stats().leased > 0
        assert float(tensor[100]) == 100
        del tensor
        gc.collect()
        assert cache.stats().leased == 0

    def test_several(self, cache: Cache) -> None:
        """Each is a lease of its own; the value is counted once."""
        views = [cache.view("array") for _ in range(3)]
        once = cache.stats().leased
        assert cache.stats().leases == 3
        while views:
            assert cache.stats().leased == once
            views.pop()
        assert cache.stats().leased == 0

    def test_with(self, cache: Cache) -> None:
        """The end of the block gives up the view; what was derived goes on."""
        with cache.view("bytes") as view:
            part = view[1000:1008]
        with pytest.raises(ValueError, match="released"):
            view[0]
        assert part == RAW[1000:1008]
        assert cache.stats().leased > 0
        del part
        assert cache.stats().leased == 0

    def test_with_held(self, cache: Cache) -> None:
        """What holds the view itself is an error at the end of the block, and still good."""
        with pytest.raises(BufferError), cache.view("bytes") as view:
            held = pa.py_buffer(view)
        assert held.to_pybytes() == RAW
        del held, view
        gc.collect()
        assert cache.stats().leased == 0


def expire(cache: Cache) -> None:
    """As if the time had come."""
    assert cache.touch("array", 0.01) is True


GONE: dict[str, Callable[[Cache], Any]] = {
    "replaced": lambda cache: cache.set("array", OTHER),
    "replaced by a small one": lambda cache: cache.set("array", 1),
    "deleted": lambda cache: cache.delete("array"),
    "popped": lambda cache: cache.pop("array"),
    "expired": expire,
    "cleared": lambda cache: cache.clear(),
    "invalidated": lambda cache: cache.invalidate_tag("tag"),
}


UNLINKED = {way for way in GONE if way.startswith(("replaced", "deleted", "popped"))}


class TestGone:
    """A value that is gone from the cache keeps its bytes for those who read it."""

    @pytest.mark.parametrize("way", GONE)
    def test_gone(self, cache: Cache, way: str, eventually: Any) -> None:
        """It leaves the index at once, and its pages are free with the last lease."""
        cache.set("array", DATA, tags=["tag"])
        array, view = cache.get("array", copy=False), cache.view("array")
        GONE[way](cache)
        eventually(lambda: not isinstance(cache.get("array"), np.ndarray))
        churn(cache)
        assert np.array_equal(array, DATA)
        assert view == RAW
        del view
        assert cache.stats().leased > 0
        used = cache.stats().used
        del array
        assert cache.stats().leased == 0
        if way in UNLINKED:  # of the others the pages can be taken by who needs some
            assert cache.stats().used <= used - len(RAW)
        cache.clear()
        cache["whole"] = bytes(cache.info().value_max)
        assert "whole" in cache

    def test_not_evicted_in_part(self, cache: Cache) -> None:
        """Whatever eviction does with a value that is read: it is whole, and gone afterwards."""
        view = cache.view("array")
        churn(cache)
        assert view == RAW
        del view
        assert cache.stats().leased == 0
        churn(cache)
        assert "array" not in cache

    def test_killed_and_stopped(self, cache: Cache, fork: Any, eventually: Any) -> None:
        """A stopped process keeps its leases; one that is killed gives them back."""

        def hold() -> bool:
            view = cache.view("bytes")
            cache["held"] = 1
            eventually(lambda: "go" in cache)
            return view == RAW

        first = fork(hold)
        eventually(lambda: "held" in cache)
        stop(first.pid)
        cache["bytes"] = b"new"
        churn(cache)
        assert cache.stats().leased > len(RAW)
        first.kill(signal.SIGCONT)
        cache["go"] = 1
        assert first.result() is True
        eventually(lambda: nothing_held(cache))
        cache.delete_many(["go", "held"])
        cache["bytes"] = RAW
        second = fork(hold)
        eventually(lambda: "held" in cache)
        assert cache.stats().leased > len(RAW)
        second.kill()
        second.reap()
        eventually(lambda: nothing_held(cache))


class TestReadOnly:
    """Nothing that a reader does changes the value."""

    def test_raises(self, cache: Cache) -> None:
        """By every way that Python sees."""
        view, array = cache.view("array"), cache.get("array", copy=False)
        assert view.readonly
        assert not array.flags.writeable
        with pytest.raises(TypeError, match="read-only"):
            view[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        for writable in (array, np.frombuffer(view, "f8"), np.asarray(view.obj)):
            with pytest.raises(ValueError, match="WRITEABLE"):
                writable.setflags(write=True)
        with pytest.raises(TypeError, match="not writable"):
            ctypes.c_char.from_buffer(view)
        assert np.array_equal(cache["array"], DATA)

    def test_faults(self, cache: Cache) -> None:
        """By all others."""
        array = cache.get("array", copy=False)
        at = array.ctypes.data
        assert lies_in(cache, array)
        assert ending(lambda: ctypes.string_at(at, array.nbytes)) == 0
        assert ending(lambda: ctypes.memset(at, 1, 8)) == -signal.SIGSEGV
        assert np.array_equal(cache["array"], DATA)
        assert np.array_equal(array, DATA)

    def test_cow(self, cache: Cache) -> None:
        """A private view can be written to; nobody else sees it."""
        shared, mine = cache.get("array", copy=False), cache.get("array", copy="cow")
        other = cache.get("array", copy="cow")
        mine += 1
        assert np.array_equal(mine, DATA + 1)
        for untouched in (shared, other, cache["array"], cache.get("array", copy=False)):
            assert np.array_equal(untouched, DATA)
        del shared, other, untouched
        cache["array"] = 1
        churn(cache)
        assert np.array_equal(mine, DATA + 1)
        assert cache.stats().leased > 0
        del mine
        assert cache.stats().leased == 0
