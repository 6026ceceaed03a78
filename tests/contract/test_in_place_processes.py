# SPDX-License-Identifier: BSD-3-Clause
"""Values in place over closing, forks, threads and the end of processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from waiting import HANG_S

import plib_cache
from plib_cache import Cache, ClosedError

from .mapped import DATA, RAW, churn, lies_in, nothing_held, pss

FORKED = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def cache(protected: Cache) -> Cache:
    """One with an array and bytes."""
    protected["array"], protected["bytes"] = DATA, RAW
    return protected


OPEN = """
import plib_cache
cache = plib_cache.Cache(path={path!r}, protection={protection!r})
array, view = cache.get("array", copy=False), cache.view("array")
"""
LOOK = "import atexit; atexit.register(lambda: print(view[8:16].hex(), array[1]))"
EXITS = {  # what the program does before it opens the cache, and afterwards
    "globals": ("", ""),
    "cycle": ("", "loop = [view, array]; loop.append(loop)"),
    "read at exit": ("", LOOK),
    "read at exit, after the library's": (LOOK, ""),
    "closed at exit": ("", "import atexit; atexit.register(cache.close)"),
    "closed": ("", "cache.close()"),
    "private": ("", "mine = cache.get('array', copy='cow'); mine += 1"),
    "reserved": ("", "room = cache.reserve('room', 100_000); buffer = room.buffer[5:]"),
    "other modules": ("", "import sys, math; math.view = view; sys.modules['x'] = array"),
    "sleeping thread": (
        "import threading",
        "threading.Thread(target=lambda v: threading.Event().wait(), args=[view], daemon=True)"
        ".start()",
    ),
    "working thread": (
        "import threading",
        "def work():\n    while not cache.closed:\n"
        "        try:\n            cache.get('array', copy=False).sum()\n"
        "        except plib_cache.ClosedError:\n            pass\n"
        "threading.Thread(target=work, daemon=True).start()",
    ),
}


@pytest.mark.parametrize("what", EXITS)
def test_exit(cache: Cache, what: str, eventually: Any) -> None:
    """A program that ends while it holds views ends well, and its leases with it."""
    before, after = EXITS[what]
    opening = OPEN.format(path=cache.path, protection=cache._options["protection"])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{before}\n{opening}\n{after}"],
        capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("000000000000f03f 1.0\n" if what.startswith("read") else "")
    eventually(lambda: nothing_held(cache))


class TestClosing:
    """Views live on after ``close``."""

    def test_close(self, cache: Cache) -> None:
        """What was got stays what it is, also when the cache is opened again and written to."""
        options = {"path": cache.path, "protection": cache._options["protection"]}
        array, view, mine = cache.get("array", copy=False), cache.view("bytes"), None
        mine = cache.get("array", copy="cow")
        cache.close()
        with pytest.raises(ClosedError):
            cache.view("array")
        mine += 1
        with Cache(**options) as again:
            again["array"] = again["bytes"] = 0
            churn(again)
            assert (again["array"], view[:8]) == (0, RAW[:8])
            assert np.array_equal(mine, array + 1)
        assert np.array_equal(array, DATA)
        assert view == RAW
        del array, view, mine
        gc.collect()
        with Cache(**options) as again:
            assert nothing_held(again)
            assert lies_in(again, again.view("churn-149"))
            assert again.check() == []

    def test_removed(self, cache: Cache) -> None:
        """Even if the region's file is removed."""
        array = cache.get("array", copy=False)
        cache.close()
        os.unlink(cache.path)
        assert np.array_equal(array, DATA)

    def test_dropped(self, regions: Any) -> None:
        """And if nobody closes it: a cache that is garbage goes with its last view."""
        cache = Cache("dropped", size="8MiB")
        cache["a"] = DATA
        array = cache.get("a", copy=False)
        del cache
        gc.collect()
        assert np.array_equal(array, DATA)
        del array
        with Cache("dropped") as again:
            assert again.stats().leased == 0


