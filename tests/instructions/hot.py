# SPDX-License-Identifier: BSD-3-Clause
"""What a hot operation executes, instruction by instruction: by group; and nothing it must not.

    python tests/instructions/hot.py            fail if a hot operation leaves the core, or divides
    python tests/instructions/hot.py --json     print what each group costs, as JSON

core.c's program runs under callgrind, which writes down every address that was executed.  Of each
operation is held: no instruction outside of the core but those of ALLOWED (libc's, and the dynamic
linker's, count like others), no division, no call of the kernel (test_syscalls asks that of the
kernel itself).  groups.py says what belongs to which group.

Exit status 1 when something is executed that must not be, or has no group.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import groups
import run

HOT = ["get_hit", "get_miss", "set_replace", "set_new", "delete", "incr"]
SELDOM = 20  # what is executed by fewer operations than one in so many is no part of a hot one
READS = ["get_hit", "get_miss"]
PROGRAM = {"core", "steady.so"}  # the loop around the calls, and the marks
CORE = "libcore.so"
CLOCK = {"clock_gettime", "clock_gettime@@GLIBC_2.17", "__vdso_clock_gettime"}
ALLOWED: dict[str, set[str]] = {row: set() if row in READS else CLOCK for row in HOT}
"""What a write asks of libc: the time, before its window opens; the kernel answers it in the
process's own memory.  (valgrind hides that page, so there it is a call of the kernel.)"""
DIVIDES = re.compile(r"\s([iu]?div[lqwb]?|sdiv|udiv)\s")
KERNEL = re.compile(r"\s(syscall|sysenter|svc)\b")


class At(NamedTuple):
    """Where an instruction was executed."""

    thing: str  # the program or library
    function: str  # of the machine code
    path: str
    line: int
    address: int


def profile() -> dict[str, Counter[At]]:
    """Run the program, and return row -> instructions of all its operations, by where."""
    program = run.build_core()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for old in run.WORK.glob("hot.out*"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="plib-cache-counts-", dir=memory) as folder:
        subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--dump-instr=yes",
             "--dump-line=yes", f"--callgrind-out-file={run.WORK / 'hot.out'}", program, folder],
            env={**os.environ, "LD_PRELOAD": str(run.library())}, check=True,
            timeout=run.HANG_LIMIT_S,
        )  # fmt: skip
    found: dict[str, Counter[At]] = {}
    for path, (row, operations, _events) in run.marks("hot").items():
        if row in HOT and row not in found:  # its first pass
            found[row] = executed(path, operations)
    return found


def executed(path: Path, operations: int) -> Counter[At]:
    """Read one of callgrind's files: instructions of one operation, by where."""
    names: dict[tuple[str, str], str] = {}
    now = {"ob": "", "fn": "", "fl": ""}
    address = line = 0
    callee_follows = False
    found: Counter[At] = Counter()
    for text in path.read_text(encoding="utf-8").splitlines():
        if named := re.match(r"(c?)(fl|fi|fe|fn|ob)=\((\d+)\)(?: (.*))?$", text):
            kind = "fl" if named[2] in ("fi", "fe") else named[2]
            name = names.setdefault((kind, named[3]), named[4] or "")
            if not named[1]:
                now[kind] = name
        elif text.startswith("calls="):
            callee_follows = True  # the next line is the callee's
        elif cost := re.match(r"(0x[0-9a-f]+|[-+]\d+|\*) ([-+]?\d+|\*) (\d+)", text):
            address = moved(address, cost[1])
            line = moved(line, cost[2])
            if not callee_follows:
                thing = Path(now["ob"]).name
                found[At(thing, now["fn"], now["fl"], line, address)] += int(cost[3])
            callee_follows = False
    return Counter({at: n for at, n in found.items() if n * SELDOM >= operations})


def moved(value: int, how: str) -> int:
    """Apply what callgrind says of a position: the same, so much more, or a new one."""
    if how == "*":
        return value
    return value + int(how) if how[0] in "+-" else int(how, 0)


def machine_code() -> dict[int, str]:
    """Return address -> instruction of the core."""
    done = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(run.WORK / CORE)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        int(found[1], 16): f" {found[2]} "
        for found in re.finditer(r"^\s*([0-9a-f]+):\t(.+)$", done.stdout, re.M)
    }


def forbidden(row: str, counted: Counter[At], code: dict[int, str]) -> list[str]:
    """Say what an operation executes that it must not."""
    wrong = []
    for at in counted:
        if at.thing not in PROGRAM and at.thing != CORE and at.function not in ALLOWED[row]:
            wrong.append(f"{row} leaves the core: {at.function} of {at.thing}")
        elif at.thing == CORE:
            place = f"{at.function}, {Path(at.path).name}:{at.line}: {code[at.address].strip()}"
            if DIVIDES.search(code[at.address]):
                wrong.append(f"{row} divides in {place}")
            if KERNEL.search(code[at.address]):
                wrong.append(f"{row} calls the kernel in {place}")
    return list(dict.fromkeys(wrong))


def grouped(counted: Counter[At]) -> dict[str, float]:
    """Return group -> instructions of one operation, most first."""
    found: Counter[str] = Counter()
    for at, n in counted.items():
        if at.thing in PROGRAM:
            found[groups.LOOP] += n
        elif at.thing != CORE:
            found[groups.TIME] += n
        elif at.path.startswith(str(run.ROOT)):
            found[groups.group_of(Path(at.path), at.line)] += n
        else:
            found["entries of the linkage table"] += n
    return {group: round(n / 1000, 1) for group, n in found.most_common()}


def main(arguments: list[str]) -> int:
    run.WORK.mkdir(parents=True, exist_ok=True)
    found = profile()
    code = machine_code()
    if missing := [row for row in HOT if row not in found]:
        raise SystemExit(f"callgrind wrote down nothing for {', '.join(missing)}")
    tables = {row: grouped(counted) for row, counted in found.items()}
    if arguments[:1] == ["--json"]:
        print(json.dumps(tables))
        return 0
    wrong = [text for row, counted in found.items() for text in forbidden(row, counted, code)]
    print("\n".join(wrong) if wrong else f"{', '.join(HOT)}: nothing but the core, no division")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
