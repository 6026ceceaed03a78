# SPDX-License-Identifier: BSD-3-Clause
"""``joblib.Memory(..., backend="plib")``: results, versions, references, arrays."""

from __future__ import annotations

import asyncio
import datetime
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib_caches import counting, memory

from plib_cache.integrations.joblib import _region


@pytest.fixture(autouse=True)
def untold() -> None:
    """Each test hears the warnings that are given once in a process."""
    _region._warned.clear()


@pytest.mark.parametrize(
    "value",
    [None, 1, "text", b"bytes", [1, {"a": (2.5, None)}], np.arange(6.0).reshape(2, 3)],
    ids=lambda value: type(value).__name__,
)
def test_a_result_is_computed_once(tmp_path: Path, value: Any) -> None:
    """The second call of any Memory at the location gets an equal result of the same type."""
    function, calls = counting(lambda x: value)
    first = memory(tmp_path).cache(function)(1)
    second = memory(tmp_path).cache(function)(1)
    assert calls == [1]
    assert type(second) is type(value)
    assert np.array_equal(first, value)
    assert np.array_equal(second, value)


def test_results_are_in_one_file_of_ones_own(tmp_path: Path) -> None:
    """The region is in the folder of the location, and git is told to ignore it."""
    function, _ = counting()
    memory(tmp_path / "there").cache(function)(1)
    folder = tmp_path / "there" / "joblib"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "region.plib"]
    path_given = joblib.Memory(tmp_path / "there", backend="plib", verbose=0)
    assert path_given.cache(function).check_call_in_cache(1)


PARALLEL = """
import json, sys, joblib, numpy as np
import plib_cache.integrations.joblib

def spectrum(n):
    with open("computed", "a") as log:
        log.write(f"{n}\\n")
    return np.arange(n) ** 0.5

if __name__ == "__main__":
    memory = joblib.Memory("cache", backend="plib", verbose=0, backend_options={"size": "64MiB"})
    cached = memory.cache(spectrum)
    results = joblib.Parallel(n_jobs=2)(joblib.delayed(cached)(n) for n in range(1000, 1006))
    print(json.dumps([float(r.sum()) for r in results]))
"""


def test_workers_share_results_with_later_programs(
    program: Callable[..., Any], tmp_path: Path
) -> None:
    """What loky's workers have computed is there for the workers of the next program."""
    first, second = program(PARALLEL), program(PARALLEL)
    assert first == second == [float((np.arange(n) ** 0.5).sum()) for n in range(1000, 1006)]
    assert sorted(map(int, (tmp_path / "computed").read_text().split())) == [*range(1000, 1006)]


def test_unpickling_makes_the_backend_known(program: Callable[..., Any], tmp_path: Path) -> None:
    """A process that gets a Memory needs not to have imported the integration."""
    function, _ = counting()
    cache = memory(tmp_path / "there")
    cache.cache(function)(1)
    (tmp_path / "pickled").write_bytes(pickle.dumps(cache))
    source = """
import json, pickle
with open("pickled", "rb") as file:
    memory = pickle.load(file)
print(json.dumps([type(memory.store_backend).__name__, len(memory.store_backend.get_items())]))
"""
    assert program(source) == ["PlibStoreBackend", 1]


def test_a_store_is_plain_data(tmp_path: Path) -> None:
    """A copy of a Memory is equal to it, also after use, and has the same hash."""
    cache = memory(tmp_path)
    cache.cache(counting()[0])(1)
    copy = pickle.loads(pickle.dumps(cache))
    assert vars(copy.store_backend) == vars(cache.store_backend)
    assert joblib.hash(copy) == joblib.hash(cache)


# ---- versions ------------------------------------------------------------------------------------

VERSION = """
import joblib
import plib_cache.integrations.joblib

memory = joblib.Memory({location!r}, backend={backend!r}, verbose=0)
computed = []

def same(x):
    computed.append(x)
    return [{version!r}, x]

same.__module__ = "shared.name"
cached = memory.cache(same)
"""


