# SPDX-License-Identifier: BSD-3-Clause
"""diskcache's own tests hold for ``plib_cache.integrations.diskcache.Cache``.

They are in its source distribution: ``make build/diskcache-tests`` gets them from the package
index.  ``diskcache_table`` says which apply, and which of those cannot pass.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from waiting import HANG_TIMES

from .diskcache_table import APPLY, EXPECTED, REST

TESTS = Path(__file__).parents[1]
FOLDER = Path(os.environ.get("DISKCACHE_TESTS") or TESTS.parent / "build" / "diskcache-tests")
HANGS = 900 * HANG_TIMES  # seconds; only for what never ends

pytestmark = pytest.mark.timeout(HANGS + 60)


@pytest.fixture
def theirs(untested: Callable[[str], NoReturn]) -> Path:
    """The folder of diskcache's tests."""
    if not (FOLDER / "test_core.py").is_file():
        untested("diskcache's own tests (make build/diskcache-tests, which needs a package index)")
    return FOLDER


def test_every_file_is_accounted_for(theirs: Path) -> None:
    """Each file of tests applies, or is listed with the reason why not."""
    assert {path.name for path in theirs.glob("test_*.py")} == {*APPLY, *REST}


@pytest.mark.parametrize("name", APPLY)
def test_theirs(name: str, theirs: Path, tmp_path: Path) -> None:
    """All tests of a file pass but those that are listed, which fail as they should."""
    outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(theirs)),
            *("-q", "--tb=short", "--disable-warnings", "-p", "no:cacheprovider"),
            *("-p", "no:xdist", "-p", "no:asyncio", "-p", "no:django"),
            *("-p", "upstream.diskcache_plugin", "-o", f"timeout={HANGS / 3}"),
            str(theirs / name),
        ],
        cwd=tmp_path,
        env={**outer, "PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|xfailed)", done.stdout)}
    failing = Counter(test.partition("::")[0] for test in EXPECTED)[name]
    assert counts.get("xfailed", 0) == failing, done.stdout[-20_000:]
    assert counts["passed"] + failing == APPLY[name], done.stdout[-20_000:]
