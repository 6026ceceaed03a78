# SPDX-License-Identifier: BSD-3-Clause
"""What a service manager does and is told: sockets, readiness, reload, watchdog, end."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import HANG_S, stop, wait_until

from .running import COMMAND, Server, refused

# What systemd does before it starts a service: sockets from descriptor 3 on, and the pid.
PASS = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


class Manager:
    """Listens to what a service says of itself."""

    def __init__(self, path: Path | str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(HANG_S)
        self._sock.bind(str(path))
        where = str(path).replace("\0", "@")
        self.environment = {**os.environ, "NOTIFY_SOCKET": where}

    def hear(self) -> dict[str, str]:
        """The next message."""
        lines = self._sock.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """One that listens on a path, and one that listens on a name of the kernel's."""
    where = tmp_path / "notify" if request.param == "path" else f"\0plib-{os.getpid()}-{tmp_path}"
    with Manager(where) as made:
        yield made


def test_it_tells_how_it_is(tmp_path: Path, manager: Manager) -> None:
    with Server(tmp_path, env=manager.environment) as server:
        ready = manager.hear()
        assert ready["READY"] == "1"
        assert server.region in ready["STATUS"]
        server.signal(signal.SIGHUP)
        reloading = manager.hear()
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.hear()["READY"] == "1"
        server.signal(signal.SIGTERM)
        assert manager.hear() == {"STOPPING": "1"}


def test_a_reload_while_it_begins(tmp_path: Path) -> None:
    """SIGHUP does not end processes that do not listen for it yet."""
    with Server(tmp_path) as server:
        (pid,) = server.pids()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.pids() not in ([], [pid]), "another process")
        server.signal(signal.SIGHUP)
        with server.connect() as client:
            assert client.set("k", b"v") == b"STORED\r\n"
        assert "did not come to listen" not in server.told()


def test_no_readiness_without_a_server(tmp_path: Path) -> None:
    """Nothing is told by a server that cannot begin."""
    with Manager(tmp_path / "notify") as manager:
        code, _ = refused(
            tmp_path, "--listen", "192.0.2.1:0", "--insecure", env=manager.environment
        )
        assert code == 1
        manager._sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.hear()


def test_the_watchdog(tmp_path: Path) -> None:
    """It is fed while all server processes live, and no more when one is stuck."""
    with Manager(tmp_path / "notify") as manager:
        environment = {**manager.environment, "WATCHDOG_USEC": str(1_200_000)}
        with Server(tmp_path, "--processes", "2", env=environment) as server:
            assert manager.hear()["READY"] == "1"
            for _ in range(3):
                assert manager.hear() == {"WATCHDOG": "1"}
            stuck = server.pids()[1]
            stop(stuck)
            wait_until(lambda: "a server process is stuck" in server.told(), "the complaint")
            os.kill(stuck, signal.SIGCONT)


def test_a_watchdog_of_somebody_else(tmp_path: Path) -> None:
    with Manager(tmp_path / "notify") as manager:
        environment = {**manager.environment, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
        with Server(tmp_path, env=environment) as server, server.connect() as client:
            assert manager.hear()["READY"] == "1"
            assert client.set("k", b"v") == b"STORED\r\n"
            server.signal(signal.SIGTERM)
            assert manager.hear() == {"STOPPING": "1"}


def activated(folder: Path, socks: list[socket.socket], *options: str) -> Server:
    """A server that is started with open sockets."""

    def place() -> None:  # in the child, between fork and exec
        high = [os.dup2(sock.fileno(), 100 + at) for at, sock in enumerate(socks)]
        for at, fd in enumerate(high):
            os.dup2(fd, 3 + at)

    environment = {**os.environ, "LISTEN_FDS": str(len(socks)), "LISTEN_FDNAMES": "a:b"}
    passed = [*range(3, 3 + len(socks))]
    command = [sys.executable, "-c", PASS, *COMMAND]
    return Server(
        folder, *options, listen=False, command=command,
        env=environment, pass_fds=passed, preexec_fn=place,
    )  # fmt: skip


def test_sockets_of_the_service_manager(tmp_path: Path) -> None:
    """They are served by all processes, stay when the server ends, and keep who comes meanwhile."""
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)
        unix.listen()
        for turn in range(2):
            with activated(tmp_path, [tcp, unix], "--processes", "2") as server:
                assert server.port == tcp.getsockname()[1]
                assert server.said.count("listening on") == 2
                with server.connect() as one, server.connect(path) as other:
                    assert one.set("k", b"%d" % turn) == b"STORED\r\n"
                    assert other.get("k") == b"%d" % turn
            assert Path(path).exists()
            waiting = server.connect()  # to a socket that nobody accepts from now
            with activated(tmp_path, [tcp, unix]), waiting:
                assert waiting.get("k") == b"%d" % turn


def test_sockets_that_are_none(tmp_path: Path) -> None:
    """A descriptor that is not there, is no socket that listens, or leads to everybody."""
    with (
        (tmp_path / "file").open("w") as file,
        socket.socket() as deaf,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.create_server(("0.0.0.0", 0)) as public,
    ):
        for passed, why in (
            (file, "is no socket"),
            (deaf, "is not a listening stream socket"),
            (datagrams, "is not a listening stream socket"),
            (public, "can be reached from other machines"),
        ):
            server = activated(tmp_path, [passed])  # type: ignore[list-item]
            assert server.wait() == 2
            assert why in server.told()
            server.close()


def test_variables_of_another_process_mean_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"}
    with Server(tmp_path, env=environment) as server, server.connect() as client:
        assert client.set("k", b"v") == b"STORED\r\n"
