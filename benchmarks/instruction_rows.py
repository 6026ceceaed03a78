# SPDX-License-Identifier: BSD-3-Clause
"""What the instructions of a hot operation are spent on: counted, not measured.

tests/instructions/hot.py runs a C program under callgrind and groups what was executed by the lines
of the core that it was compiled from; groups.py there is the map.  What a write asks of the clock
is counted as valgrind sees it, a call of the kernel in the place of a look at the kernel's page.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from benchmarks.bench import Bench
from benchmarks.figures import Line, Spread
from benchmarks.programs import ROOT, BrokenError, MissingError

LIMIT_S = 300  # for what hangs
NAMED = {
    "get_hit": "get", "get_miss": "get, absent", "set_replace": "set, replacing",
    "set_new": "set, new key", "delete": "delete", "incr": "incr",
}  # fmt: skip
NEEDS = {"valgrind": "valgrind", "objdump": "binutils"}


def instructions(bench: Bench, work: str) -> list[Line]:
    """A line for each operation: its instructions, and as a fact what each group has of them."""
    del bench
    for program, package in NEEDS.items():
        if shutil.which(program) is None:
            raise MissingError(f"{program} is missing (Debian package {package})")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "instructions" / "hot.py"), "--json"],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        raise BrokenError(f"hot.py ended with {done.returncode}: {done.stderr.strip()}")
    return lines_of(work, json.loads(done.stdout))


def lines_of(work: str, counted: dict[str, dict[str, float]]) -> list[Line]:
    """The lines of what hot.py says: operation -> group -> instructions."""
    lines = []
    for operation, groups in counted.items():
        line = Line(
            f"{work}: {NAMED[operation]}",
            unit="instructions",
            ours=Spread.of([sum(groups.values())]),
        )
        line.facts.append(", ".join(f"{group} {n:.0f}" for group, n in groups.items()))
        lines.append(line)
    return lines
