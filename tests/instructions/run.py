# SPDX-License-Identifier: BSD-3-Clause
"""Counts the instructions of each operation under valgrind; fails when they have become more.

    python tests/instructions/run.py             compare with bounds.ini
    python tests/instructions/run.py --renew     write bounds.ini
    python tests/instructions/run.py --where core.get_hit   which functions they are in

Instructions do not depend on what else the machine does: two runs differ by less than 0.2 %, so a
bound is 5 % above the stored figure.  They do depend on the compiler, on the kind of processor and
on the interpreter, so bounds are stored for each of those; where there are none, that is a line of
the end summary and no failure.  The flags are those of the extension: the interpreter's, and FLAGS
of build_ffi.py.

`core.c` is the core called from C, `package.py` the package called from Python.  Fewer instructions
are not less time: a locked one costs as much as dozens, hence their number beside it.  valgrind
shows neither protection keys nor the kernel's clock page to the program: where the machine has
them, there are a few instructions more.

Exit status 1 when a bound is exceeded, or a row has none.
"""

from __future__ import annotations

import ast
import configparser
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "instructions"
WORK = ROOT / "build" / "instructions"
BOUNDS = HERE / "bounds.ini"
CC = os.environ.get("CC", "gcc")
HANG_LIMIT_S = 300
MORE = 1.05  # bound to stored figure
WHERE = 40  # functions that --where names
SLACK = 1.25  # stored bounds so far above the figure are told

HEADER = """\
# Instructions of one operation, and how many of them are locked.  `make counts` writes this file;
# a change of it belongs to the commit that is the reason for it.
"""


class Count(NamedTuple):
    instructions: float
    locked: float


Counts = dict[str, Count]


# ---- building and running ------------------------------------------------------------------------


def flags() -> list[str]:
    """Return what the extension is compiled with: the interpreter's flags, then its own."""
    tree = ast.parse((ROOT / "native" / "ffi" / "build_ffi.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLAGS":
            interpreter = sysconfig.get_config_var("CFLAGS").split()
            return [*interpreter, *(str(flag) for flag in ast.literal_eval(node.value))]
    raise SystemExit("build_ffi.py has no FLAGS any more: tell run.py where they are")


def compile_c(target: str, sources: list[Path], *options: str) -> Path:
    """Build a program or library if something that it is made of is newer."""
    made = WORK / target
    parts = [Path(__file__), *HERE.glob("*.c"), *(ROOT / "native").glob("*/*")]
    newest = max(path.stat().st_mtime for path in parts if path.is_file())
    if not made.exists() or made.stat().st_mtime < newest:
        include = [f"-I{ROOT / 'native' / folder}" for folder in ("include", "src")]
        files = [str(path) for path in sorted(sources)]
        subprocess.run([CC, *include, "-o", str(made), *files, *options], check=True)
    return made


def callgrind(name: str, command: list[str], environment: dict[str, str]) -> Counts:
    """Run a program that sets marks, and return what was counted between them."""
    for old in WORK.glob(f"{name}.out*"):
        old.unlink()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PLIB_CACHE")}
    subprocess.run(
        ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--collect-bus=yes",
         f"--callgrind-out-file={WORK / name}.out", *command],
        env={**clean, **environment}, check=True, timeout=HANG_LIMIT_S,
    )  # fmt: skip
    total: dict[str, list[int]] = {}
    for row, operations, events in marks(name).values():
        for i, n in enumerate((operations, *events)):
            total.setdefault(row, [0, 0, 0])[i] += n
    return {
        f"{name}.{row}": Count(round(instructions / n, 1), round(locked / n, 2))
        for row, (n, instructions, locked) in total.items()
    }


def marks(name: str) -> dict[Path, tuple[str, int, tuple[int, int]]]:
    """Return file -> row, operations, (instructions, locked) of each stretch between marks."""
    found = {}
    for path in sorted(WORK.glob(f"{name}.out.*"), key=lambda path: int(path.suffix[1:])):
        text = path.read_text(encoding="utf-8")
        mark = re.search(r"^desc: Trigger: Client Request: (\w+) (\d+)$", text, re.M)
        events = re.search(r"^summary: (\d+)(?: (\d+))?$", text, re.M)
        if mark and events and mark[1] != "warm":
            found[path] = (mark[1], int(mark[2]), (int(events[1]), int(events[2] or 0)))
    if not found:
        raise SystemExit(f"callgrind wrote down nothing for {name}")
    return found


def library() -> Path:
    """Build steady.c, as a library to be loaded before all others."""
    return compile_c("steady.so", [HERE / "steady.c"], "-std=gnu11", "-O2", "-shared", "-fPIC")


def build_core() -> Path:
    """Build the core as a library, as it is in the extension, and the program that calls it."""
    core = list((ROOT / "native" / "src").glob("*.c"))
    compile_c("libcore.so", core, *flags(), "-shared", "-fPIC")
    return compile_c(
        "core", [HERE / "core.c"], "-std=gnu11", "-O2", f"-L{WORK}", "-Wl,-rpath,$ORIGIN",
        "-lcore", str(library()),
    )  # fmt: skip


def count_core() -> Counts:
    """Count the core, called by a program in C."""
    program = build_core()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="plib-cache-counts-", dir=memory) as folder:
        return callgrind("core", [str(program), folder], {"LD_PRELOAD": str(library())})


def count_package() -> Counts:
    return callgrind(
        "package",
        [sys.executable, str(HERE / "package.py"), str(library())],
        {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "LD_PRELOAD": str(library())},
    )


# ---- bounds --------------------------------------------------------------------------------------


