# SPDX-License-Identifier: BSD-3-Clause
"""Runs the table in the guest, on both kernels side by side.

    PYTHONPATH=tests .venv/bin/python -m protection [--short] [--kernel K]... [--list] [NAME...]

What each entry prints is in build/protection/KERNEL.  What cannot be tested on this machine is
said, and noted in the file that UNTESTED names, for a summary; without such a file it is a failure.
Exit status 1 when something failed, 2 when a name is unknown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .guest import ROOT, WHAT, Guest, provide, run
from .image import KERNELS, UnavailableError, image
from .table import PROBE, Entry, chosen, programs

WORK = ROOT / "build" / "protection"
LIMIT_S = 4 * 3600  # for what hangs; inside, each entry has a shorter one


def build(entries: Sequence[Entry]) -> None:
    """What runs in the guest is built here."""
    jobs = f"-j{os.environ.get('JOBS', '2')}"
    native = ["make", "-s", "-C", str(ROOT / "native"), jobs, "programs", "VARIANTS=plain"]
    if names := programs(entries):
        subprocess.run([*native, f"TESTS={' '.join(names)}"], check=True)
    if any(PROBE in entry.command for entry in entries):
        source, program = ROOT / "tests" / "protection" / "probe.c", ROOT / PROBE
        program.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
        compiler = os.environ.get("CC") or "gcc"
        subprocess.run([compiler, *flags, "-o", str(program), str(source)], check=True)


def note(line: str) -> bool:
    """Note that something is not tested; is there a summary that will say it?"""
    print(f"keys    NOT TESTED  {line}", file=sys.stderr, flush=True)
    summary = os.environ.get("UNTESTED")
    if summary:
        with Path(summary).open("a") as notes:
            notes.write(f"{line}\n")
    return bool(summary)


def there(kernel: str) -> bool:
    """Is this kernel there, or can it be fetched?"""
    try:
        print(f"keys    {kernel:5}  {image(kernel).package}", flush=True)
    except UnavailableError as error:
        print(error, file=sys.stderr, flush=True)
        return False
    return True


def repeat(reading: int) -> None:
    """Print each line as it comes, whole, since another guest prints beside."""
    with os.fdopen(reading, errors="replace") as lines:
        for line in lines:
            sys.stdout.write(line)
            sys.stdout.flush()


def without_result(folder: Path, entries: Sequence[Entry]) -> list[Entry]:
    """Those that have not ended, since the guest died."""
    results = folder / "results"
    lines = results.read_text().splitlines() if results.exists() else []
    ended = {line.partition(" ")[2] for line in lines}
    return [entry for entry in entries if entry.name not in ended]


def boot(kernel: str, entries: Sequence[Entry]) -> bool:
    """Run the entries on this kernel; is all well?"""
    folder = WORK / kernel
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = f"PYTHONPATH={ROOT / 'tests'}"
    inside = ["env", path, sys.executable, "-m", "protection.inside", kernel, str(folder)]
    guest = Guest(kernel, limit_s=LIMIT_S, writable=(folder,))
    reading, writing = os.pipe()
    reader = threading.Thread(target=repeat, args=(reading,))
    reader.start()
    try:
        status = run(guest, [*inside, *(entry.name for entry in entries)], writing)
    finally:
        os.close(writing)
        reader.join()
    for entry in without_result(folder, entries):
        print(f"keys    {kernel:5}  FAILED   no result  {entry.name}", flush=True)
    untested = folder / "untested"
    for line in untested.read_text().splitlines() if untested.exists() else []:
        note(f"with protection keys, kernel {kernel}: {line}")
    return status == 0


def arguments() -> tuple[list[str], list[Entry]]:
    """Kernels and entries."""
    parser = argparse.ArgumentParser(prog="protection", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kernel", choices=KERNELS, action="append", help="both without it")
    parser.add_argument("--short", action="store_true", help="what `make test` runs")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("name", nargs="*")
    given = parser.parse_args()
    try:
        entries = chosen(given.name, given.short)
    except KeyError as error:
        parser.error(f"no such entry: {', '.join(error.args)}")
    if given.list:
        for entry in entries:
            print(f"{entry.name:20} {'short' if entry.short else '':5}  {entry.command}")
        sys.exit(0)
    return given.kernel or list(KERNELS), entries


def main() -> int:
    kernels, entries = arguments()
    os.chdir(ROOT)
    try:
        provide()
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return 0 if "UNTESTED" in os.environ else 1
    found = [kernel for kernel in kernels if there(kernel)]
    missing = [kernel for kernel in kernels if kernel not in found]
    noted = [note(f"{WHAT}: on kernel {kernel}, which cannot be had") for kernel in missing]
    build(entries)
    with ThreadPoolExecutor(int(os.environ.get("JOBS") or 2)) as pool:
        well = list(pool.map(lambda kernel: boot(kernel, entries), found))
    return 0 if all([*noted, *well]) else 1


if __name__ == "__main__":
    sys.exit(main())
