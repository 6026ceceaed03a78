# SPDX-License-Identifier: BSD-3-Clause
"""Explores every model of the protocol, as it is and with each planted bug, and writes a row.

Exit status 1 when a model breaks a promise, or does not find a bug.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.catalogue import MODELS
from models.explore import explore


def main() -> int:
    states = holds = finds = 0
    for model in MODELS:
        for bug, machines in {"": model.machines, **model.bugs}.items():
            for machine in machines:
                found = explore(model.build(bug), machine)
                states += found.states
                holds += not bug
                finds += bool(bug)
                print(f"{model.name} {bug or 'as it is'} on {machine}: {found.states} states")
                if bool(found.broken) != bool(bug):
                    print("failed:", found.broken or f"{bug} is not found", *found.path)
                    return 1
    figures = (
        f"{len(MODELS)} models, {holds} explorations hold, {finds} of a planted bug find it; "
        f"{states:,} states"
    )
    if table := os.environ.get("SOAK_TABLE"):
        with Path(table).open("a") as rows:
            rows.write(f"| the lock-free protocol, explored | {figures} | ok |\n")
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