def toolchains() -> dict[str, str]:
    """Return what the figures of each part depend on, as the names of sections of bounds.ini."""
    version = subprocess.run([CC, "-dumpversion"], capture_output=True, text=True, check=True)
    core = f"{platform.machine()}, {Path(CC).name} {version.stdout.split('.')[0].strip()}"
    how = "optimized" if "--enable-optimizations" in str(
        sysconfig.get_config_var("CONFIG_ARGS")
    ) else "plain"  # fmt: skip
    python = f"{platform.python_implementation()} {sys.version_info[0]}.{sys.version_info[1]}"
    return {"core": f"core, {core}", "package": f"package, {core}, {python} {how}"}


def stored() -> configparser.ConfigParser:
    bounds = configparser.ConfigParser(interpolation=None)
    bounds.read(BOUNDS, encoding="utf-8")
    return bounds


def renew(counts: Counts) -> None:
    """Write the figures of this toolchain; those of others stay."""
    bounds = stored()
    for part, section in toolchains().items():
        bounds[section] = {
            row.partition(".")[2]: f"{count.instructions:.1f} {count.locked:.2f}"
            for row, count in counts.items()
            if row.startswith(f"{part}.")
        }
    with BOUNDS.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        bounds.write(file)
    BOUNDS.write_text(BOUNDS.read_text(encoding="utf-8").rstrip() + "\n", encoding="utf-8")


def known() -> Counts:
    """Return the stored figures for this toolchain."""
    bounds, found = stored(), {}
    for part, section in toolchains().items():
        for row, text in bounds[section].items() if section in bounds else ():
            instructions, locked = text.split()
            found[f"{part}.{row}"] = Count(float(instructions), float(locked))
    return found


def judge(row: str, now: Count | None, was: Count | None) -> tuple[str, bool]:
    """Return what to say of a row, and whether that is a failure."""
    if now is None:
        return "FAILED: it is stored, and no longer counted", True
    if was is None:
        return "FAILED: no figure is stored for it", True
    if now.instructions > was.instructions * MORE or now.locked > was.locked * MORE + 0.1:
        return "FAILED: above the bound", True
    if now.instructions * SLACK < was.instructions * MORE:
        return "the bound has become slack", False
    return "", False


def table(counts: Counts, was: Counts) -> bool:
    """Print all figures; is none above its bound?"""
    fine = True
    print(f"{'':24}{'instructions':>13}{'stored':>10}{'bound':>10}{'locked':>8}{'stored':>8}")
    for row in dict.fromkeys([*counts, *was]):
        now, before = counts.get(row), was.get(row)
        compared = any(known_row.split(".")[0] == row.split(".")[0] for known_row in was)
        words, failed = judge(row, now, before) if compared else ("", False)
        fine = fine and not failed
        cells = [
            f"{now.instructions:13.0f}" if now else f"{'-':>13}",
            f"{before.instructions:10.0f}" if before else f"{'-':>10}",
            f"{before.instructions * MORE:10.0f}" if before else f"{'-':>10}",
            f"{now.locked:8.2f}" if now else f"{'-':>8}",
            f"{before.locked:8.2f}" if before else f"{'-':>8}",
        ]
        print(f"{row:24}{''.join(cells)}  {words}".rstrip())
    return fine


def note_missing(was: Counts) -> None:
    """Say for which part there are no bounds, in the end summary too."""
    for part, section in toolchains().items():
        if not any(row.startswith(f"{part}.") for row in was):
            message = f'instruction bounds: none stored for "{section}" (make counts stores them)'
            print(message)
            if "UNTESTED" in os.environ:
                with Path(os.environ["UNTESTED"]).open("a", encoding="utf-8") as file:
                    print(message, file=file)


def own_instructions(path: Path) -> dict[str, int]:
    """Return function -> instructions of its own, most first, from what callgrind wrote down."""
    names: dict[str, str] = {}
    own: dict[str, int] = {}
    function, callee_follows = "?", False
    for line in path.read_text(encoding="utf-8").splitlines():
        if named := re.match(r"c?fn=\((\d+)\)(?: (\S+))?", line):
            names.setdefault(named[1], named[2] or "?")
            function = function if line[0] == "c" else names[named[1]]
        elif line.startswith("calls="):
            callee_follows = True  # the next line is the callee's
        elif cost := re.match(r"[-+*\d]\d* (\d+)", line):
            if not callee_follows:
                own[function] = own.get(function, 0) + int(cost[1])
            callee_follows = False
    return dict(sorted(own.items(), key=lambda item: -item[1]))


def where(row: str) -> None:
    """Print which functions the instructions of a row are in."""
    part, _, wanted = row.partition(".")
    print("instructions of one operation, by function (those that are the interpreter's: roughly)")
    for path, (name, operations, _events) in marks(part).items():
        if name == wanted:
            for function, n in list(own_instructions(path).items())[:WHERE]:
                print(f"{n / operations:10.1f}  {function}")
            return
    raise SystemExit(f"no such row: {row}")


def main(arguments: list[str]) -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    if arguments[:1] == ["--where"]:
        (count_core if arguments[1].startswith("core.") else count_package)()
        where(arguments[1])
        return 0
    counts = {**count_core(), **count_package()}
    was = known()
    fine = table(counts, was)
    if arguments[:1] == ["--renew"]:
        renew(counts)
        print(f"written to {BOUNDS.relative_to(ROOT)}")
        return 0
    note_missing(was)
    if not fine:
        print(
            "An operation runs more instructions than it did.  If there is a good reason,\n"
            "`make counts` renews the figures, to be committed with the change.  To see in which\n"
            "functions they are:  python tests/instructions/run.py --where ROW"
        )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
