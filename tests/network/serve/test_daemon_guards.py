# SPDX-License-Identifier: BSD-3-Clause
"""Clients that behave badly: a bounded amount of memory, and nothing for their neighbours."""

from __future__ import annotations

import re
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from waiting import wait_until

from .running import Client, Server

MIB = 1 << 20
IDLE = 10_000


def memory(pid: int, what: str) -> int:
    """A line of a process's status (VmHWM is the most that it ever had), in bytes."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{what}:\s*(\d+) kB", text, flags=re.M)
    assert found, text
    return int(found.group(1)) * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one process, which is sound after each test and in the end."""
    options = ["--size", "16MiB", "--max-connections", str(IDLE + 100)]
    with Server(tmp_path_factory.mktemp("guards"), *options) as running:
        yield running


@pytest.fixture
def neighbour(server: Server) -> Iterator[Client]:
    """Somebody who is served as if nothing was."""
    with server.connect() as client:
        assert client.set("neighbour", b"well") == b"STORED\r\n"
        yield client
        assert client.get("neighbour") == b"well"


def test_a_slow_reader(server: Server, neighbour: Client) -> None:
    """Who asks for 200 MB and reads none of it is answered as far as it reads, then all of it."""
    value, count = bytes(range(256)) * 2000, 400
    (pid,) = server.pids()
    with server.connect() as slow:
        assert slow.set("large", value) == b"STORED\r\n"
        before = memory(pid, "VmHWM")
        slow.send(b"get large\r\n" * count)
        for _ in range(100):
            assert neighbour.get("neighbour") == b"well"
        for _ in range(count):
            assert slow.until(b"END\r\n").endswith(value[-9:] + b"\r\nEND\r\n")
    assert memory(pid, "VmHWM") - before < 24 * MIB


def test_a_pipeline_of_ten_thousand(server: Server, neighbour: Client) -> None:
    """Each command is answered, in order, and a neighbour meanwhile too."""
    requests = b"".join(b"set p%d 0 0 5\r\n%05d\r\nget p%d\r\n" % (i, i, i) for i in range(10_000))
    (pid,) = server.pids()
    before = memory(pid, "VmHWM")
    with server.connect() as client:
        sending = threading.Thread(target=client.send, args=(requests,))
        sending.start()
        assert neighbour.get("neighbour") == b"well"
        for i in range(10_000):
            assert client.until(b"END\r\n") == (
                b"STORED\r\nVALUE p%d 0 5\r\n%05d\r\nEND\r\n" % (i, i)
            )
        sending.join()
    assert memory(pid, "VmHWM") - before < 24 * MIB


def test_ten_thousand_idle_connections(
    server: Server, neighbour: Client, untested: Callable[[str], NoReturn]
) -> None:
    """They cost some kilobytes each, and nothing when they are gone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 1000:
        untested(f"10,000 idle connections: this user may have {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    (pid,) = server.pids()
    before, idle = memory(pid, "VmRSS"), []
    try:
        for _ in range(IDLE):
            idle.append(server.connect())
        everybody = str(IDLE + 1)
        wait_until(lambda: neighbour.stats()["curr_connections"] == everybody, "all to be taken")
        assert memory(pid, "VmRSS") - before < IDLE * 10 * 1024
        assert idle[0].set("k", b"v") == b"STORED\r\n"
        assert idle[-1].get("k") == b"v"
    finally:
        for client in idle:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: neighbour.stats()["curr_connections"] == "1", "them to be gone")


@pytest.mark.parametrize(
    "bytes_",
    [
        b"x" * (4 * MIB),
        b"get " + b"k" * (4 * MIB),
        b"\x80" + bytes(100_000),
        bytes(range(128, 256)) * 10_000,
        b"\r\n" * 100_000,
        b"set k 0 0 999999999999999999999\r\n" + bytes(MIB),
        b"set k 0 0 -1\r\n" * 10_000,
    ],
    ids=["line", "key", "binary protocol", "garbage", "empty lines", "length", "negative"],
)
def test_what_is_no_protocol(server: Server, neighbour: Client, bytes_: bytes) -> None:
    """The server answers with errors or hangs up, and keeps none of it."""
    (pid,) = server.pids()
    before = memory(pid, "VmHWM")

    def pour(client: Client) -> None:
        try:
            client.send(bytes_ + b"\r\nquit\r\n")
        except OSError:
            return  # it has hung up

    with server.connect() as client:
        pouring = threading.Thread(target=pour, args=(client,))
        pouring.start()
        assert neighbour.get("neighbour") == b"well"
        client.rest()
        pouring.join()
    assert memory(pid, "VmHWM") - before < 16 * MIB


def test_idle_ones_are_hung_up_on(tmp_path: Path) -> None:
    """``--idle-timeout`` hangs up, and counts it."""
    with Server(tmp_path, "--size", "8MiB", "--idle-timeout", "1") as server:
        with server.connect() as idle:
            assert idle.ask(b"version").startswith(b"VERSION")
            assert idle.rest() == b""
        with server.connect() as client:
            assert int(client.stats()["idle_kicks"]) >= 1
