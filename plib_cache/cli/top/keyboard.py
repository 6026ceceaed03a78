# SPDX-License-Identifier: BSD-3-Clause
"""The keyboard of a terminal, key by key, and the news that the terminal has another size."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import time
import tty
from collections.abc import Iterator
from types import FrameType

_KEYS = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down", b"\x1b[H": "home", b"\x1b[F": "end",
    b"\x1b": "escape", b"\r": "enter", b"\n": "enter", b"\x7f": "escape", b"\x08": "escape",
}  # fmt: skip
_CODES = sorted(_KEYS, key=len, reverse=True)
_ESCAPE = 0x1B
_SEQUENCE_S = 0.05  # the bytes of one key come closer together


class Keyboard:
    """Keys as they are pressed; what the terminal was is restored at the end.

    Args:
        fd: of the terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._awake, self._wake = os.pipe()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """While it lasts, keys are not echoed and come one by one."""
        os.set_blocking(self._wake, False)
        before = termios.tcgetattr(self._fd)
        handlers = {
            number: signal.getsignal(number) for number in (signal.SIGWINCH, signal.SIGTERM)
        }
        woken = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGWINCH, _nothing)
        signal.signal(signal.SIGTERM, _end)
        try:
            tty.setcbreak(self._fd)
            mode = termios.tcgetattr(self._fd)
            mode[6][termios.VSUSP] = b"\0"  # Ctrl-Z would leave the terminal as it is now
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
            yield
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)
            signal.set_wakeup_fd(woken)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Give back what it has open."""
        os.close(self._awake)
        os.close(self._wake)

    def wait(self, until: float) -> list[str]:
        """The keys that were pressed; none when the time is up or the size has changed.

        Args:
            until: moment of ``time.monotonic``.

        Raises:
            EOFError: the terminal is gone.
        """
        left = max(0.0, until - time.monotonic())
        ready, _, _ = select.select([self._fd, self._awake], [], [], left)
        if self._awake in ready:
            os.read(self._awake, 512)
        if self._fd not in ready:
            return []
        data = self._read()
        if data == b"\x1b" and select.select([self._fd], [], [], _SEQUENCE_S)[0]:
            data += self._read()
        return split(data)

    def _read(self) -> bytes:
        try:
            data = os.read(self._fd, 512)
        except OSError:  # the terminal was hung up
            data = b""
        if not data:
            raise EOFError
        return data


def split(data: bytes) -> list[str]:
    """The names of the keys in what was read; keys that mean nothing here are left out."""
    keys = []
    while data:
        code = next((code for code in _CODES if data.startswith(code)), b"")
        if code and not (code == b"\x1b" and data[1:2] in (b"[", b"O")):
            keys.append(_KEYS[code])
            data = data[len(code) :]
        elif data[0] == _ESCAPE:
            end = next((i for i, byte in enumerate(data[2:], 2) if 0x40 <= byte <= 0x7E), len(data))
            data = data[end + 1 :]
        else:
            keys.append(chr(data[0]))
            data = data[1:]
    return keys


def _nothing(number: int, frame: FrameType | None) -> None:
    """A signal that only wakes."""


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
