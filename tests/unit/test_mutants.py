# SPDX-License-Identifier: BSD-3-Clause
"""The planted bugs still fit the core.  Whether they are noticed is what `make mutants` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = """
import run
print(*[m.name for m in run.ALL if not run.applies(m, run.ROOT / "native" / "src")])
assert len({m.name for m in run.ALL}) == len(run.ALL)
"""


def test_all_apply() -> None:
    """What a bug would replace is in the core, once: else nobody knows whether it is noticed."""
    done = subprocess.run(
        [sys.executable, "-c", LIST],
        cwd=ROOT / "tests" / "mutants",
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == []
