# SPDX-License-Identifier: BSD-3-Clause
"""``plib_cache.integrations.joblib.Memory``: what joblib's users know, on our own path."""

from __future__ import annotations

import asyncio
import pickle
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib_caches import SMALL, counting

import plib_cache
from plib_cache.integrations.joblib import Memory, _region, failures


@pytest.fixture(autouse=True)
def untold() -> None:
    """Each test hears the warnings that are given once in a process."""
    _region._warned.clear()


def ours(location: Any, **options: Any) -> Memory:
    """A quiet Memory with a small region."""
    return Memory(location, **{"verbose": 0, "backend_options": SMALL, **options})


@pytest.fixture
def store(tmp_path: Path) -> Memory:
    """One in a folder."""
    return ours(tmp_path)


# ---- calls ---------------------------------------------------------------------------------------


def test_a_result_is_computed_once(store: Memory) -> None:
    """However the arguments are spelled; and hits and misses are counted."""
    calls: list[Any] = []

    @store.cache
    def power(x: int, y: int = 2) -> int:
        calls.append((x, y))
        return x**y

    assert [power(3), power(x=3), power(3, 2), power(3, y=2), power(3, 3)] == [9, 9, 9, 9, 27]
    assert calls == [(3, 2), (3, 3)]
    info = power.cache_info()
    assert (info.hits, info.misses, info.currsize) == (3, 2, 2)
    assert power.seconds_saved >= 0


def test_ignored_arguments_do_not_matter(store: Memory) -> None:
    """As with joblib's own."""
    calls: list[int] = []

    @store.cache(ignore=["noise"])
    def f(x: int, noise: int = 0) -> int:
        calls.append(noise)
        return x

    assert [f(1, 2), f(1, 3)] == [1, 1]
    assert calls == [2]


def test_coroutine_functions(store: Memory) -> None:
    """All that can be done with functions can be done with them, awaited."""
    calls: list[int] = []

    @store.cache
    async def slow(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0)
        return 2 * x

    async def use() -> Any:
        results = [await slow(2), *await asyncio.gather(slow(2), slow(3), slow(3))]
        reference = await slow.call_and_shelve(2)
        other = await slow.call_and_shelve(4)
        return results, reference.get(), other.get(), await slow.call(5)

    results, first, second, (value, metadata) = asyncio.run(use())
    assert (results, first, second, value) == ([4, 4, 6, 6], 4, 8, 10)
    assert calls == [2, 3, 4, 5]
    assert metadata["input_args"] == {"x": "5"}


