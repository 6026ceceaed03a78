# SPDX-License-Identifier: BSD-3-Clause
"""Our tests of the dask integration pass with dask and distributed of a year ago, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import HANG_TIMES

from .table import OLD_DASK

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
CLUSTERS = TESTS / "integrations" / "clusters"
NAMES = sorted(
    {one.name for one in CLUSTERS.glob("test_*.py")} - {"test_kills.py", "test_partition.py"}
)
HANGS = 1800 * HANG_TIMES  # seconds; only for what never ends

pytestmark = pytest.mark.timeout(HANGS)


def run(*arguments: str) -> str:
    """Python with that dask ends well, and this is what it said."""
    folder = ROOT / "build" / f"dask-{OLD_DASK}"
    assert folder.is_dir(), f"dask {OLD_DASK} is missing: make {folder.relative_to(ROOT)}"
    outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**outer, "PYTHONPATH": f"{folder}{os.pathsep}{TESTS}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    return done.stdout


def test_it_is_that_version() -> None:
    """What follows is run with that dask."""
    told = run("-c", "import dask, distributed; print(dask.__version__, distributed.__version__)")
    assert told.split() == [OLD_DASK, OLD_DASK]


@pytest.mark.parametrize("name", NAMES)
def test_ours_with_an_old_dask(name: str) -> None:
    """All but what asks nothing that depends on the version: killed processes, cut wires."""
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(CLUSTERS / name))
