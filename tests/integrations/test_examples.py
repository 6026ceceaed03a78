# SPDX-License-Identifier: BSD-3-Clause
"""Each example runs, is short, and shows what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
HANGS = 240  # seconds; only for what never ends

# What the example is about, as it appears in its output.
SHOWN = {
    "async_handler.py": "computed 1 time for 120 requests",
    "dask_cluster.py": "the second cluster found 6 of 6 results",
    "dask_plugin.py": "both clusters together computed 10",
    "hybrid.py": "node-2 computed 0 of 6 results\nnode-2 computed 0 of 6 results\n",
    "decorator.py": "hits of all processes so far: 3",
    "joblib_memory.py": "there without computing: True",
    "page_cache.py": "rendered 2 times for 80 requests",
    "rate_limiter.py": "100 allowed, 700 refused, by 4 workers",
    "reserve_and_fill.py": "11,776,273 bytes, digest 63aca33c, read-only: True",
    "sklearn_pipeline.py": "nearest result: x: 3 here, 1 there",
    "large_values.py": "memory for all of them together: 7 MiB",
    "shared_dict.py": "total: 3000",
    "single_flight.py": "computed 1 time",
    "trust_data.py": "refused: ",
}


def test_every_example_is_tested() -> None:
    """No example is missing here."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SHOWN)
    page = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in SHOWN)


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_example(name: str, tmp_path: Path, untested: Callable[[str], NoReturn]) -> None:
    """The example runs, shows its point, and fits on a screen."""
    if name == "hybrid.py" and shutil.which("memcached") is None:
        untested("examples/hybrid.py: there is no memcached here")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    assert SHOWN[name] in done.stdout
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 60
    assert not list(tmp_path.iterdir())
