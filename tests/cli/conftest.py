# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the command share: commands in this process, and a terminal to run them in."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyte
import pytest
from waiting import HANG_S, readable

import plib_cache
from plib_cache.cli import main


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        """The one JSON document that it wrote."""
        return json.loads(self.out)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """``command("stat", "name")`` runs a command in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["plib-cache", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture
def mine() -> plib_cache.Cache:
    """A cache with entries of several kinds."""
    cache = plib_cache.Cache("mine", size="16MiB")
    cache.set("greeting", "hello")
    cache.set("number", 42)
    cache.set(b"\xff\x00", b"raw\x00")
    cache.set("news", "today", 1000, namespace="site", tags=["a", "b"])
    cache.set("object", {"any": object})
    return cache


class Terminal:
    """A program in a terminal of its own, whose screen can be read.

    ``raw`` is everything that the program wrote.
    """

    def __init__(self, *words: str, columns: int = 80, lines: int = 24, **environment: str) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._code: int | None = None
        inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        told = {**inherited, "TERM": "xterm-256color", "COLUMNS": "77", **environment}
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            size = struct.pack("HHHH", lines, columns, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whatever the tests were started by
            os.execve(sys.executable, [sys.executable, "-m", "plib_cache", *words], told)
        self.before = termios.tcgetattr(self._fd)

    def text(self) -> str:
        """The screen as it is now."""
        return "\n".join(self.screen.display)

    def line(self, begin: str) -> str:
        """The line of the screen that begins so; empty if there is none."""
        return next((line for line in self.screen.display if line.startswith(begin)), "")

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Read on until the screen is as it should be."""
        deadline = time.monotonic() + 2 * HANG_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.text()}"
            self._read()

    def shows(self, *texts: str) -> None:
        """Read on until all this is on the screen."""
        self.until(lambda: all(text in self.text() for text in texts), repr(texts))

    def _read(self) -> bool:
        if not readable([self._fd], 0.05):
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the program has ended
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._fd, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, which its program is told."""
        self.screen.resize(lines, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def modes(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self._fd)

    def end(self) -> int:
        """Read to the end of the program; its exit code, or minus the signal."""
        deadline = time.monotonic() + 2 * HANG_S
        while self._code is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text()}"
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        while readable([self._fd], 0) and self._read():
            pass
        return self._code

    def close(self) -> None:
        """End the program, if it has not ended."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """``terminal("top", "mine", columns=80)`` runs a command in a terminal."""
    made: list[Terminal] = []

    def start(*words: str, **options: Any) -> Terminal:
        made.append(Terminal(*words, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()
