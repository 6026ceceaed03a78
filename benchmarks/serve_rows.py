# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache serve`` over loopback, next to memcached: gets of 128 bytes.

Both have the same records, stored by the same commands, and are asked by the same light client
(``asker.c``), which is on another processor and makes answers as long as they are.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import MIB, Bench, not_measured, tried
from benchmarks.figures import Goal, Line, compared
from benchmarks.programs import BrokenError, MissingError, Program
from benchmarks.turns import Candidate, take_turns

MEMCACHED = "memcached"
KEYS, VALUE = 10_000, 128
SECONDS = 120.0  # a limit for what hangs
WAYS = {"many": (1, 100), "pipelined": (100, 1), "alone": (1, 1)}  # lines of a request, keys each


@dataclass
class Served:
    """A server that has all records, and its client."""

    port: int
    pids: list[int]  # of the processes that answer
    asker: Program

    def ask(self, way: str, milliseconds: float) -> tuple[float, float]:
        """Gets in a second by the clock, and in a second of the server's processors."""
        if way != self._way:
            self.asker.ask("ask", *WAYS[way])
            self._way = way
        before = self._used_ns()
        gets, seconds = self.asker.ask("run", str(milliseconds))
        return gets / seconds, gets / (self._used_ns() - before) * 1e9

    _way = ""

    def _used_ns(self) -> int:
        """What all threads of the server have had of processors."""
        tasks = [task for pid in self.pids for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks)

    def stay(self, cores: set[int]) -> None:
        """The server stays on these processors, each of its processes on one."""
        places = sorted(cores)
        for at, pid in enumerate(self.pids):
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {places[at % len(places)]})


def fill(port: int) -> None:
    """Store all records."""
    value = bytes([ord("v")]) * VALUE
    sets = b"".join(
        b"set key-%08u 0 0 %d noreply\r\n%s\r\n" % (at, VALUE, value) for at in range(KEYS)
    )
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        sock.sendall(sets + b"version\r\n")
        said = b""
        while not said.endswith(b"\r\n"):
            said += sock.recv(4096)
    if not said.startswith(b"VERSION"):
        raise BrokenError(f"the records cannot be stored: {said!r:.200}")


@contextlib.contextmanager
def started(
    command: list[str], port: Callable[[subprocess.Popen[str]], int], client_core: int
) -> Iterator[Served]:
    """A server, filled, and its client; ``port`` waits until it listens."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        at = port(server)
        fill(at)
        with Program("asker", str(at), KEYS, client_core) as asker:
            yield Served(at, _children(server.pid) or [server.pid], asker)
    finally:
        server.terminate()
        server.wait(SECONDS)
        assert server.stdout is not None
        server.stdout.close()


def ours(
    bench: Bench, processes: int, anywhere: bool = False
) -> contextlib.AbstractContextManager[Served]:
    """Our server; anywhere: where its client is."""
    options = ["--listen", "127.0.0.1:0", "--size", str(64 * MIB), "--processes", str(processes)]
    region = str(bench.fresh("served"))
    command = [sys.executable, "-m", "plib_cache", "serve", region, *options]
    return started(command, _announced, -1 if anywhere else elsewhere(bench))


def elsewhere(bench: Bench) -> int:
    """A processor that servers are not on, for their client; -1 if there is none."""
    return min(os.sched_getaffinity(0) - {bench.core}, default=-1)


def memcached(bench: Bench) -> contextlib.AbstractContextManager[Served]:
    """memcached with one thread."""
    program = shutil.which("memcached")
    if program is None:
        raise MissingError("memcached is missing (Debian package memcached)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    who = ["-u", "root"] if os.geteuid() == 0 else []
    where = ["-l", "127.0.0.1", "-p", str(port), "-U", "0"]
    command = [program, "-t", "1", "-m", "64", *where, *who]
    return started(command, lambda _: _reached(port), elsewhere(bench))


def _announced(server: subprocess.Popen[str]) -> int:
    assert server.stdout is not None
    said = ""
    while "ready" not in said:
        line = server.stdout.readline()
        if not line:
            raise BrokenError(f"plib-cache serve ended: {said}")
        said += line
    found = re.search(r"listening on \S+:(\d+)", said)
    assert found
    return int(found.group(1))


def _reached(port: int) -> int:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return port
        time.sleep(0.02)
    raise BrokenError("memcached does not answer")


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(word) for word in text.split()]


def gets(bench: Bench, work: str, way: str) -> list[Line]:
    """One process on one processor against memcached's one thread."""
    with contextlib.ExitStack() as stack:
        return _against(bench, stack, work, way)


def _against(bench: Bench, stack: contextlib.ExitStack, work: str, way: str) -> list[Line]:
    missing: dict[str, str] = {}
    servers = {"ours": stack.enter_context(ours(bench, 1))}
    if peer := tried(MEMCACHED, lambda: stack.enter_context(memcached(bench)), missing):
        servers[MEMCACHED] = peer
    clock: dict[str, list[float]] = {name: [] for name in servers}
    for server in servers.values():
        server.stay({bench.core})

    def candidate(name: str) -> Candidate:
        def sample() -> float:
            by_clock, by_processor = servers[name].ask(way, bench.scaled(200, 5))
            clock[name].append(by_clock)
            return by_processor

        return sample

    samples = take_turns({name: candidate(name) for name in servers}, bench.rounds)
    clock = {name: series[1:] for name, series in clock.items()}  # as the samples: no first round
    goal = Goal(least=0.5)
    if missing:
        return not_measured(work, missing, unit="ops/s", goal=goal)
    return [
        compared(work, MEMCACHED, samples["ours"], samples[MEMCACHED],
                 unit="ops/s", direction="ours / theirs", goal=goal),
        compared(f"{work}, by the clock", MEMCACHED, clock["ours"], clock[MEMCACHED],
                 unit="ops/s", direction="ours / theirs"),
    ]  # fmt: skip


def two(bench: Bench, work: str) -> list[Line]:
    """Two processes over one region against one, which is on each of their processors by turns."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    milliseconds = bench.scaled(200, 5)
    clock: dict[str, list[float]] = {"two": [], "one": []}
    with ours(bench, 2, anywhere=True) as both, ours(bench, 1, anywhere=True) as single:
        both.stay(set(cores))

        def together() -> float:
            by_clock, by_processor = both.ask("many", milliseconds)
            clock["two"].append(by_clock)
            return by_processor * len(both.pids)

        def alone() -> float:
            taken = []
            for core in cores:  # others may be busy on one of them
                single.stay({core})
                taken.append(single.ask("many", milliseconds / len(cores)))
            clock["one"].append(statistics.fmean(by_clock for by_clock, _ in taken))
            return statistics.fmean(by_processor for _, by_processor in taken)

        samples = take_turns({"two": together, "one": alone}, bench.rounds)
    clock = {name: series[1:] for name, series in clock.items()}
    return [
        compared(name, "1 process", series["two"], series["one"],
                 unit="ops/s", direction="ours / theirs", goal=Goal(least=1.7))
        for name, series in ((work, samples), (f"{work}, by the clock", clock))
    ]  # fmt: skip
