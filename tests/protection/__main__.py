# SPDX-License-Identifier: BSD-3-Clause
"""Runs the table in the guest, on both kernels side by side.

    PYTHONPATH=tests .venv/bin/python -m protection [--short] [--kernel K]... [--list] [NAME...]

What each entry prints is in build/protection/KERNEL.  What cannot be tested on this machine is said,
and noted in the file that UNTESTED names; without such a file, which only a summary reads, it is a
failure.  Exit status 1 when something failed, 2 when a name is unknown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
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
    """Say that something is not tested; is there a summary that will say it again?"""
    print(f"keys    NOT TESTED  {line}", file=sys.stderr, flush=True)
    if summary := os.environ.get("UNTESTED"):
        with Path(summary).open("a") as notes:
            notes.write(line + "\n")
    return bool(summary)


def there(kernel: str) -> bool:
    """Is this kernel there, or can it be fetched?"""
    try:
        print(f"keys    {kernel:5}  {image(kernel).package}", flush=True)
    except UnavailableError as error:
        print(error, file=sys.stderr, flush=True)
        return False
    return True


def boot(kernel: str, entries: Sequence[Entry]) -> bool:
    """Run the entries on this kernel; is all well?"""
    folder = WORK / kernel
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = [entry.name for entry in entries]
    inside = [sys.executable, "-m", "protection.inside", kernel, str(folder), *names]
    guest = Guest(kernel, limit_s=LIMIT_S, writable=(folder,))
    with (folder / "console").open("wb") as console:
        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        del console, reader
    return run(guest, inside) == 0


def main() -> int:
    return 0


if __name__ == "__main__":
    sys.exit(main())
