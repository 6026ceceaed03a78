# SPDX-License-Identifier: BSD-3-Clause
"""What plib_cache.testing gives to tests of others: real runs of pytest in folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import plib_cache
from plib_cache.testing import check_nothing_held, no_caching, private_regions, temporary_cache

MEMORY = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
HANGS = 240  # seconds; only for what never ends
CONFTEST = """
import pytest
from plib_cache.testing import private_regions  # before it is a plugin: that must not matter
pytest_plugins = "plib_cache.testing"
"""
PRODUCT = """
import plib_cache

calls = []

@plib_cache.cache
def double(x):
    calls.append(x)
    return 2 * x
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(source, *arguments)``: what pytest says of these tests, of which so many do as told."""

    def start(source: str, *arguments: str, conftest: str = CONFTEST, **outcome: int) -> str:
        (tmp_path / "conftest.py").write_text(conftest)
        (tmp_path / "product.py").write_text(PRODUCT)
        (tmp_path / "test_it.py").write_text(source)
        outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
        command = ["-m", "pytest", "-c", os.devnull, "--rootdir", ".", "-q", "-W", "error"]
        command += ["-p", "no:cacheprovider", "-p", "no:asyncio", "--strict-markers"]
        done = subprocess.run(
            [sys.executable, *command, *arguments, "test_it.py"],
            cwd=tmp_path,
            env={**outer, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=HANGS,
        )
        said = done.stdout + done.stderr
        last = said.strip().splitlines()[-1]
        for kind, number in outcome.items():
            assert f"{number} {kind}" in last, said
        assert ("failed" in last or "error" in last) == bool({"failed", "error"} & outcome.keys())
        return said

    return start


def left_behind() -> set[str]:
    """Folders of regions of tests."""
    return {path.name for path in MEMORY.glob("plib-cache-test-*")}


SHARED = """
import os, subprocess, sys, pathlib, pytest
import plib_cache
from product import calls, double

@pytest.mark.parametrize("n", range(3))
def test_fresh(shared_cache, n):
    assert len(shared_cache) == 0
    shared_cache["key"] = n
    program = "import plib_cache; plib_cache.Cache('shared')['answer'] = 42"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert dict(shared_cache) == {"key": n, "answer": 42}
    with open("folders", "a") as file:
        print(os.environ["PLIB_CACHE_DIR"], file=file)

@pytest.mark.parametrize("n", range(3))
def test_functions_begin_with_nothing(plib_cache_regions, n):
    calls.clear()
    assert [double(1), double(1)] == [2, 2]
    assert calls == [1]
    assert pathlib.Path(plib_cache.get_cache().path).parent == plib_cache_regions
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_each_test_has_its_own(run: Run, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Regions are fresh in each test and gone after it; functions of a module begin anew."""
    before = left_behind()
    run(SHARED, *workers, passed=6)
    folders = (tmp_path / "folders").read_text().split()
    assert len(set(folders)) == 3
    assert not any(Path(folder).exists() for folder in folders)
    assert not {Path(folder).name for folder in folders} & (left_behind() - before)


def test_a_size_of_ones_own(run: Run) -> None:
    """``plib_cache_size`` is defined anew by who wants other regions."""
    source = """
import pytest

@pytest.fixture
def plib_cache_size():
    return "32MiB"

def test_it(shared_cache):
    assert shared_cache.info().size == 32 << 20
"""
    run(source, passed=1)


def test_without_caching(run: Run) -> None:
    """With ``no_plib_cache`` each call computes, and nothing is stored; then it is as before."""
    source = """
from product import calls, double

def test_off(plib_cache_regions, no_plib_cache):
    assert [double(1), double(1)] == [2, 2]
    assert calls == [1, 1]
    assert double.cache_info().currsize == 0
    assert [double(1), double(1)] == [2, 2]
    assert len(calls) == 4

def test_on(plib_cache_regions):
    calls.clear()
    assert [double(1), double(1)] == [2, 2]
    assert calls == [1]
"""
    run(source, passed=2)


LEAKS = """
import plib_cache
kept = []
value = bytes(1 << 20)

def test_clean(no_plib_cache_leaks, shared_cache):
    shared_cache["key"] = value
    with shared_cache.view("key") as view:
        assert len(view) == len(value)

def test_view(no_plib_cache_leaks, shared_cache):
    shared_cache["key"] = value
    kept.append(shared_cache.view("key"))

def test_reservation(no_plib_cache_leaks):
    cache = plib_cache.Cache("named", size="16MiB")
    kept.append(cache.reserve("key", 1 << 20))
"""


def test_leaks(run: Run) -> None:
    """A test that leaves a view or a reservation behind is told so, with how much and where."""
    said = run(LEAKS, passed=3, error=2)
    assert "error" in said
    assert "ERROR at teardown of test_view" in said
    assert "ERROR at teardown of test_reservation" in said
    assert "are reserved" in said


RUN = """
import os, pathlib, pytest

def train():
    with open("trained", "a") as file:
        file.write("x")
    return "model"

@pytest.mark.parametrize("n", range(4))
def test_it(run_cache, n):
    assert run_cache.get_or_compute("model", train) == "model"
    run_cache.incr("tests") or run_cache.add("tests", 1)
    pathlib.Path("where").write_text(run_cache.path)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "3")], ids=["alone", "xdist"])
