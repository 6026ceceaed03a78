# SPDX-License-Identifier: BSD-3-Clause
"""distributed's own tests of worker memory hold with the plugin in every worker.

Its wheels hold no tests: ``make build/distributed-tests`` gets them, where GitHub can be reached.
Every worker of them loads the plugin (``--preload``), and shares whatever has buffers.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from waiting import HANG_TIMES

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("DISTRIBUTED_TESTS") or ROOT / "build" / "distributed-tests")
HANGS = 1200 * HANG_TIMES  # seconds; only for what never ends

# These ask for the very class of ``worker.data``, which is a subclass of it here.
EXPECTED = {
    "test_dict_data_if_no_spill_to_disk",
    "test_worker_data_callable_local_directory",
    "test_worker_data_callable_local_directory_kwargs",
    "test_worker_data_callable_kwargs",
    "test_avoid_memory_monitor_if_zero_limit_worker",
    "test_avoid_memory_monitor_if_zero_limit_nanny",
    "test_override_data_worker",
    "test_override_data_nanny",
    "test_override_data_vs_memory_monitor",
}


@pytest.mark.timeout(HANGS + 60)
def test_worker_memory(tmp_path: Path, untested: Callable[[str], NoReturn]) -> None:
    """All pass but those that ask for the very class of the mapping."""
    file = FOLDER / "test_worker_memory.py"
    if not file.is_file():
        untested("distributed's own tests (make build/distributed-tests, which needs GitHub)")
    log = tmp_path / "log"
    outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path)),
            *("-q", "--tb=line", "--disable-warnings", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-p", "distributed.utils_test"),  # its fixtures
            *("-p", "no:asyncio", "-o", f"timeout={HANGS / 4}", str(file)),
            *("--log-file", str(log), "--log-file-level", "INFO"),
        ],
        cwd=tmp_path,
        env={
            **outer,
            "DASK_DISTRIBUTED__WORKER__PRELOAD": '["plib_cache.integrations.dask"]',
            "DASK_PLIB_CACHE__THRESHOLD": "1",
            "DASK_PLIB_CACHE__SIZE": "128MiB",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS,
    )
    told = log.read_text(encoding="utf-8", errors="replace")
    assert told.count("Starting Worker plugin plib-cache") >= 30
    assert "plugin plib-cache failed" not in told
    failed = set(re.findall(r"^FAILED \S*::(\w+)", done.stdout, re.M))
    assert failed == EXPECTED, done.stdout[-20_000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-20_000:]
    assert int(passed[1]) >= 30