def read_in_place(number: int) -> tuple[float, bool, int]:
    """In a child: the sum of the array, and that it was read where it lies."""
    cache = plib_cache.get_cache()
    array = cache.get("array", copy=False)
    return float(array.sum()) + number, lies_in(cache, array), cache.stats().leases_copied


class TestProcesses:
    """Children read in place as well, and keep what they inherit."""

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    @FORKED
    def test_multiprocessing(self, method: str, eventually: Any) -> None:
        """Children of both kinds, while the parent has a lease of its own."""
        cache = plib_cache.get_cache()
        cache["array"] = DATA
        mine = cache.get("array", copy=False)
        with multiprocessing.get_context(method).Pool(2) as pool:
            answers = pool.map(read_in_place, range(6))
        assert answers == [(float(DATA.sum()) + n, True, 0) for n in range(6)]
        assert np.array_equal(mine, DATA)
        del mine
        eventually(lambda: nothing_held(cache))

    def test_inherited(self, cache: Cache, fork: Any, eventually: Any) -> None:
        """The child keeps what it inherited, when the parent has dropped and overwritten it."""
        held = [cache.get("array", copy=False), cache.view("bytes"), cache.get("array", copy="cow")]
        held[2] += 1

        def child() -> tuple[bool, ...]:
            array, view, mine = held
            part = view[8:16]
            cache["ready"] = 1
            eventually(lambda: "go" in cache)
            same = (
                np.array_equal(array, DATA), view == RAW, part == RAW[8:16],
                np.array_equal(mine, DATA + 1),
            )  # fmt: skip
            own = cache.get("array", copy=False)
            return (*same, own == "new", lies_in(cache, array))

        started = fork(child)
        eventually(lambda: "ready" in cache)
        held.clear()
        cache["array"] = cache["bytes"] = "new"
        churn(cache)
        cache["array"] = "new"
        cache["go"] = 1
        assert started.result() == (True,) * 6
        eventually(lambda: nothing_held(cache))

    def test_child_drops(self, cache: Cache, fork: Any) -> None:
        """What a child lets go of stays the parent's."""
        held = [cache.get("array", copy=False)]
        before = cache.stats().leased

        def child() -> None:
            held.clear()
            gc.collect()
            cache["array"] = 1
            churn(cache)

        fork(child).result()
        assert cache.stats().leased == before
        assert np.array_equal(held.pop(), DATA)
        assert nothing_held(cache)

    def test_memory(self, fork: Any, eventually: Any) -> None:
        """Four processes with the same array have it once in memory."""
        size = 64 << 20
        cache = Cache("memory", size="160MiB", expected_entry=1 << 20)

        def write() -> None:
            cache["array"] = np.ones(size // 8)

        def read(number: int) -> tuple[float, int, int]:
            array = cache.get("array", copy=False)
            total = float(array.sum())
            cache[f"read-{number}"] = 1
            eventually(lambda: all(f"read-{n}" in cache for n in range(4)))
            mine = pss(cache.path)
            cache[f"measured-{number}"] = 1
            eventually(lambda: all(f"measured-{n}" in cache for n in range(4)))
            return total, mine, cache.stats().leases_copied

        fork(write).result()
        results = [child.result() for child in [fork(read, n) for n in range(4)]]
        assert [(total, copied) for total, _, copied in results] == [(size / 8, 0)] * 4
        assert size * 0.9 < sum(mine for _, mine, _ in results) <= 1.05 * size
        cache.close()

    def test_threads(self, cache: Cache) -> None:
        """Threads read in place what others replace: each array is one that was stored."""
        errors: list[BaseException] = []

        def write(number: int) -> None:
            for n in range(150):
                cache["k"] = np.full(20_000, n * 2 + number)

        def read() -> None:
            kept = []
            for _ in range(300):
                array = cache.get("k", copy=False)
                kept = [*kept[-5:], array]
                for one in kept:
                    assert one[0] == one[-1] == one.max() == one.min()

        def caught(function: Any, *args: Any) -> None:
            try:
                function(*args)
            except BaseException as error:
                errors.append(error)

        write(0)
        jobs = [(write, 0), (write, 1), (read,), (read,), (read,)]
        threads = [threading.Thread(target=caught, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert nothing_held(cache)
