# SPDX-License-Identifier: BSD-3-Clause
"""What an entry of a full region costs beside its key and its value: overhead.c counts it.

The memory that the region's file has is divided by the entries that are there, so everything is in
it: header, alignment, index, page words, dead bytes, rests, the reserve, and the tables of the
region (places of processes, names, rings, ghosts), which do not grow with the entries.  Counts, not
times: one run says it all.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figures import Goal, Line, Spread
from benchmarks.programs import BrokenError, build

LIMIT_S = 300  # for what hangs
REGION_MIB, SMALL_MIB = 1024, 16
KEY, VALUE = 16, 100
TOLD = 160  # bytes of such an entry: what `expected_entry` is for
MOST = 60.0
WHOLE = {"entries", "memory", "payload"}
OWN = ("header", "alignment", "index", "page words")


def overhead(bench: Bench, work: str) -> list[Line]:
    """Of a region that was told its entries' size, and of one with the default index: what an entry
    needs itself, and all that the region takes."""
    lines = []
    for name, expected in ((f"expected_entry={TOLD}", TOLD), ("the default index", 0)):
        folder = bench.fresh("overhead")
        folder.mkdir(mode=0o700)
        region = REGION_MIB if bench.scale == 1 else SMALL_MIB
        done = subprocess.run(
            [build("overhead"), str(region), str(VALUE), str(expected)],
            env={**os.environ, "PLIB_CACHE_DIR": str(folder)},
            capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        if done.returncode:
            raise BrokenError(f"overhead ended with {done.returncode}: {done.stderr.strip()}")
        said = json.loads(done.stdout)
        each = sum(said[part] for part in OWN) / said["entries"]
        own = Line(f"{work}: {name}, {', '.join(OWN)}", unit="bytes", ours=Spread.of([each]))
        own.goal = Goal(most=MOST, unit="bytes")
        lines += [own, line_of(f"{work}: {name}, all of the region", said)]
    return lines


def line_of(work: str, said: dict[str, Any]) -> Line:
    """One line of the table from what the program says; the parts are a fact."""
    entries = said["entries"]
    line = Line(
        work,
        unit="bytes",
        ours=Spread.of([said["memory"] / entries - KEY - VALUE]),
        goal=Goal(most=MOST, unit="bytes"),
    )
    parts = {name: n / entries for name, n in said.items() if name not in WHOLE}
    told = ", ".join(f"{name} {each:.1f}" for name, each in parts.items())
    line.facts.append(f"{entries} entries; of each: {told}")
    return line
