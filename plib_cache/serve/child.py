# SPDX-License-Identifier: BSD-3-Clause
"""A server process as its parent sees it: started, watched, started again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys

from plib_cache.exceptions import PlibCacheError
from plib_cache.serve import notify
from plib_cache.serve.board import BEAT, PID, Board
from plib_cache.serve.worker import BOOT, READY, Task

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
STEADY_S = 10.0  # who has run so long is started again at once
START_S = 60.0  # a limit for a process that neither listens nor ends
log = logging.getLogger(__name__)


class Child:
    """One of the server processes, again and again until it is told to stop.

    Args:
        task: what the process is told; ``board`` has its row.
    """

    def __init__(self, task: Task, board: Board) -> None:
        self._task, self._board = task, board
        self._process: asyncio.subprocess.Process | None = None
        self._pause_s = FIRST_PAUSE_S
        self._stopping = asyncio.Event()
        self._listens = False
        self._to_reload = False
        self._beat = 0
        self.restarts = 0

    async def start(self) -> None:
        """Start it, and come back when it listens.

        Raises:
            PlibCacheError: it has ended, or does not come to listen.
        """
        fds = (*self._task.shared, self._task.board)
        plain = {k: v for k, v in os.environ.items() if k not in notify.VARIABLES}
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", BOOT, *sys.path,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            pass_fds=fds, env=plain,
        )  # fmt: skip
        self._listens, self._to_reload = False, False
        self._board.put(self._task.row, {PID: process.pid})
        if self._stopping.is_set():  # since it was decided to start it
            self.signal(signal.SIGTERM)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self._task.as_json().encode() + b"\n")
        try:
            said = await asyncio.wait_for(process.stdout.readline(), START_S)
        except asyncio.TimeoutError:
            said = b""
        if said.strip() == READY.encode():
            self._listens = True
            if self._to_reload:
                self.reload()
            return
        self.signal(signal.SIGKILL)
        code = await process.wait()
        if not self._stopping.is_set():
            raise PlibCacheError(
                f"server process {process.pid} did not come to listen ({_how(code)}): see what it "
                "said above"
            )

    async def keep(self) -> None:
        """Start it again whenever it ends, until ``stop``; come back when it has ended."""
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            code = await self._process.wait()
            self._board.retire(self._task.row)
            if self._stopping.is_set():
                return
            if loop.time() - began > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            log.error(
                "server process %d ended (%s): starting it again in %.1f s",
                self._process.pid, _how(code), self._pause_s,
            )  # fmt: skip
            await self._start_again()

    async def _start_again(self) -> None:
        self._process = None
        while not self._stopping.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._pause_s)
                return
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self.restarts += 1
            try:
                await self.start()
            except (PlibCacheError, OSError) as error:
                self._board.retire(self._task.row)
                self._process = None
                log.error("%s; trying again in %.1f s", error, self._pause_s)
            else:
                return

    def lives(self) -> bool:
        """Whether it was heard of since this was last asked, or is being started again."""
        before, self._beat = self._beat, self._board.get(self._task.row, BEAT)
        return self._beat != before or self._beat == 0

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def stop(self) -> None:
        """Have it drain and end, and not be started again."""
        if not self._stopping.is_set():
            self._stopping.set()
            self.signal(signal.SIGTERM)

    def reload(self) -> None:
        """Have it read certificates and users again; as soon as it can, if it has just begun."""
        if self._listens:
            self.signal(signal.SIGHUP)
        else:
            self._to_reload = True

    def kill(self) -> None:
        """End it at once, if it is there."""
        if self._process is not None and self._process.returncode is None:
            log.error("server process %d does not end: killing it", self._process.pid)
            self.signal(signal.SIGKILL)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