class Opaque:
    """Has no content that another process could see, for our keys; joblib pickles it."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __reduce__(self) -> Any:
        return Opaque, (self.x,)

    def __plib_key__(self) -> Any:
        return object()


def test_arguments_without_a_stable_key_take_joblibs_way(store: Memory) -> None:
    """With one warning; they are found again all the same."""
    function, calls = counting(lambda value: value.x)
    cached = store.cache(function)
    with pytest.warns(plib_cache.PlibCacheWarning, match="joblib's own way"):
        assert cached(Opaque(1)) == 1
    assert cached(Opaque(1)) == 1
    assert cached.check_call_in_cache(Opaque(1))
    assert cached.call_and_shelve(Opaque(1)).get() == 1
    assert len(calls) == 1


@pytest.mark.parametrize(("mode", "writable"), [(None, True), ("c", True), ("r", False)])
def test_modes(tmp_path: Path, mode: str | None, writable: bool) -> None:
    """What is computed is given as what is found later is."""
    cached = ours(tmp_path, mmap_mode=mode).cache(counting(lambda _: np.zeros(100_000))[0])
    for _ in range(2):
        result = cached(1)
        assert result.flags.writeable is writable
        if writable:
            result[:] = 7
    assert not cached(1).any()


@pytest.mark.parametrize("mode", ["r+", "w+"])
def test_modes_that_write_are_refused(tmp_path: Path, mode: str) -> None:
    """Where the Memory is made, or the function."""
    with pytest.raises(ValueError, match="mmap_mode"):
        ours(tmp_path, mmap_mode=mode)
    with pytest.raises(ValueError, match="mmap_mode"):
        ours(tmp_path).cache(counting()[0], mmap_mode=mode)


def test_compressed_results_take_joblibs_way(tmp_path: Path) -> None:
    """They are blobs, that joblib.Memory finds too."""
    function, calls = counting(lambda x: [x] * 1000)
    cached = ours(tmp_path, compress=3).cache(function)
    assert cached(1) == cached(1) == [1] * 1000
    assert calls == [1]


# ---- what joblib adds ----------------------------------------------------------------------------


def test_references(store: Memory) -> None:
    """A reference finds the result, also after a pickle and written down; cleared, it does not."""
    function, calls = counting(lambda x: [x])
    cached = store.cache(function)
    reference = cached.call_and_shelve(1)
    assert reference.get() == [1]
    assert pickle.loads(pickle.dumps(reference)).get() == [1]
    assert cached.call_and_shelve(1).get() == cached(1) == [1]
    again = joblib.memory.MemorizedResult(
        reference.store_backend.location, (reference.func_id, reference.args_id), backend="plib"
    )
    assert again.get() == [1]
    assert again.duration == reference.duration
    assert calls == [1]
    reference.clear()
    with pytest.raises(KeyError):
        again.get()


def test_validation(store: Memory) -> None:
    """A callback sees what is known of a computation, and decides."""
    seen: list[dict[str, Any]] = []
    valid = [True]

    def validate(metadata: dict[str, Any]) -> bool:
        seen.append(metadata)
        return valid[0]

    function, calls = counting()
    cached = store.cache(function, cache_validation_callback=validate)
    assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1]
    assert seen[-1]["input_args"] == {"x": "1"}
    assert seen[-1]["duration"] >= 0
    valid[0] = False
    assert not cached.check_call_in_cache(1)
    assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1, 1, 1]
    expired = store.cache(function, cache_validation_callback=joblib.expires_after(seconds=-1))
    assert expired(1) == 1
    assert len(calls) == 4
    with pytest.raises(ValueError, match="callable"):
        store.cache(function, cache_validation_callback=3)  # type: ignore[arg-type]


def test_looking_computing_anew_and_clearing(store: Memory) -> None:
    """check_call_in_cache, call and clear."""
    (one, calls), (other, _) = counting(), counting(lambda x: -x)

    def another(x: int) -> Any:
        return other(x)

    cached, kept = store.cache(one), store.cache(another)
    assert not cached.check_call_in_cache(1)
    assert cached(1) == 1
    kept(1)
    assert cached.check_call_in_cache(1)
    value, metadata = cached.call(1)
    assert (value, metadata["input_args"]) == (1, {"x": "1"})
    assert calls == [1, 1]
    cached.clear(warn=False)
    assert not cached.check_call_in_cache(1)
    assert kept.check_call_in_cache(1)
    store.clear(warn=False)
    assert not kept.check_call_in_cache(1)


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"items_limit": 1}, 1),
        ({"bytes_limit": 200}, 1),
        ({"age_limit": timedelta(0)}, 0),
        ({}, 3),
    ],
    ids=str,
)
def test_reducing_the_size(store: Memory, limits: dict[str, Any], left: int) -> None:
    """The oldest results go first."""
    cached = store.cache(counting()[0])
    for x in range(3):
        cached(x)
    store.reduce_size(**limits)
    assert [cached.check_call_in_cache(x) for x in range(3)] == [x >= 3 - left for x in range(3)]


class Large:
    """Its repr is never asked for: it would be long."""

    def __init__(self) -> None:
        self.rows = list(range(100_000))

    shape = (100_000, 3)

    def __repr__(self) -> str:
        raise AssertionError("somebody asked")


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A computation as joblib prints it, large arguments by their shape; a hit from 2 on."""
    cached = ours(tmp_path, verbose=1).cache(_nothing)
    cached(Large())
    said = capsys.readouterr().out
    assert "[Memory] Calling" in said
    assert "_nothing(<Large 100000x3>)" in said
    assert "_nothing - 0.0s" in said
    cached(Large())
    assert not capsys.readouterr().out
    told = ours(tmp_path, verbose=2).cache(cached)
    told(Large())
    assert "Loading" in capsys.readouterr().out


def test_it_pickles_compares_and_hashes_as_joblibs_own(store: Memory) -> None:
    """A memorized function is plain data, before and after it was called."""
    cached = store.cache(_doubled)
    before = joblib.hash(cached), vars(cached).keys()
    cached(1)
    assert (joblib.hash(cached), vars(cached).keys()) == before
    copy = pickle.loads(pickle.dumps(cached))
    assert copy(1) == 2
    assert copy.cache_info().hits == 1
    assert joblib.hash(pickle.loads(pickle.dumps(store))) == joblib.hash(store)


def _nothing(x: Any) -> None:
    """What is computed of something large."""


def _doubled(x: int) -> int:
    return 2 * x


# ---- where results are ---------------------------------------------------------------------------


def test_the_default_region_of_the_node(regions: Path) -> None:
    """Without a location; what others keep there is not touched."""
    plib_cache.get_cache()["mine"] = 1
    cached = ours(None).cache(_doubled)
    assert cached(2) == 4
    with plib_cache.Cache() as cache:
        assert len(cache) > 1
        assert cache.path.startswith(str(regions))
    ours(None).clear(warn=False)
    assert not cached.check_call_in_cache(2)
    assert plib_cache.get_cache()["mine"] == 1


