# SPDX-License-Identifier: BSD-3-Clause
"""python -m models [--all] [NAME...], in tests/: explores the models and prints what was found, and
how; --all: also what takes minutes and gigabytes.  Exit status 1 if something is not as it
should be."""

from __future__ import annotations

import sys
import time

from .catalogue import MODELS
from .explore import explore

MOST = 100_000_000


def show(
    name: str, machine: str, bug: str, states: int, broken: str | None, seconds: float
) -> None:
    row = f"{name:14} {machine:5} {bug or '-':34} {states:8} states {seconds:6.2f} s"
    print(f"{row}  {broken or 'holds'}", flush=True)


def main() -> int:
    wanted = [name for name in sys.argv[1:] if name != "--all"]
    every, unexpected = "--all" in sys.argv, 0
    for model in MODELS:
        if wanted and model.name not in wanted:
            continue
        as_is = model.machines + (model.whole if every else ())
        for bug, machines in {"": as_is, **model.bugs}.items():
            for machine in machines:
                began = time.monotonic()
                found = explore(model.build(bug), machine, MOST)
                show(model.name, machine, bug, found.states, found.broken, time.monotonic() - began)
                if bool(found.broken) != bool(bug):
                    print("    UNEXPECTED", *found.path, sep="\n        ")
                    unexpected += 1
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