def _versions(location: Path, backend: str) -> list[str]:
    """Programs that have two versions of one function."""
    place = str(location / "there")
    return [VERSION.format(location=place, backend=backend, version=v) for v in ("v1", "v2")]


def test_the_stock_backend_gives_results_of_another_version(
    dialogue: Callable[[str, str], Any], tmp_path: Path
) -> None:
    """What the next test is about happens with joblib's files: else it would show nothing."""
    old, new = (dialogue(*one) for one in zip("on", _versions(tmp_path, "local"), strict=True))
    assert old("cached(7)") == ["v1", 7]
    assert new("cached(7)") == ["v2", 7]
    assert old("cached(7)") == ["v2", 7]


def test_versions_in_live_processes_do_not_mix(
    dialogue: Callable[[str, str], Any], tmp_path: Path
) -> None:
    """Processes with different code of one function never get each other's results."""
    sources = _versions(tmp_path, "plib")
    old, new = dialogue("old", sources[0]), dialogue("new", sources[1])
    for turn in range(3):
        assert old("cached(7)") == ["v1", 7]
        assert new("cached(7)") == ["v2", 7]
        assert new(f"cached({turn})") == ["v2", turn]
        assert old(f"cached({turn})") == ["v1", turn]
    assert old("computed") == [7, 0, 1, 2]
    assert sorted(new("computed")) == [0, 1, 2, 7]
    late = dialogue("late", sources[0])
    assert late("[cached(n) for n in (7, 0, 1, 2)]") == [["v1", n] for n in (7, 0, 1, 2)]
    assert late("computed") == []


def test_functions_of_one_name_do_not_mix(tmp_path: Path) -> None:
    """Two functions of one name in one process have results of their own, even nested."""
    cache = memory(tmp_path)

    def make(outer: Any) -> Any:
        if outer is None:

            def same(x: int) -> Any:
                return ("inner", x)
        else:

            def same(x: int) -> Any:
                return ("outer", outer(x))

        return cache.cache(same)

    inner = make(None)
    outer = make(inner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", joblib.memory.JobLibCollisionWarning)
        for _ in range(3):
            assert outer(1) == ("outer", ("inner", 1))
            assert inner(1) == ("inner", 1)


# ---- forgetting ----------------------------------------------------------------------------------


def test_clearing_a_function_leaves_the_others(tmp_path: Path) -> None:
    """``clear`` of a function forgets its results, and no others."""
    cache, calls = memory(tmp_path), []

    def one(x: int) -> int:
        calls.append(("one", x))
        return x

    def two(x: int) -> int:
        calls.append(("two", x))
        return -x

    first, second = cache.cache(one), cache.cache(two)
    assert [first(1), second(1)] == [1, -1]
    first.clear(warn=False)
    assert [first(1), second(1)] == [1, -1]
    assert calls == [("one", 1), ("two", 1), ("one", 1)]


def test_clearing_everything(tmp_path: Path) -> None:
    """``Memory.clear`` forgets all results, and the cache goes on working."""
    function, calls = counting()
    cache = memory(tmp_path)
    cached = cache.cache(function)
    cached(1)
    cache.clear(warn=False)
    assert not cached.check_call_in_cache(1)
    assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1, 1]


def test_a_removed_folder_is_an_empty_cache(tmp_path: Path) -> None:
    """Deleting the location, as one does with joblib, forgets the results and harms nothing."""
    function, calls = counting()
    cached = memory(tmp_path / "there").cache(function)
    cached(1)
    shutil.rmtree(tmp_path / "there")
    assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1, 1]


