# SPDX-License-Identifier: BSD-3-Clause
"""Instructions of single kinds of calls in a trace, counted by valgrind in a program of ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.programs import BrokenError, MissingError, build

HANG_LIMIT_S = 300


def instructions(
    name: str, region: Path, size: int, kinds: list[str], requests: int, records: int
) -> dict[str, float]:
    """Instructions of a call of each kind, on average, in a region that is there already.

    A kind of which the trace has no call is left out.
    """
    if shutil.which("valgrind") is None:
        raise MissingError("valgrind is missing (Debian package valgrind)")
    out = region.with_name(f"{region.name}-counts")
    commands = "".join(f"trace {kind} {requests} {records}\n" for kind in kinds)
    done = subprocess.run(
        ["valgrind", "-q", "--tool=callgrind", "--collect-atstart=no",
         f"--callgrind-out-file={out}", str(build(name)), str(region), str(size), "-1"],
        input=commands, capture_output=True, text=True, check=False, timeout=HANG_LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        raise BrokenError(f"{name} under valgrind: {done.stderr.strip()}")
    dumps = [path.read_text(encoding="utf-8") for path in region.parent.glob(f"{out.name}.*")]
    for path in region.parent.glob(f"{out.name}*"):
        path.unlink()
    found = {}
    for text in dumps:
        mark = re.search(r"^desc: Trigger: Client Request: (\w+) (\d+)$", text, flags=re.M)
        events = re.search(r"^summary: (\d+)", text, flags=re.M)
        if mark and events and int(mark[2]):
            found[mark[1]] = int(events[1]) / int(mark[2])
    if not found:
        raise MissingError("valgrind/callgrind.h was missing when the program was built")
    return found
