# SPDX-License-Identifier: BSD-3-Clause
"""Machines of a test's own: network namespaces, joined by a wire that can lose and be cut.

They share the file system, so a test gives each of them a folder for its regions.  Programs are
started in one by ``start``; all of them are stopped, by pid, when the machines go.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from waiting import wait_until

_WIRE = str(Path(__file__).with_name("wire.py"))
_HANGS = 60.0  # seconds; only for what never ends


class UnavailableError(Exception):
    """There can be no machines here."""


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net"]


def _processes() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def _room_of(pid: int) -> str:
    """The network namespace of a process; empty if it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


class Machines:
    """N machines, whose addresses are ``address(0)`` to ``address(n - 1)``.

    Raises:
        UnavailableError: this system does not let this user make them.
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        self._started: list[subprocess.Popen[Any]] = []
        self.n = n
        try:
            self._room = self._hold(_unshare(), None)
            self._holders = [self._hold(["unshare", "--net"], self._room) for _ in range(n)]
            for at, holder in enumerate(self._holders):
                self._plug(at, holder)
        except (OSError, subprocess.SubprocessError, UnavailableError) as error:
            self.close()
            raise UnavailableError(f"no network namespaces here: {error}") from error
        ends = [f"w{at}" for at in range(n)]
        command = [*self._inside(self._room), sys.executable, _WIRE, str(seed), *ends]
        self._wire = self._open(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._told("ready")

    @staticmethod
    def address(at: int) -> str:
        """The address of a machine, which it has in all programs."""
        return f"10.77.0.{at + 1}"

    # ---- what happens to the wire

    def lose(self, share: float) -> None:
        """Lose that share of all frames from now on."""
        self._order(f"loss {share}")

    def cut(self, at: int) -> None:
        """Nothing gets to or from that machine; nobody is told."""
        self._order(f"cut {at}")

    def join(self, at: int) -> None:
        """It is back."""
        self._order(f"join {at}")

    # ---- programs

    def start(self, at: int, command: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on a machine; its pid is that of the process."""
        return self._open([*self._inside(self._holders[at]), *command], **options)

    def run(self, at: int, command: list[str]) -> None:
        """Run a program on a machine to its end.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        self._run(self._holders[at], command)

    def kill(self, at: int) -> None:
        """All programs on a machine die (SIGKILL), and what they have started."""
        holder = self._holders[at].pid
        room = os.readlink(f"/proc/{holder}/ns/net")

        def left() -> list[int]:
            return [pid for pid in _processes() if pid != holder and _room_of(pid) == room]

        def all_dead() -> bool:
            for pid in (there := left()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not there

        wait_until(all_dead, "all programs to die")

    def close(self) -> None:
        """Kill all programs; the namespaces go with them."""
        for process in reversed(self._started):
            process.kill()
        for process in self._started:
            process.wait(_HANGS)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._started.clear()

    def __enter__(self) -> Machines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- how they are made

    def _hold(
        self, unshare: list[str], room: subprocess.Popen[Any] | None
    ) -> subprocess.Popen[Any]:
        """A process that has a network namespace, and does nothing."""
        inside = [] if room is None else self._inside(room)
        command = [*inside, *unshare, sys.executable, _WIRE, "wait"]
        before = os.readlink("/proc/self/ns/net" if room is None else f"/proc/{room.pid}/ns/net")
        holder = self._open(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def apart() -> bool:
            if holder.poll() is not None:
                assert holder.stderr is not None
                raise UnavailableError(holder.stderr.read().strip())
            name = os.readlink(f"/proc/{holder.pid}/ns/net")
            return name not in (before, os.readlink("/proc/self/ns/net"))

        wait_until(apart, "a network namespace")
        return holder

    def _plug(self, at: int, holder: subprocess.Popen[Any]) -> None:
        end, ip = f"w{at}", ["ip"]
        peer = ["type", "veth", "peer", "name", "eth0", "netns", str(holder.pid)]
        self._run(self._room, [*ip, "link", "add", end, *peer])
        self._run(self._room, [*ip, "link", "set", end, "up"])
        self._run(self._room, [sys.executable, _WIRE, "plain", end])
        self._run(holder, [sys.executable, _WIRE, "plain", "eth0"])
        self._run(holder, [*ip, "address", "add", f"{self.address(at)}/24", "dev", "eth0"])
        for name in ("lo", "eth0"):
            self._run(holder, [*ip, "link", "set", name, "up"])

    def _inside(self, holder: subprocess.Popen[Any]) -> list[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(holder.pid), *user, "--net"]

    def _run(self, holder: subprocess.Popen[Any], command: list[str]) -> None:
        subprocess.run(
            [*self._inside(holder), *command],
            check=True,
            timeout=_HANGS,
            capture_output=True,
        )

    def _open(self, command: list[str], **options: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(command, **options)
        self._started.append(process)
        return process

    def _order(self, order: str) -> None:
        assert self._wire.stdin is not None
        self._wire.stdin.write(order + "\n")
        self._wire.stdin.flush()
        self._told("done")

    def _told(self, expected: str) -> None:
        assert self._wire.stdout is not None
        line = self._wire.stdout.readline().strip()
        if line != expected:
            raise UnavailableError(f"the wire says {line!r}, not {expected!r}")
