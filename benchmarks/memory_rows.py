# SPDX-License-Identifier: BSD-3-Clause
"""What stays in a full cache, and what of its memory is payload: memory.c counts it.

That program prints one JSON object for each of its rows: ``row``, ``goal``, and ``hits`` and
``lru`` (percent, beside an exact LRU of the same bytes), ``resident`` (percent of the keys) or
``share`` (of the pool).  All other fields are facts.  These are counts, not times: one run says it
all.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.programs import ROOT, BrokenError, build

LIMIT_S = 600  # for what hangs
LRU = "exact LRU, simulated"
JUDGED = {"row", "hits", "lru", "over", "resident", "share", "goal", "met"}


def memory(bench: Bench, work: str, word: str, tree: Path = ROOT) -> list[Line]:
    """The rows of a tree's program whose names contain ``word``."""
    folder = bench.fresh("memory")
    folder.mkdir()
    scale = [] if bench.scale == 1 else ["--scale", str(max(1, int(100 * bench.scale)))]
    done = subprocess.run(
        [build("memory", tree), *scale, *([word] if word else [])],
        env={**os.environ, "PLIB_CACHE_DIR": str(folder)},
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        raise BrokenError(f"memory ended with {done.returncode}: {done.stderr.strip()}")
    lines = [line_of(work, json.loads(text)) for text in done.stdout.splitlines() if text.strip()]
    if not lines:
        raise BrokenError(f"memory has no row whose name contains {word}")
    return lines


def line_of(work: str, said: Mapping[str, Any]) -> Line:
    """One line of the table from one line of the program."""
    name = f"{work}: {said['row']}"
    if "hits" in said:
        goal = Goal(least=said["goal"], unit="points")
        line = compared(name, LRU, [said["hits"]], [said["lru"]],
                        unit="%", direction="ours - theirs", goal=goal)  # fmt: skip
    else:
        percent = said["resident"] if "resident" in said else 100 * said["share"]
        least = said["goal"] if "resident" in said else 100 * said["goal"]
        goals = Goal(least=least, unit="%") if least else None
        line = Line(name, unit="%", ours=Spread.of([percent]), goal=goals)
    others = [f"{key.replace('_', ' ')} {said[key]}" for key in said if key not in JUDGED]
    line.facts = [", ".join(others)] if others else []
    return line