def test_one_cache_for_a_run(run: Run, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """All workers of a run share ``run_cache``: what is dear is made once; then it is gone."""
    run(RUN, *workers, passed=4)
    assert (tmp_path / "trained").read_text() == "x"
    assert not Path((tmp_path / "where").read_text()).parent.exists()


def test_nothing_of_it_without_being_named(run: Run) -> None:
    """Who has plib_cache installed and does not name the plugin has no fixtures and no imports."""
    source = """
import sys, pytest

@pytest.mark.parametrize("name", ["shared_cache", "plib_cache_regions", "run_cache"])
def test_it(request, name):
    assert "plib_cache" not in sys.modules
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue(name)
"""
    run(source, conftest="", passed=3)


def test_pytest_is_not_imported_by_others(python: Callable[[str], str]) -> None:
    """The functions are there for other test runners, which need no pytest."""
    source = "import sys, plib_cache.testing; print('pytest' in sys.modules)"
    assert python(source) == "False\n"


# ---- the functions


def test_functions_go_back_to_what_they_had() -> None:
    """After private regions, and after a time without caching, earlier results are found."""
    calls = []

    @plib_cache.cache
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    assert double(1) == 2
    with private_regions():
        assert double(1) == double(1) == 2
        with no_caching():
            assert double(1) == double(1) == 2
        assert double(1) == 2
    assert double(1) == 2
    assert calls == [1, 1, 1, 1]


def test_no_caching_by_two_threads() -> None:
    """Blocks that overlap: caching is off until the last one ends, and then on again."""
    calls = []

    @plib_cache.cache
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    with private_regions():
        first, second = no_caching(), no_caching()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert double(1) == double(1) == 2
        second.__exit__(None, None, None)
        assert len(calls) == 2
        assert double(1) == double(1) == 2
        assert len(calls) == 3


def test_no_caching_of_a_given_cache(small: plib_cache.Cache) -> None:
    """Also a function with a ``Cache`` of its own computes; the cache itself works on."""
    calls = []

    @plib_cache.cache(cache=small, strict=True)
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    with no_caching():
        assert double(1) == double(1) == 2
        assert double.cache_info().currsize == 0
        small["key"] = 1
        assert small["key"] == 1
    assert double(1) == double(1) == 2
    assert calls == [1, 1, 1]


def test_what_is_held() -> None:
    """A view is found until it is closed; what nobody can reach is no leak."""
    with temporary_cache() as cache:
        cache["key"] = bytes(1 << 20)
        check_nothing_held(cache)
        view = cache.view("key")
        with pytest.raises(AssertionError, match="held in place"):
            check_nothing_held(cache)
        view.release()
        check_nothing_held(cache)
        circle: list[object] = [cache.view("key")]
        circle.append(circle)
        del circle
        check_nothing_held(cache)
