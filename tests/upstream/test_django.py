# SPDX-License-Identifier: BSD-3-Clause
"""Django's own tests of what uses a cache hold with our backend in the place of theirs.

They are not in Django's wheel: ``make build/django-tests`` takes them from its source distribution.
The settings put our backend in the place of theirs, the table says which tests cannot pass.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import HANG_TIMES

from .django_table import APPLY, EXPECTED, LEAST

TESTS = Path(__file__).parents[1]
FOLDER = TESTS.parent / "build" / "django-tests"
HANGS = 900 * HANG_TIMES  # seconds; only for what never ends

pytestmark = pytest.mark.timeout(HANGS)


def test_djangos_own(tmp_path: Path) -> None:
    """Those that apply pass, those that are listed fail as listed, and none is skipped."""
    assert FOLDER.is_dir(), "Django's tests are missing: make build/django-tests"
    done = subprocess.run(
        [
            *(sys.executable, str(FOLDER / "runtests.py"), "--parallel=1", "-v", "2"),
            *("--settings=upstream.django_settings", *APPLY),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS), "DJANGO_TEST_PROCESSES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = done.stdout
    failures = dict(
        re.findall(r"^(?:FAIL|ERROR): \w+ \(([\w.]+)\)(.*?)(?=^=====|\Z)", said, re.M | re.S)
    )
    assert failures.keys() == EXPECTED.keys(), said[-20_000:]
    wrong = {one for one, text in failures.items() if not re.search(EXPECTED[one].says, text)}
    assert not wrong, said[-20_000:]
    assert "skipped" not in said
    (ran,) = re.findall(r"^Ran (\d+) tests", said, re.M)
    assert int(ran) - len(failures) >= LEAST
    (calls,) = re.findall(r"^calls of plib_cache: (\d+)", said, re.M)
    assert int(calls) > 1000  # it was ours that they ran with
