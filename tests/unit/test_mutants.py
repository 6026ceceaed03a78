# SPDX-License-Identifier: BSD-3-Clause
"""The planted bugs still fit the core.  Whether they are noticed is what `make mutants` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPLY = """
print(*[m.name for m in run.ALL if not run.applies(m, run.ROOT / "native" / "src")])
assert len({m.name for m in run.ALL}) == len(run.ALL)
"""
PARTS = """
texts = [path.read_text() for path in (run.ROOT / "tests" / "native").glob("*.c")]
parts = {m.only for m in run.ALL if isinstance(m, run.Mutant) and m.only}
print(*[part for part in parts if not any(f'{{"{part}", ' in text for text in texts)])
"""


def printed(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", "import run\n" + program],
        cwd=ROOT / "tests" / "mutants",
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def test_all_apply() -> None:
    """What a bug would replace is in the core, once: else nobody knows whether it is noticed."""
    assert printed(APPLY) == []


def test_parts_are_there() -> None:
    """The part of a test that must notice is there: of one that is not, nothing would run."""
    assert printed(PARTS) == []
