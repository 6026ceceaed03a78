# SPDX-License-Identifier: BSD-3-Clause
"""How results are read: in place, copied when written to, copied, or from compressed blobs."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import handed_tables as tables
import joblib
import numpy as np
import pandas as pd
import pytest
from joblib_caches import SMALL, counting, memory

from plib_cache import Cache
from plib_cache._content import ContentHash
from plib_cache.integrations.joblib import Memory, _region, failures

ELEMENTS = 100_000
LARGE = np.arange(float(ELEMENTS))


@pytest.fixture(autouse=True)
def untold() -> None:
    """Each test hears the warnings that are given once in a process."""
    _region._warned.clear()


def ours(location: Path, **options: Any) -> Memory:
    """Our own Memory, quiet and small."""
    return Memory(location, verbose=0, backend_options=SMALL, **options)


def region_of(location: Path) -> Cache:
    """The region of a location."""
    return Cache(path=location / "joblib" / "region.plib", create=False)


def leased(location: Path) -> bool:
    """Whether anything is read in place."""
    gc.collect()
    with region_of(location) as cache:
        return cache.stats().leased != 0


@pytest.mark.parametrize(
    "value",
    [LARGE, [LARGE, {"a": LARGE}], pd.DataFrame({"x": LARGE, "y": -LARGE})],
    ids=["array", "nested", "table"],
)
def test_read_only_results_are_used_in_place(tmp_path: Path, value: Any) -> None:
    """With mmap_mode="r" a hit has no copy: it is leased as long as it is used, and no longer."""
    cached = memory(tmp_path, mmap_mode="r").cache(counting(lambda _: value)[0])
    first, second = cached(1), cached(1)
    assert joblib.hash(first) == joblib.hash(second) == joblib.hash(value)
    assert leased(tmp_path)
    del first
    assert leased(tmp_path)
    del second
    assert not leased(tmp_path)


def test_copy_on_write_results_change_for_their_owner_only(tmp_path: Path) -> None:
    """With mmap_mode="c" a hit is in place until it is written to, and then a copy of one's own."""
    cached = memory(tmp_path, mmap_mode="c").cache(counting(lambda _: LARGE)[0])
    mine, other = cached(1), cached(1)
    assert leased(tmp_path)
    mine[:] = 7
    assert mine.max() == mine.min() == 7
    assert np.array_equal(other, LARGE)
    assert np.array_equal(cached(1), LARGE)


def test_a_result_of_ones_own_has_no_lease(tmp_path: Path) -> None:
    """With mmap_mode=None it is a copy from the beginning."""
    cached = memory(tmp_path).cache(counting(lambda _: LARGE)[0])
    results = [cached(1), cached(1)]
    results[1][:] = 7
    assert not leased(tmp_path)
    assert np.array_equal(cached(1), LARGE)


def test_looking_is_no_copy_and_holds_nothing(tmp_path: Path) -> None:
    """Whether a result is there, and a reference to it, cost no copy and pin nothing."""
    cached = memory(tmp_path, mmap_mode="r").cache(counting(lambda _: LARGE)[0])
    cached(1)
    assert cached.check_call_in_cache(1)
    reference = cached.call_and_shelve(1)
    assert not leased(tmp_path)
    assert np.array_equal(reference.get(), LARGE)


# ---- by reference --------------------------------------------------------------------------------


def kind_and_sum(array: Any) -> Any:
    """What a worker has got, and sends back."""
    return type(array).__name__, float(array.sum()), array


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
@pytest.mark.parametrize("make", [memory, ours], ids=["backend", "Memory"])
def test_results_go_to_workers_by_reference(
    tmp_path: Path, make: Callable[..., joblib.Memory], backend: str
) -> None:
    """And come back so: as the memory of the cache and not as bytes; a plain pickle has bytes."""
    cached = make(tmp_path, mmap_mode="r").cache(counting(lambda _: LARGE)[0])
    result = cached(1)
    assert len(ForkingPickler.dumps(result)) < 2000
    assert len(pickle.dumps(result)) > LARGE.nbytes
    call = joblib.delayed(kind_and_sum)
    for kind, total, back in joblib.Parallel(2, backend=backend)([call(result), call(result[5:])]):
        assert kind == type(back).__name__ == "SharedArray"
        assert total == back.sum()
    assert joblib.hash(result) == joblib.hash(LARGE)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
@pytest.mark.parametrize("make", [memory, ours], ids=["backend", "Memory"])
@pytest.mark.parametrize("name", ["mixed", "series of texts", "dict", "table", "rows"])
def test_whatever_holds_arrays_goes_to_workers_by_reference(
    tmp_path: Path, make: Callable[..., joblib.Memory], backend: str, name: str
) -> None:
    """Tables, sparse matrices, Arrow data; joblib dumps nothing of them into files of its own."""
    value = tables.make(name)
    cached = make(tmp_path, mmap_mode="r").cache(counting(lambda _: value)[0])
    result = [cached(1), cached(1)][1]
    where = {(tmp_path / "joblib" / "region.plib").stat().st_ino}
    assert len(ForkingPickler.dumps(result)) < 20_000
    assert tables.same(value, pickle.loads(pickle.dumps(result)))
    dumped = tmp_path / "dumped"
    dumped.mkdir()
    with joblib.Parallel(2, backend=backend, temp_folder=dumped, max_nbytes=10_000) as parallel:
        call = joblib.delayed(tables.look)
        for there, back in parallel([call(result), call(result)]):
            assert there == tables.places(back) == where
            assert tables.same(value, back)
        assert [file for file in dumped.rglob("*") if file.is_file()] == []


def test_a_result_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that is the argument of the next function carries its digest, everywhere."""
    hashed: list[int] = []
    update = ContentHash.update

    def noted(self: Any, data: Any) -> None:
        hashed.append(memoryview(data).nbytes)
        update(self, data)

    monkeypatch.setattr(ContentHash, "update", noted)
    store = ours(tmp_path, mmap_mode="r")
    large, summed = store.cache(made), store.cache(total)
    assert [summed(large(1)) for _ in range(3)] == [LARGE.sum()] * 3
    assert sum(hashed) < 2 * LARGE.nbytes
    hashed.clear()
    assert summed(large(1)) == LARGE.sum()
    assert sum(hashed) < 1000
    assert summed(np.array(LARGE)) == LARGE.sum()
    assert sum(hashed) >= LARGE.nbytes
    assert summed.cache_info().misses == 1
    for other in (large(1).reshape(2, -1), large(1).view("i8"), large(1)[1:]):
        summed(other)
    assert summed.cache_info().misses == 4


def made(_: int) -> Any:
    """A large result."""
    return LARGE


def total(array: Any) -> float:
    """What is made of it."""
    return float(array.sum())


# ---- compressed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, "r", "c"])
@pytest.mark.parametrize("compress", [True, 9, ("zlib", 3), ("lzma", 1)], ids=str)
@pytest.mark.filterwarnings("ignore:Compressed results cannot be memmapped")
def test_compressed_results(tmp_path: Path, compress: Any, mode: str | None) -> None:
    """They take less room, and are what they were; with "r" arrays are read-only as ever."""
    function, calls = counting(lambda x: {"zeros": np.zeros(ELEMENTS), "x": x})
    store = memory(tmp_path, compress=compress, mmap_mode=mode)
    cached = store.cache(function)
    results = [cached(1), cached(1)]
    assert calls == [1]
    for result in results:
        assert result["x"] == 1
        assert not result["zeros"].any()
        assert result["zeros"].flags.writeable is (mode != "r")
    (item,) = store.store_backend.get_items()
    assert item.size < 8 * ELEMENTS / 10


def test_compressed_and_plain_results_live_together(tmp_path: Path) -> None:
    """Who opens the location later finds both, whatever it says of compress itself."""
    function, calls = counting()
    memory(tmp_path, compress=True).cache(function)(1)
    memory(tmp_path).cache(function)(2)
    for compress in (True, False):
        cached = memory(tmp_path, compress=compress).cache(function)
        assert [cached(1), cached(2)] == [1, 2]
        assert cached.check_call_in_cache(1)
    assert calls == [1, 2]


def test_a_damaged_blob_is_computed_anew(tmp_path: Path) -> None:
    """It is no result, with one warning; and the new one takes its place."""
    function, calls = counting()
    cached = memory(tmp_path, compress=True).cache(function)
    cached(1)
    with region_of(tmp_path) as cache:
        (name,) = [key for key in cache if str(key).startswith("z:")]
        cache[name] = b"no blob"
    before = failures().get(cached.func_id, 0)
    with pytest.warns(UserWarning, match="runs without its cache"):
        assert cached(1) == 1
    assert cached(1) == 1
    assert calls == [1, 1]
    assert failures()[cached.func_id] == before + 1
