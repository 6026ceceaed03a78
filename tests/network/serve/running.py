# SPDX-License-Identifier: BSD-3-Clause
"""A server that a test starts, as its users do, and raw clients of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from waiting import HANG_S, readable

COMMAND = [sys.executable, "-m", "plib_cache", "serve"]


class Server:
    """``plib-cache serve`` in a process; the addresses are those that it says it listens on.

    Args:
        options: of the command, besides a loopback address.
        listen: whether that address is given.
        more: of ``subprocess.Popen``.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        listen: bool = True,
        command: Sequence[str] = COMMAND,
        **more: Any,
    ) -> None:
        self.region = str(folder / "region")
        self.log = folder / "log"
        where = ["--listen", "127.0.0.1:0"] if listen else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, self.region, *where, *options],
                stdout=subprocess.PIPE, stderr=log, **{"bufsize": 0, **more},
            )  # fmt: skip
        self.said = ""
        self._clients: list[Client] = []

    def ready(self) -> Server:
        """Come back when it serves."""
        deadline = time.monotonic() + HANG_S
        out = self.process.stdout
        assert out is not None
        while "\nready" not in self.said:
            left = deadline - time.monotonic()
            assert readable([out], max(left, 0)), f"not ready: {self.told()}"
            piece = os.read(out.fileno(), 1 << 16)
            assert piece, f"it has ended: {self.told()}"
            self.said += piece.decode()
        return self

    def told(self) -> str:
        """What it has said on standard error."""
        return self.log.read_text()

    @property
    def port(self) -> int:
        """Of the first TCP address."""
        found = re.search(r"listening on (?:127\.0\.0\.1|\[::1\]|0\.0\.0\.0):(\d+)", self.said)
        assert found, self.said
        return int(found.group(1))

    @property
    def metrics(self) -> str:
        """The URL of its metrics."""
        found = re.search(r"metrics on (\S+)", self.said)
        assert found, self.said
        return found.group(1)

    def connect(self, where: str | None = None) -> Client:
        """A new connection: to its first TCP address, or a unix socket's path."""
        if where is None:
            sock = socket.create_connection(("127.0.0.1", self.port), HANG_S)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(HANG_S)
            sock.connect(where)
        self._clients.append(Client(sock))
        return self._clients[-1]

    def pids(self) -> list[int]:
        """The server processes."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Have it drain and end, and return the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended, and return the exit code."""
        return self.process.wait(HANG_S)

    def __enter__(self) -> Server:
        return self.ready()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            code = self.end()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.close()
        if kind is None:
            assert code == 0, self.told()

    def close(self) -> None:
        """Do not listen to it any more, and hang up whatever was not hung up."""
        for client in self._clients:
            client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        """End it and its processes at once."""
        pids = self.pids() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait(HANG_S)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def refused(folder: Path, *options: str, **more: Any) -> tuple[int, str]:
    """Exit code and message of a server that does not begin to serve."""
    done = subprocess.run(
        [*COMMAND, str(folder / "region"), *options],
        capture_output=True, text=True, timeout=HANG_S, check=False, **more,
    )  # fmt: skip
    assert "ready" not in done.stdout
    return done.returncode, " ".join(done.stderr.split())


class Client:
    """A raw client, which says bytes and looks what comes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._had = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def over_tls(self, context: ssl.SSLContext) -> Client:
        """The same, after a handshake."""
        return Client(context.wrap_socket(self.sock, server_hostname="localhost"))

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def until(self, end: bytes) -> bytes:
        """What comes, up to and with ``end``."""
        while end not in self._had:
            piece = self.sock.recv(1 << 16)
            assert piece, f"the server hung up after {self._had[-200:]!r}"
            self._had += piece
        answer, found, self._had = self._had.partition(end)
        return answer + found

    def ask(self, request: bytes, end: bytes = b"\r\n") -> bytes:
        """Send a request, and return the answer up to ``end``."""
        self.send(request + b"\r\n")
        return self.until(end)

    def set(self, key: str, value: bytes) -> bytes:
        """Store a value; the answer."""
        return self.ask(b"set %s 0 0 %d\r\n%s" % (key.encode(), len(value), value))

    def get(self, key: str) -> bytes | None:
        """The value; None if there is none."""
        answer = self.ask(b"get " + key.encode(), b"END\r\n")
        if answer == b"END\r\n":
            return None
        head, _, rest = answer.partition(b"\r\n")
        return rest[: int(head.split()[3])]

    def stats(self) -> dict[str, str]:
        """What ``stats`` answers."""
        lines = self.ask(b"stats", b"END\r\n").decode().splitlines()[:-1]
        return {line.split(" ", 2)[1]: line.split(" ", 2)[2] for line in lines}

    def rest(self) -> bytes:
        """What comes until the server hangs up; nothing is lost by an abrupt end."""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.sock.recv(1 << 16):
                self._had += piece
        return self._had
