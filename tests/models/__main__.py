# SPDX-License-Identifier: BSD-3-Clause
"""python -m models [NAME...], in tests/: explores the models and prints what was found, and how."""

from __future__ import annotations

import sys
import time

from .catalogue import MODELS
from .explore import explore


def show(
    name: str, machine: str, bug: str, states: int, broken: str | None, seconds: float
) -> None:
    row = f"{name:14} {machine:5} {bug or '-':34} {states:8} states {seconds:6.2f} s"
    print(f"{row}  {broken or 'holds'}", flush=True)


def main() -> None:
    wanted = sys.argv[1:]
    for model in MODELS:
        if wanted and model.name not in wanted:
            continue
        for bug, machines in {"": model.machines, **model.bugs}.items():
            for machine in machines:
                began = time.monotonic()
                found = explore(model.build(bug), machine)
                show(model.name, machine, bug, found.states, found.broken, time.monotonic() - began)
                if bool(found.broken) != bool(bug):
                    print("    UNEXPECTED", *found.path, sep="\n        ")


main()
