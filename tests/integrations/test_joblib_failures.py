# SPDX-License-Identifier: BSD-3-Clause
"""``joblib.Memory(..., backend="plib")``: what fails, or cannot be had, breaks no computation."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from joblib_caches import SMALL, counting, memory

import plib_cache
from plib_cache.integrations.joblib import PlibStoreBackend, _region
from plib_cache.integrations.joblib._store import StoreWarning


@pytest.fixture(autouse=True)
def untold() -> None:
    """Each test hears the warnings that are given once in a process."""
    _region._warned.clear()


@pytest.mark.parametrize("mode", [None, "r"])
@pytest.mark.parametrize(
    "value", [bytes(15 << 20), threading.Lock()], ids=["too large", "not picklable"]
)
def test_what_cannot_be_stored_is_returned(tmp_path: Path, mode: str | None, value: Any) -> None:
    """The function's result comes back all the same, with one warning for the function."""
    function, calls = counting(lambda x: value)
    cached = memory(tmp_path, mmap_mode=mode).cache(function)
    with pytest.warns(StoreWarning, match="without its cache"):
        assert cached(1) is value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cached(1) is value
    assert calls == [1, 1]


def test_plain_data_only(tmp_path: Path) -> None:
    """With trust="data" a result that would need a pickle is returned, and not stored."""
    function, calls = counting(lambda x: {"plain": 1} if x else Path("not plain"))
    options = {**SMALL, "trust": "data"}
    cached = joblib.Memory(str(tmp_path), backend="plib", verbose=0, backend_options=options).cache(
        function
    )
    assert [cached(1), cached(1)] == [{"plain": 1}] * 2
    with pytest.warns(StoreWarning, match="plain data"):
        assert [cached(0), cached(0)] == [Path("not plain")] * 2
    assert calls == [1, 0, 0]


def _writable_by_others(folder: Path) -> None:
    (folder / "joblib").mkdir()
    (folder / "joblib").chmod(0o777)


def _no_region(folder: Path) -> None:
    (folder / "joblib").mkdir(mode=0o700)
    (folder / "joblib" / "region.plib").write_bytes(b"something else")


def _no_folder(folder: Path) -> None:
    (folder / "joblib").write_bytes(b"a file")


@pytest.mark.parametrize("spoil", [_writable_by_others, _no_region, _no_folder])
def test_results_are_in_memory_where_no_file_can_be(
    tmp_path: Path, regions: Path, spoil: Callable[[Path], None]
) -> None:
    """A location that cannot hold a region is replaced by memory, with one warning."""
    spoil(tmp_path)
    function, calls = counting()
    with pytest.warns(plib_cache.PlibCacheWarning, match="in memory only"):
        assert memory(tmp_path).cache(function)(1) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert memory(tmp_path).cache(function)(1) == 1
    assert calls == [1]
    assert [path.name[:7] for path in regions.iterdir()] == ["joblib-"]


def test_memory_can_be_asked_for(tmp_path: Path, regions: Path) -> None:
    """With memory=True nothing is made in the location."""
    options = {**SMALL, "memory": True}
    function, calls = counting()
    for _ in range(2):
        cache = joblib.Memory(
            str(tmp_path / "x"), backend="plib", verbose=0, backend_options=options
        )
        assert cache.cache(function)(1) == 1
    assert calls == [1]
    assert not (tmp_path / "x").exists()
    (region,) = regions.iterdir()
    assert len(region.name) == len("joblib-") + 32


def test_a_cache_that_cannot_be_opened_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any region the function is computed each time, with one warning."""
    _no_folder(tmp_path)
    monkeypatch.setenv("PLIB_CACHE_DIR", str(tmp_path / "joblib"))
    function, calls = counting()
    cached = memory(tmp_path).cache(function)
    with pytest.warns(StoreWarning, match="without its cache"):
        assert cached(1) == 1
    assert cached(1) == 1
    assert calls == [1, 1]


def test_options_that_do_not_exist_are_told(tmp_path: Path) -> None:
    """An unknown option is a warning that names those that there are."""
    with pytest.warns(UserWarning, match="no options.*'nonsense'.*'size'"):
        joblib.Memory(str(tmp_path), backend="plib", backend_options={"nonsense": 1})


@pytest.mark.parametrize(
    "options",
    [{"size": "much"}, {"size": 1}, {"trust": "all"}, {"trust": "data", "compress": True}],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    """Misuse is an error where the Memory is made, and not a cache that never works."""
    compress = options.pop("compress", False)
    with pytest.raises(plib_cache.ConfigurationError):
        joblib.Memory(str(tmp_path), backend="plib", compress=compress, backend_options=options)


def test_the_size_is_that_of_the_first(tmp_path: Path) -> None:
    """A region that exists keeps its size, whatever a later Memory asks for."""
    function, calls = counting()
    assert memory(tmp_path).cache(function)(1) == 1
    options = {"size": "32MiB"}
    larger = joblib.Memory(str(tmp_path), backend="plib", verbose=0, backend_options=options)
    assert larger.cache(function)(1) == 1
    assert calls == [1]
    assert (tmp_path / "joblib" / "region.plib").stat().st_size <= 16 << 20
    assert isinstance(larger.store_backend, PlibStoreBackend)


def test_a_stopped_process_holds_the_locks(tmp_path: Path, stopped_holder: Any) -> None:
    """Results that cannot be stored just now are returned, and nobody is warned of it."""
    function, calls = counting(lambda x: x * 2)
    cached = memory(tmp_path).cache(function)
    assert cached(1) == 2
    child = stopped_holder(_region.opened(str(tmp_path / "joblib"), SMALL).cache)
    with warnings.catch_warnings():
        warnings.simplefilter("error", StoreWarning)
        assert [cached(1), cached(2), cached(2)] == [2, 4, 4]
    assert calls == [1, 2, 2]
    child.kill(signal.SIGCONT)
    assert child.result() is None
    assert [cached(3), cached(3)] == [6, 6]
    assert calls == [1, 2, 2, 3]