def test_results_can_expire(tmp_path: Path) -> None:
    """A validation callback sees the time of the computation."""
    function, calls = counting()
    still = memory(tmp_path).cache(function, cache_validation_callback=joblib.expires_after(days=1))
    never = memory(tmp_path).cache(
        function, cache_validation_callback=joblib.expires_after(days=-1)
    )
    assert [still(1), still(1)] == [1, 1]
    assert calls == [1]
    assert never(1) == 1
    assert calls == [1, 1]


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"items_limit": 2}, 2),
        ({"bytes_limit": "3K"}, 2),
        ({"bytes_limit": 500}, 0),
        ({"age_limit": datetime.timedelta(days=1)}, 4),
        ({"age_limit": datetime.timedelta(0)}, 0),
    ],
    ids=str,
)
def test_reducing_the_size(tmp_path: Path, limits: dict[str, Any], left: int) -> None:
    """``reduce_size`` forgets the oldest results until the limits are met."""
    function, _ = counting(lambda x: bytes(1000))
    cache = memory(tmp_path)
    cached = cache.cache(function)
    for n in range(4):
        cached(n)
    cache.reduce_size(**limits)
    there = [n for n in range(4) if cached.check_call_in_cache(n)]
    assert there == [0, 1, 2, 3][4 - left :]
    assert len(cache.store_backend.get_items()) == left


def test_a_negative_age_is_refused(tmp_path: Path) -> None:
    """``reduce_size`` refuses what makes no sense, as joblib does."""
    cache = memory(tmp_path)
    cache.cache(counting()[0])(1)
    with pytest.raises(ValueError, match="positive"):
        cache.reduce_size(age_limit=datetime.timedelta(-1))


# ---- references ----------------------------------------------------------------------------------


def test_references_to_results(tmp_path: Path) -> None:
    """``call_and_shelve`` gives a small reference that can be pickled, read and cleared."""
    function, calls = counting(lambda x: np.full(1000, x))
    cached = memory(tmp_path).cache(function)
    fresh, found = cached.call_and_shelve(3), cached.call_and_shelve(3)
    assert calls == [3]
    assert len(pickle.dumps(found)) < 2000
    for reference in (fresh, found, pickle.loads(pickle.dumps(fresh))):
        assert np.array_equal(reference.get(), np.full(1000, 3))
        assert reference.duration is not None
    found.clear()
    with pytest.raises(KeyError, match="no result"):
        fresh.get()
    assert not cached.check_call_in_cache(3)


def test_a_reference_can_be_written_down(tmp_path: Path) -> None:
    """A reference made from location, function and arguments reads the last version's result."""
    function, _ = counting()
    shelved = memory(tmp_path).cache(function).call_and_shelve(5)
    location, call_id = shelved.store_backend.location, (shelved.func_id, shelved.args_id)
    again = joblib.memory.MemorizedResult(location, call_id, backend="plib")
    assert again.get() == 5


def test_coroutine_functions(tmp_path: Path) -> None:
    """The result of a coroutine function is cached, not the coroutine."""
    calls = []

    async def slow(x: int) -> int:
        calls.append(x)
        return x * 2

    cached = memory(tmp_path).cache(slow)
    assert [asyncio.run(cached(2)), asyncio.run(cached(2))] == [4, 4]
    assert calls == [2]


# ---- arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "writable"), [(None, True), ("c", True), ("r", False)])
def test_arrays_are_copies_of_ones_own(tmp_path: Path, mode: str | None, writable: bool) -> None:
    """Nothing done to an array changes the result in the cache; with "r" nothing can be done."""
    function, _ = counting(lambda x: (np.zeros(100_000), {"a": np.zeros(3)}))
    cached = memory(tmp_path, mmap_mode=mode).cache(function)
    for _ in range(2):  # as computed, and from the cache
        large, small = cached(1)[0], cached(1)[1]["a"]
        assert large.flags.writeable is writable
        assert small.flags.writeable is writable
        if writable:
            large[:] = 1
    assert not cached(1)[0].any()


@pytest.mark.parametrize("mode", ["r+", "w+"])
def test_modes_that_write_are_refused(tmp_path: Path, mode: str) -> None:
    """A mode that would change what others read is an error that says what to use."""
    with pytest.raises(ValueError, match="use 'r'"):
        memory(tmp_path, mmap_mode=mode)
    with pytest.raises(ValueError, match="use 'r'"):
        memory(tmp_path).cache(counting()[0], mmap_mode=mode)
