# SPDX-License-Identifier: BSD-3-Clause
"""Plants one bug at a time and demands that its test fails.

    python tests/mutants/run.py            all of them
    python tests/mutants/run.py NAME ...   some

core.py has texts of the core and what replaces them, with the guarantee that this breaks and the
native tests that must notice: each is built in a copy.  room.py has those of what stays, disk.py
those of what outlives the machine, deaths.py those that show when a process dies at one certain
instruction.  order.py has bugs that no test of the
running core notices surely, because they need an order of accesses that this processor does not
show, or a moment that nobody hits: of them the model of that text must fail.

Exit status 1 when one survives, 2 when one does not apply any more (the core has changed: the
mutant, and the model, are to be changed with it).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests")]

from core import MUTANTS, Mutant  # noqa: E402
from deaths import DEATHS  # noqa: E402
from disk import DISKS  # noqa: E402
from models.catalogue import MODELS  # noqa: E402
from models.explore import explore  # noqa: E402
from order import ORDERS, Order  # noqa: E402
from room import ROOMS  # noqa: E402

SOURCE = ROOT / "native" / "src"
planted: set[str] = set()
"""Files of the copy that were built with a bug in them: as they are older than what was built of them, make would
leave the earlier bug in."""


def plant(mutant: Mutant) -> bool:
    """A fresh copy of the core with the bug in it; False: its text is not there (once)."""
    shutil.rmtree(WORK / "native", ignore_errors=True)
    shutil.rmtree(WORK / "tests", ignore_errors=True)
    shutil.copytree(ROOT / "native", WORK / "native")
    shutil.copytree(ROOT / "tests" / "native", WORK / "tests" / "native")
    source = WORK / "native" / "src"
    for file in planted:
        (source / file).touch()
    path = source / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return False
    planted.add(mutant.file)
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return True


def noticed(mutant: Mutant) -> bool:
    """Does one of its tests fail?  (A build that fails notices nothing: it raises.)"""
    make = ["make", "-s", "-C", str(WORK / "native"), "-j2", f"OUT={WORK / 'out'}"]
    make += ["FLAGS_plain=-O2"]  # a bug may leave something unused behind
    make += [f"VARIANTS={mutant.variant}", f"TESTS={mutant.tests}", f"LIMIT={mutant.limit}"]
    subprocess.run([*make, "programs"], check=True, capture_output=True)
    planted.intersection_update({mutant.file})
    return subprocess.run([*make, "-k", "test"], capture_output=True).returncode != 0


def stands(order: Order) -> bool:
    """Is the text that its model has as well still in the core?"""
    return order.text in (SOURCE / order.file).read_text(encoding="utf-8")


def found(order: Order) -> bool:
    """Does its model fail with the bug, on every machine that can show it, and hold without it?"""
    model = next(model for model in MODELS if model.name == order.model)
    machines = model.bugs[order.bug]
    return all(
        explore(model.build(""), machine).broken is None
        and explore(model.build(order.bug), machine).broken is not None
        for machine in machines
    )


def result(mutant: Mutant | Order) -> tuple[int, str]:
    """The exit status that it alone would give, and what is said of it."""
    if isinstance(mutant, Order):
        applies, notices, by = stands, found, f"model {mutant.model}"
    else:
        applies, notices, by = plant, noticed, mutant.tests
    if not applies(mutant):
        return 2, f"DOES NOT APPLY  {mutant.name}: {mutant.file} has changed"
    began = time.monotonic()
    if notices(mutant):
        took = time.monotonic() - began
        return 0, f"noticed {took:5.0f} s  {mutant.name}: {mutant.breaks} ({by})"
    return 1, f"SURVIVED        {mutant.name}: {mutant.breaks} ({by})"


def main() -> int:
    wanted = sys.argv[1:]
    shutil.rmtree(WORK, ignore_errors=True)
    worst, count = 0, 0
    for mutant in [*ORDERS, *MUTANTS, *ROOMS, *DISKS, *DEATHS]:
        if not wanted or mutant.name in wanted:
            status, line = result(mutant)
            print(line, flush=True)
            worst = max(worst, status)
            count += 1
    print(f"{count} mutants: {'all noticed' if worst == 0 else 'NOT all noticed'}")
    return worst if count or not wanted else 2


if __name__ == "__main__":
    sys.exit(main())