def test_a_region_by_name(regions: Path) -> None:
    """A str that is no path is the name of a region."""
    cached = ours("results").cache(_doubled)
    reference = cached.call_and_shelve(3)
    assert [cached(3), reference.get(), pickle.loads(pickle.dumps(reference)).get()] == [6, 6, 6]
    with plib_cache.Cache("results", create=False) as cache:
        assert cache.path.startswith(str(regions))
        assert len(cache) > 1
    with pytest.raises(plib_cache.ConfigurationError):
        ours("no name\n")


def test_a_folder_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A str that names a folder, or has a separator in it, is a path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for location in ("there", "./new", tmp_path / "third"):
        ours(location).cache(_doubled)(1)
        assert (tmp_path / location / "joblib" / "region.plib").exists()


def test_a_removed_folder_is_an_empty_cache(tmp_path: Path) -> None:
    """The next call computes, and stores in a new one."""
    function, calls = counting()
    cached = ours(tmp_path / "cache").cache(function)
    assert [cached(1), cached(1)] == [1, 1]
    shutil.rmtree(tmp_path / "cache")
    assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1, 1]


# ---- what goes wrong -----------------------------------------------------------------------------


def test_a_cache_that_cannot_be_opened_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning, counted, and the function is computed."""

    def refuse(*_: Any) -> Any:
        raise plib_cache.ConfigurationError("there is no room")

    monkeypatch.setattr("plib_cache.integrations.joblib._region._open", refuse)
    function, calls = counting()
    cached = ours(tmp_path / "x").cache(function)
    before = failures().get(cached.func_id, 0)
    with pytest.warns(plib_cache.PlibCacheWarning, match="no room"):
        assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1, 1]
    assert failures()[cached.func_id] > before


@pytest.mark.filterwarnings("ignore:.*runs without its cache")
@pytest.mark.parametrize("mode", [None, "r"])
@pytest.mark.parametrize("value", [None, b"x" * (17 << 20)], ids=["unpicklable", "large"])
def test_what_cannot_be_stored_is_returned(tmp_path: Path, mode: str | None, value: Any) -> None:
    """Each time it is computed."""
    function, calls = counting(lambda _: _Unpicklable() if value is None else value)
    cached = ours(tmp_path, mmap_mode=mode).cache(function)
    before = failures().get(cached.func_id, 0)
    assert [cached(1) is not None, cached(1) is not None] == [True, True]
    assert calls == [1, 1]
    assert failures()[cached.func_id] == before + 2
    with pytest.raises(KeyError):
        cached.call_and_shelve(1).get()


class _Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("no")


def test_an_unknown_joblib_does_it_all_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one warning; results are in our region all the same."""
    monkeypatch.setattr(joblib, "__version__", "1.99.0")
    function, calls = counting()
    with pytest.warns(plib_cache.PlibCacheWarning, match=r"does not know joblib 1\.99"):
        cached = ours(tmp_path).cache(function)
    assert type(cached) is joblib.memory.MemorizedFunc
    assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1]


def test_only_one_backend(tmp_path: Path) -> None:
    """Another one is an error that says where there are others."""
    with pytest.raises(plib_cache.ConfigurationError, match=r"use joblib\.Memory for others"):
        Memory(tmp_path, backend="local")


def test_processes_compute_once(program: Callable[..., Any], tmp_path: Path) -> None:
    """Of eight workers that miss one result together, one computes."""
    source = """
import json, os, sys, time
from pathlib import Path
import joblib
from plib_cache.integrations.joblib import Memory

memory = Memory(Path(sys.argv[1]), verbose=0, backend_options={"size": "16MiB"})

@memory.cache
def slow(x, folder):
    Path(folder, str(os.getpid())).touch()
    until = time.monotonic() + 60
    while slow.session.cache.stats().waits == 0 and time.monotonic() < until:
        time.sleep(0.01)  # until somebody else has missed it
    return x * 2

def call(i, folder):
    Path(folder, f"arrived-{i}").touch()
    until = time.monotonic() + 60  # not all workers need come: then fewer miss it together
    while len(list(Path(folder).glob("arrived-*"))) < 8 and time.monotonic() < until:
        time.sleep(0.01)
    return slow(21, folder)

if __name__ == "__main__":
    folder = sys.argv[2]
    results = joblib.Parallel(8, backend=sys.argv[3], batch_size=1)(
        joblib.delayed(call)(i, folder) for i in range(8))
    names = [p.name for p in Path(folder).iterdir() if not p.name.startswith("arrived-")]
    print(json.dumps([results, len(names)]))
"""
    for backend in ("loky", "multiprocessing"):
        (tmp_path / backend).mkdir()
        given = str(tmp_path / f"cache-{backend}"), str(tmp_path / backend), backend
        assert program(source, *given) == [[42] * 8, 1]
