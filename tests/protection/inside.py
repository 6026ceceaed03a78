# SPDX-License-Identifier: BSD-3-Clause
"""Runs entries of the table in the guest, one after another, for ``python -m protection``.

    python -m protection.inside KERNEL FOLDER NAME...

One line is printed for each, and if it failed the end of what it printed; all of that is in FOLDER.
There is also a line ``STATUS NAME`` in ``results`` for each that has ended, and in ``untested``
what could not be tested.  Exit status 1 when one failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .guest import ROOT
from .table import TABLE, Entry

LIMIT_S = 3000  # for what hangs
HANG_TIMES = 20
SHOWN_LINES = 60
SKIPPED = 77


def run(entry: Entry, log: Path, environment: dict[str, str]) -> int:
    """Its exit status, negative for a signal's; what it leaves running is ended with it."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", entry.command], cwd=ROOT, env=environment, stdout=out,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            out.write(f"(ended after the limit of {LIMIT_S} s)\n".encode())
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def tell(kernel: str, entry: Entry, status: int, seconds: float, printed: list[str]) -> str:
    """One line, more if it failed."""
    state = {0: "ok", SKIPPED: "SKIPPED"}.get(status, "FAILED")
    line = f"keys    {kernel:5}  {state:7}  {seconds:6.1f} s  {entry.name}"
    if state == "FAILED":
        shown = [f"    | {text}" for text in printed[-SHOWN_LINES:]]
        return "\n".join([f"{line} (exit status {status})", *shown])
    return f"{line}: {printed[-1]}" if state == "SKIPPED" and printed else line


def main() -> int:
    kernel, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    untested = folder / "untested"
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "HANG_TIMES": str(HANG_TIMES),
        "UNTESTED": str(untested),
    }
    environment.pop("PYTHONPATH", None)
    failed = False
    for entry in (entry for entry in TABLE if entry.name in names):
        log, began = folder / entry.log, time.monotonic()
        status = run(entry, log, environment)
        printed = log.read_text(errors="replace").splitlines()
        print(tell(kernel, entry, status, time.monotonic() - began, printed), flush=True)
        with (folder / "results").open("a") as results:
            results.write(f"{status} {entry.name}\n")
        if status == SKIPPED:
            with untested.open("a") as notes:
                notes.write(f"{entry.name}: {printed[-1] if printed else 'no reason given'}\n")
        failed |= status not in (0, SKIPPED)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
