# SPDX-License-Identifier: BSD-3-Clause
"""What ``import plib_cache`` takes: whole interpreters, from their start to their end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.bench import Bench, not_measured
from benchmarks.figures import Goal, Line, compared
from benchmarks.programs import ROOT
from benchmarks.turns import Candidate, take_turns

BARE = "python -c pass"
PEERS = ("functools", "asyncio", "diskcache", "joblib")


def started(code: str, environment: dict[str, str], core: int) -> Candidate:
    """Milliseconds of a fresh interpreter that runs ``code``, on one processor."""

    def sample() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)
        return (time.perf_counter() - began) * 1e3

    def on_one_core() -> float:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # which the interpreter inherits
        try:
            return sample()
        finally:
            os.sched_setaffinity(0, before)

    return on_one_core


def imports(bench: Bench, work: str) -> list[Line]:
    """``import plib_cache``, beside an interpreter that imports nothing and those of others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # bytecode is there after the first time, as it is of an installed package
    environment = {**kept, "PYTHONPYCACHEPREFIX": str(bench.fresh("bytecode"))}
    missing: dict[str, str] = {}
    codes = {"ours": "import plib_cache", BARE: "pass"}
    for peer in PEERS:
        there = subprocess.run(
            [sys.executable, "-c", f"import {peer}"], env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if there.returncode:
            missing[f"import {peer}"] = there.stderr.strip().splitlines()[-1]
        else:
            codes[f"import {peer}"] = f"import {peer}"
    made = {name: started(code, environment, bench.core) for name, code in codes.items()}
    samples = take_turns(made, bench.rounds)
    ours = samples.pop("ours")
    bare = samples.pop(BARE)
    lines = [
        compared(work, BARE, ours, bare, unit="ms", direction="ours - theirs",
                 goal=Goal(most=60, unit="ms"))
    ]  # fmt: skip
    lines += [compared(work, peer, ours, taken, unit="ms") for peer, taken in samples.items()]
    return lines + not_measured(work, missing, unit="ms")
