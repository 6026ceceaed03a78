# SPDX-License-Identifier: BSD-3-Clause
"""pymemcache's own tests of its client hold with the client that has no socket.

They run in a process of their own, without this project's settings for pytest; the plugin puts
our client in the place of theirs, the table says which tests cannot pass.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pymemcache
import pytest
from waiting import HANG_TIMES

from .pymemcache_table import EXPECTED

TESTS = Path(__file__).parents[1]
HANGS = 600 * HANG_TIMES  # seconds; only for what never ends

pytestmark = pytest.mark.timeout(HANGS)


def test_pymemcaches_own(tmp_path: Path) -> None:
    """Its unit and integration tests of the client pass, but for those that are listed."""
    folder = Path(pymemcache.__file__).parent / "test"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path), "-q"),
            *("--tb=short", "--disable-warnings", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-p", "upstream.pymemcache_plugin"),
            *(str(folder / "test_client.py"), str(folder / "test_integration.py")),
        ],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if "PYTEST" not in name},
            "PYTHONPATH": str(TESTS),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-10_000:]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|xfailed)", done.stdout)}
    assert counts["xfailed"] >= len(EXPECTED), done.stdout[-1000:]  # some are run with parameters
    assert counts["passed"] >= 290, done.stdout[-1000:]
