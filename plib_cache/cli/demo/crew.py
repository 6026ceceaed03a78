# SPDX-License-Identifier: BSD-3-Clause
"""The processes that do one part of the demo, as the one that started them sees them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

Event = dict[str, Any]
_SILENCE_S = 150  # after so long without any event something hangs
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_PATIENCE_S = 5  # for what was asked to end


class DemoError(Exception):
    """A part of the demo did not do what it should."""


@dataclass
class Run:
    """What came out of one run of the searches."""

    seconds: float = 0.0
    tasks: list[Event] = field(default_factory=list)
    killed: Event | None = None

    @property
    def computed(self) -> int:
        """How many computations were made, by all processes."""
        return sum(len(event["computed"]) for event in self.tasks)

    def pids(self) -> list[int]:
        """The processes that worked, in the order of their first results."""
        return list(dict.fromkeys(event["pid"] for event in self.tasks))


class Crew:
    """Processes of one kind, started together, that wait for a word to begin."""

    def __init__(self, module: str, folder: Path, arguments: list[list[str]]) -> None:
        self._ready = False
        self._log = folder / f"{module.rpartition('.')[2]}.log"
        self._events: queue.Queue[tuple[int, Event]] = queue.Queue()
        self._members = [self._start(module, folder, given) for given in arguments]
        for n, member in enumerate(self._members):
            threading.Thread(target=self._listen, args=(n, member), daemon=True).start()
        self._alive = set(range(len(self._members)))
        self._victims = {n for n in self._alive if "--victim" in arguments[n]}

    def _start(self, module: str, folder: Path, given: list[str]) -> subprocess.Popen[str]:
        here = {"PLIB_CACHE_DIR": str(folder), "JOBLIB_TEMP_FOLDER": str(folder)}
        command = [sys.executable, "-m", module, "--folder", str(folder), *given]
        with self._log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **here, **dict.fromkeys(_ONE_THREAD, "1")},
                start_new_session=True,
            )

    def _listen(self, n: int, member: subprocess.Popen[str]) -> None:
        assert member.stdout is not None
        for line in member.stdout:
            if line.startswith("{"):
                self._events.put((n, json.loads(line)))
        self._events.put((n, {"event": "gone", "code": member.wait()}))

    def run(self, way: str, progress: Callable[[Event], None]) -> Run:
        """Let all search in one way, "plain" or "plib", and collect what they say.

        Who is to be killed begins, so that it has something to compute on any machine; when it says
        that it is inside a computation, and waits there, the others begin and it is killed.
        """
        if not self._ready:
            self._wait("ready", lambda event: None)
            self._ready = True
        run, began = Run(), time.perf_counter()

        def note(event: Event) -> None:
            if event["event"] == "task":
                run.tasks.append(event)
            elif event["event"] == "inside":
                run.killed = event
                for n in self._alive - self._victims:
                    self._say(n, way)
                os.kill(event["pid"], signal.SIGKILL)
            progress(event)

        first = self._victims & self._alive if way == "plib" else set()
        for n in first or set(self._alive):
            self._say(n, way)
        self._wait("end", note)
        run.seconds = time.perf_counter() - began
        return run

    def _say(self, n: int, word: str) -> None:
        stdin = self._stdin(self._members[n])
        stdin.write(word + "\n")
        stdin.flush()

    def _wait(self, word: str, note: Callable[[Event], None]) -> None:
        """Pass events on until every process that lives has said the word."""
        waiting = set(self._alive)
        while waiting:
            try:
                n, event = self._events.get(timeout=_SILENCE_S)
            except queue.Empty:
                raise DemoError(
                    f"no news for {_SILENCE_S} s: try again on a quieter machine"
                ) from None
            if event["event"] == "gone":
                self._bury(n, event["code"])
            if event["event"] in (word, "gone"):
                waiting.discard(n)
            note(event)

    def _bury(self, n: int, code: int) -> None:
        self._alive.discard(n)
        if code != -signal.SIGKILL:
            tail = "\n".join(self._log.read_text(encoding="utf-8").splitlines()[-15:])
            raise DemoError(f"a process ended with code {code}; see its last words:\n{tail}")

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Let the processes end; after an error, or if they do not, kill all that they started."""
        for member in self._members:
            with contextlib.suppress(OSError):  # it is dead, and cannot be told
                self._stdin(member).close()
        for member in self._members:
            if error is not None:
                _signal(member.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                member.wait(timeout=_PATIENCE_S if error else _SILENCE_S)
        for member in self._members:
            _empty(member.pid)
            member.wait()

    @staticmethod
    def _stdin(member: subprocess.Popen[str]) -> IO[str]:
        assert member.stdin is not None
        return member.stdin


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process and all that it started; False if none of them is left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _empty(group: int) -> None:
    """Wait until all that a process started has ended (and cleaned up), or else kill it."""
    deadline = time.monotonic() + _PATIENCE_S
    while _signal(group, 0):
        if time.monotonic() > deadline:
            _signal(group, signal.SIGKILL)
            return
        time.sleep(0.02)
