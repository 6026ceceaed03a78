# SPDX-License-Identifier: BSD-3-Clause
"""Plants one bug at a time and demands that its test fails.

    python tests/mutants/run.py            all of them
    python tests/mutants/run.py NAME ...   some
    TIMES=5 python tests/mutants/run.py    the tests of each five times: all must fail

core.py has texts of the core and what replaces them, with the guarantee that this breaks and the
native tests that must notice: each is built in a copy.  bounds.py has those of calls that wait or do
too much, room.py and staying.py those of what stays, disk.py those of what outlives the machine, deaths.py those
that show when a process dies at one certain instruction, inplace.py those of values that are read and
filled in place, remaking.py those of what a server makes its verbs of, handing.py those of pins that change hands,
closing.py those of entering what is closed or forked, holders.py those of leases that show when
processes die.  order.py has bugs that no test of the
running core notices surely, because they need an order of accesses that this processor does not
show, or a moment that nobody hits: of them the model of that text must fail.

Behind each stands the check that noticed it.  Exit status 1 when one survives, 2 when one does not
apply any more (the core has changed: the mutant, and the model, are to be changed with it).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests")]

from bounds import BOUNDS  # noqa: E402
from closing import CLOSINGS  # noqa: E402
from core import MUTANTS, Mutant  # noqa: E402
from deaths import DEATHS  # noqa: E402
from disk import DISKS  # noqa: E402
from handing import HANDED_ON  # noqa: E402
from holders import HOLDERS  # noqa: E402
from inplace import IN_PLACE  # noqa: E402
from models.catalogue import MODELS  # noqa: E402
from models.explore import explore  # noqa: E402
from order import ORDERS, Order  # noqa: E402
from remaking import REMAKING  # noqa: E402
from room import ROOMS  # noqa: E402
from staying import STAYING  # noqa: E402
from windows import WINDOWS  # noqa: E402

ALL: list[Mutant | Order] = [
    *ORDERS,
    *MUTANTS,
    *BOUNDS,
    *ROOMS,
    *STAYING,
    *DISKS,
    *DEATHS,
    *WINDOWS,
    *IN_PLACE,
    *HANDED_ON,
    *HOLDERS,
    *CLOSINGS,
    *REMAKING,
]
WORK_SOURCE = WORK / "native" / "src"
TIMES = int(os.environ.get("TIMES", "1"))
JOBS = os.environ.get("JOBS", "2")
FAILED = re.compile(r"^native .* FAILED .* (test_\w+) \(exit status (\d+)\)$", re.MULTILINE)
CHECK = re.compile(r"(\w+\.[ch]:\d+): failed: ")
HUNG = {"124", "137"}
LIMIT = 900


def applies(mutant: Mutant | Order, source: Path) -> bool:
    """Is its text in the core, and, if it is to be replaced, there only?"""
    text = (source / mutant.file).read_text(encoding="utf-8")
    return mutant.text in text if isinstance(mutant, Order) else text.count(mutant.old) == 1


def copy_core() -> None:
    """All are planted in one copy, one behind the other: what was built of the rest is used again."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "native", WORK / "native")
    shutil.copytree(ROOT / "tests" / "native", WORK / "tests" / "native")


def make(mutant: Mutant, goal: str) -> tuple[int, str]:
    """Its exit status, and what was printed."""
    command = ["make", "-s", "-k", "-C", str(WORK / "native"), f"-j{JOBS}", f"OUT={WORK / 'out'}"]
    command += ["FLAGS_plain=-O2"]  # a bug may leave something unused behind
    command += [
        f"VARIANTS={mutant.variant}",
        f"TESTS={mutant.tests}",
        f"LIMIT={mutant.hangs or LIMIT}",
    ]
    env = os.environ | ({"ONLY": mutant.only} if mutant.only else {})
    done = subprocess.run(
        [*command, goal], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout.decode(errors="replace")


def checks_failed(printed: str, hang_tells: bool) -> set[str]:
    """Of each test that failed the first check that did, or how it ended."""
    checks = set()
    for part in re.split(r"^(?=native )", printed, flags=re.MULTILINE):
        if failed := FAILED.search(part):
            check = CHECK.search(part)
            if check:
                checks.add(check[1])
            elif failed[2] not in HUNG:
                checks.add(f"{failed[1]}: exit status {failed[2]}")
            elif hang_tells:
                checks.add(f"{failed[1]} hangs")
    return checks


def run_tests(mutant: Mutant) -> tuple[int, str]:
    built, printed = make(mutant, "programs")
    if built != 0:
        raise SystemExit(f"{mutant.name} cannot be built:\n{printed}")
    failed = [checks_failed(make(mutant, "test")[1], mutant.hangs > 0) for _ in range(TIMES)]
    noticed = sum(map(bool, failed))
    told = f"{noticed} of {TIMES}: " if TIMES > 1 else ""
    return int(noticed < TIMES), told + (", ".join(sorted(set().union(*failed))) or mutant.tests)


def try_mutant(mutant: Mutant) -> tuple[int, str]:
    """Puts the bug in, runs its tests, and takes it out again."""
    path = WORK_SOURCE / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return run_tests(mutant)
    finally:
        path.write_text(text, encoding="utf-8")  # and is newer than what was built with the bug


def try_order(order: Order) -> tuple[int, str]:
    """Does its model fail with the bug, on every machine that can show it, and hold without it?"""
    model = next(model for model in MODELS if model.name == order.model)
    found = all(
        explore(model.build(""), machine).broken is None
        and explore(model.build(order.bug), machine).broken is not None
        for machine in model.bugs[order.bug]
    )
    return int(not found), f"model {order.model}"


def result(mutant: Mutant | Order) -> tuple[int, str]:
    """The exit status that it alone would give, and what is said of it."""
    if not applies(mutant, WORK_SOURCE):
        return 2, f"{mutant.file} has changed"
    if mutant in WINDOWS and "ospke" not in Path("/proc/cpuinfo").read_text(encoding="ascii"):
        return 3, "this machine has no protection keys"
    return try_order(mutant) if isinstance(mutant, Order) else try_mutant(mutant)


def main() -> int:
    wanted = sys.argv[1:]
    results = []
    copy_core()
    for mutant in ALL:
        if not wanted or mutant.name in wanted:
            began = time.monotonic()
            status, by = result(mutant)
            said = ["noticed", "SURVIVED", "DOES NOT APPLY", "not tested"][status]
            took = time.monotonic() - began
            print(f"{said:14} {took:4.0f} s  {mutant.name}: {mutant.breaks} ({by})", flush=True)
            results.append(status % 3)
    print(f"{len(results)} mutants: {'all noticed' if not any(results) else 'NOT all noticed'}")
    return max(results, default=2)


if __name__ == "__main__":
    sys.exit(main())
