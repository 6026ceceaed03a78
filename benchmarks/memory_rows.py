# SPDX-License-Identifier: BSD-3-Clause
"""What stays in a full cache, and what of its memory is payload: native/memory.c measures it.

That program prints one JSON object for each line of the table, with the fields ``work``, ``unit``,
``ours``, and, where they apply, ``peer`` and ``theirs``, ``least`` or ``most`` with ``goal_unit``
("x", "points", or without a peer the unit itself), ``facts`` (a list of texts) and ``why``.  With a
peer, "points" compares by difference, and "x" by ours / theirs.  Its arguments are a folder for
regions and a scale (1: full; less: quicker and rougher).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.programs import NATIVE, BrokenError, MissingError, build

LIMIT_S = 300  # for what hangs


def memory(bench: Bench) -> list[Line]:
    """All lines of the program."""
    if not (NATIVE / "memory.c").exists():
        raise MissingError("benchmarks/native/memory.c is not there")
    folder = bench.fresh("memory")
    folder.mkdir()
    done = subprocess.run(
        [build("memory"), folder, str(bench.scale)],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        raise BrokenError(f"memory ended with {done.returncode}: {done.stderr.strip()}")
    return [line_of(json.loads(text)) for text in done.stdout.splitlines() if text.strip()]


def line_of(said: Mapping[str, Any]) -> Line:
    """One line of the table from one line of the program."""
    unit = said.get("unit", "")
    goal = None
    if "least" in said or "most" in said:
        goal = Goal(said.get("least"), said.get("most"), said.get("goal_unit", unit))
    if "theirs" in said:
        by = "ours - theirs" if goal is None or goal.unit == "points" else "ours / theirs"
        line = compared(said["work"], said["peer"], [said["ours"]], [said["theirs"]],
                        unit=unit, direction=by, goal=goal)  # type: ignore[arg-type] # fmt: skip
    else:
        line = Line(said["work"], unit=unit, ours=Spread.of([said["ours"]]), goal=goal)
    line.facts = list(said.get("facts", []))
    line.why = said.get("why", "")
    return line
