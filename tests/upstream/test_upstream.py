# SPDX-License-Identifier: BSD-3-Clause
"""The tests of joblib, three versions of it, and of scikit-learn hold with plib_cache as the store.

Each runs in a process of its own, without this project's settings for pytest (plugin.py says how).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import HANG_TIMES

from .table import AT_MOST, FILES, MEMMAP, TOO_OLD, VERSIONS, expected

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
HANGS = 1800 * HANG_TIMES  # seconds; only for what never ends
JOBLIB = ("test_memory", "test_memory_async", "test_store_backends")
USES_MEMORY = r"\bmemory=(?!None)|\bMemory\(|\bcheck_memory\("
REPLACED = ["backend", "memory"]  # of the plugin's REPLACE

pytestmark = pytest.mark.timeout(HANGS)


def with_joblib(version: str) -> dict[str, str]:
    """The environment in which that version of joblib is imported."""
    folder = ROOT / "build" / f"joblib-{version}"
    assert folder.is_dir(), f"joblib {version} is missing: make {folder.relative_to(ROOT)}"
    return {"PYTHONPATH": f"{folder}{os.pathsep}{TESTS}"}


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., str]:
    """``runs(*arguments, **environment)``: Python ends well (or not), and this is what it said."""

    def run(*arguments: str, folder: Path = tmp_path, fine: bool = True, **given: str) -> str:
        outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**outer, **given},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode == 0) is fine, done.stdout
        return done.stdout

    return run


def theirs(folder: Path, replaced: str, *arguments: str) -> list[str]:
    """The arguments that run tests of others, with what is replaced for them."""
    settings = [
        f"timeout={HANGS / 3}",
        "tmp_path_retention_policy=failed",
        "asyncio_default_fixture_loop_scope=function",
    ]
    return [
        *("-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), "-q", "--tb=short"),
        *("--basetemp", str(folder / "theirs")),
        *("--disable-warnings", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *(word for setting in settings for word in ("-o", setting)),
        *("-p", "upstream.plugin", "--replace", replaced, *arguments),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_few_failures_are_expected(version: str) -> None:
    """The list of tests that cannot pass is short, and there are two reasons only."""
    assert len(expected(version)) <= AT_MOST
    assert {one.kind for one in expected(version).values()} <= {FILES, MEMMAP}


@pytest.mark.parametrize("version", VERSIONS)
def test_joblibs_own(runs: Callable[..., str], tmp_path: Path, version: str) -> None:
    """joblib's tests of its Memory pass with this store, but for those that are listed."""
    environment = with_joblib(version)
    assert runs("-c", "import joblib; print(joblib.__version__)", **environment).strip() == version
    modules = [f"joblib.test.{name}" for name in JOBLIB]
    arguments = theirs(tmp_path, "backend", "--expect", version, "--pyargs", *modules)
    runs(*arguments, **environment)


@pytest.mark.parametrize("version", VERSIONS)
def test_ours_with_each_joblib(runs: Callable[..., str], version: str) -> None:
    """Our own tests of the backend pass with each version of joblib."""
    environment = with_joblib(version)
    files = sorted(map(str, (TESTS / "integrations").glob("test_joblib*.py")))
    assert files
    runs("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, folder=ROOT, **environment)


def test_an_old_joblib_is_refused(runs: Callable[..., str]) -> None:
    """With a joblib whose stores work otherwise the import says which version is needed."""
    arguments = ("-c", "import plib_cache.integrations.joblib")
    printed = runs(*arguments, fine=False, **with_joblib(TOO_OLD))
    assert "ImportError" in printed
    assert f"needs joblib 1.4 or later, and this is {TOO_OLD}" in printed


@pytest.mark.parametrize("replaced", REPLACED)
def test_pipelines_of_scikit_learn(runs: Callable[..., str], tmp_path: Path, replaced: str) -> None:
    """Each test of scikit-learn's whose source has a Memory passes with ours in its place."""
    arguments = theirs(tmp_path, replaced, "--mention", USES_MEMORY, "--pyargs", "sklearn")
    assert "passed" in runs(*arguments, PYTHONPATH=str(TESTS))
