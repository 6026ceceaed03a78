# SPDX-License-Identifier: BSD-3-Clause
"""Servers that tests start: real memcached and redis, and fakes that misbehave."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from waiting import HANG_S, stop, wait_until


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


PATIENT = "?timeout=20&connect=20"  # a machine that is busy is no server that is away


class Running:
    """A server process; ``plain`` is its URL, and ``url`` the same with much patience."""

    def __init__(self, command: list[str], url: str, answers: Callable[[], bool]) -> None:
        self.plain, self.url = url, url + PATIENT
        self.where = url.partition("://")[2]
        self._command = command
        self._answers = answers
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(self._there, f"{self._command[0]} to answer")
        except BaseException:
            self.stop()
            raise

    def _there(self) -> bool:
        assert self.process.poll() is None, f"{self._command} has ended"
        return self._answers()

    def pause(self) -> None:
        """Stop it, so that it hangs."""
        stop(self.process.pid)

    def go_on(self) -> None:
        """Have it go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(HANG_S)


def _says(where: str | tuple[str, int], question: bytes, answer: bytes) -> bool:
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family) as sock, contextlib.suppress(OSError):
        sock.settimeout(1)
        sock.connect(where)
        sock.sendall(question)
        return answer in sock.recv(4096)
    return False


def memcached(folder: Path, *options: str, port: int = 0, answers: bytes = b"VERSION") -> Running:
    """A memcached: on a unix socket in a folder, or on a port of this machine."""
    user = ["-u", "root"] if os.geteuid() == 0 else []
    path = str(folder / "memcached.sock")
    where = ["-l", "127.0.0.1", "-p", str(port), "-U", "0"] if port else ["-s", path]
    url = f"memcached://127.0.0.1:{port}" if port else f"memcached://{path}"
    return Running(
        ["memcached", "-m", "64", "-t", "2", *user, *where, *options],
        url,
        lambda: _says(("127.0.0.1", port) if port else path, b"version\r\n", answers),
    )


def redis(folder: Path, port: int = 0) -> Running:
    """A redis: on a unix socket in a folder, or on a port of this machine."""
    path = str(folder / "redis.sock")
    where = ["--port", str(port), "--bind", "127.0.0.1"]
    where += [] if port else ["--unixsocket", path]
    url = f"redis://127.0.0.1:{port}" if port else f"unix://{path}"
    return Running(
        ["redis-server", *where, "--save", "", "--appendonly", "no", "--dir", str(folder)],
        url,
        lambda: _says(("127.0.0.1", port) if port else path, b"PING\r\n", b"PONG"),
    )


def missing(kind: str) -> bool:
    """Whether there is no such server on this machine."""
    return shutil.which({"memcached": "memcached", "redis": "redis-server"}[kind]) is None


# ---- servers that misbehave

Behaviour = Callable[[socket.socket], None]


class Fake:
    """A server of which each connection is handled by a function, which a test may exchange."""

    def __init__(self, behaviour: Behaviour, port: int = 0) -> None:
        self.behaviour = behaviour
        self.connections = 0
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"memcached://127.0.0.1:{self.port}"
        self._open: dict[threading.Thread, socket.socket] = {}
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            handling = threading.Thread(target=self._handle, args=(connection,), daemon=True)
            self._open[handling] = connection
            handling.start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.behaviour(connection)

    def close(self) -> None:
        """Hang up on everybody, also on who was just taken."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(HANG_S)
        self._listener.close()
        for handling, connection in self._open.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            handling.join(HANG_S)


def answering(answer: bytes) -> Behaviour:
    """Answers every request with the same bytes."""

    def behave(connection: socket.socket) -> None:
        while connection.recv(1 << 16):
            connection.sendall(answer)

    return behave


def hanging(connection: socket.socket) -> None:
    """Takes everything, and never answers."""
    while connection.recv(1 << 16):
        pass


def closing(connection: socket.socket) -> None:
    """Hangs up at the first request."""
    connection.recv(1 << 16)
    connection.close()


def dripping(connection: socket.socket) -> None:
    """Answers a byte at a time, each well before any receive times out."""
    connection.recv(1 << 16)
    gone = threading.Event()
    for byte in b"VALUE key 0 100000\r\n" + bytes(100_000):
        connection.sendall(bytes([byte]))
        gone.wait(0.02)


def flooding(connection: socket.socket) -> None:
    """Answers with more than anybody asked for."""
    connection.recv(1 << 16)
    connection.sendall(b"VALUE key 0 1000000000000\r\n")
    while True:
        connection.sendall(bytes(1 << 20))


@contextlib.contextmanager
def fake(behaviour: Behaviour, port: int = 0) -> Iterator[Fake]:
    """A server that behaves so."""
    server = Fake(behaviour, port)
    try:
        yield server
    finally:
        server.close()
