# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for conditions, not for time: with a limit for what hangs."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HANG_TIMES = float(os.environ.get("HANG_TIMES", "1"))  # as in tests/native/check.h
HANG_S = 30.0 * HANG_TIMES  # a limit for what hangs, not a stopwatch


def wait_until(
    condition: Callable[[], Any],
    what: str = "the condition",
    times: float = 1,
    pause: float = 0.002,
) -> Any:
    """Look until ``condition()`` is true, and return what it gave.

    Args:
        times: HANG_S is the limit so often.
        pause: seconds between two looks, of a condition that is not cheap.
    """
    deadline = time.monotonic() + times * HANG_S
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(pause)
    return result


def stop(pid: int) -> None:
    """Stop a process (SIGSTOP), and come back when all of its threads have stopped.

    The signal stops one thread after the other, and those that run go on for a moment.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: set(_states(pid)) <= set("Tt"), f"process {pid} to stop")


def _states(pid: int) -> list[str]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]


def readable(files: Sequence[Any], seconds: float | None = None) -> list[Any]:
    """Which of them can be read, or have ended, within so many seconds (None: however long).

    ``select`` knows 1,024 descriptors, and the tests before may have left more of them open.

    Args:
        files: descriptors, or what has one.
    """
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)}
    return [file for file in files if (file if isinstance(file, int) else file.fileno()) in ready]
