# SPDX-License-Identifier: BSD-3-Clause
"""What a row works with: a folder in memory, a processor to stay on, servers, peers, and size."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Line
from benchmarks.programs import BrokenError, MissingError
from benchmarks.turns import ROUNDS

MIB = 1 << 20
PROTECTION = "PLIB_CACHE_PROTECTION"


@dataclass
class Bench:
    """The surroundings of one run.

    Attributes:
        rounds: Of samples; fewer in the short form, which ``make bench`` is, and in tests.
        scale: 1, but less in tests.
        full: False in the short form, in which a row of several sizes leaves the dearest out.
    """

    folder: Path
    rounds: int = ROUNDS
    scale: float = 1.0
    full: bool = True
    core: int = field(default_factory=lambda: max(os.sched_getaffinity(0)))
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1 << 30)))

    def fresh(self, name: str) -> Path:
        """A path that nobody has used."""
        return self.folder / f"{name}-{next(self._numbers)}"

    @contextlib.contextmanager
    def tidied(self) -> Iterator[None]:
        """What is made in the folder meanwhile is removed: it is memory that others lack."""
        before = set(self.folder.iterdir())
        try:
            yield
        finally:
            for path in set(self.folder.iterdir()) - before:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def scaled(self, count: int, least: int = 1) -> int:
        """So many, or fewer in a run on a small scale."""
        return max(least, int(count * self.scale))

    def room(self, needed: int) -> None:
        """MissingError unless the folder has so many bytes free."""
        free = shutil.disk_usage(self.folder).free
        found = re.search(r"MemAvailable:\s*(\d+)", Path("/proc/meminfo").read_text("ascii"))
        memory = int(found.group(1)) * 1024 if found else free
        if min(free, memory) < needed:
            raise MissingError(
                f"needs {needed >> 20} MiB of memory; {self.folder.parent} has {free >> 20} MiB "
                f"free, the machine {memory >> 20} MiB"
            )

    @contextlib.contextmanager
    def on_one_core(self) -> Iterator[None]:
        """This thread stays on the processor where servers are, too."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.core})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    @contextlib.contextmanager
    def memcached(self) -> Iterator[Path]:
        """A server of one's own behind a unix socket, on the processor of its clients."""
        program = shutil.which("memcached")
        if program is None:
            raise MissingError("memcached is missing (Debian package memcached)")
        address = self.fresh("memcached")
        who = ["-u", "root"] if os.geteuid() == 0 else []
        server = subprocess.Popen(
            [program, "-s", str(address), "-t", "1", "-m", "256", *who],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            os.sched_setaffinity(server.pid, {self.core})
            _await_socket(server, address)
            for thread in Path(f"/proc/{server.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {self.core})
            yield address
        finally:
            server.terminate()
            server.wait()


def _await_socket(server: subprocess.Popen[bytes], address: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise BrokenError(f"memcached ended with {server.returncode}")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as tried:
            tried.connect(str(address))
            return
        time.sleep(0.05)
    raise BrokenError("memcached does not answer")


@contextlib.contextmanager
def surroundings() -> Iterator[Bench]:
    """A run of its own in memory (/dev/shm, or else where temporary files go).

    Caches are at level none meanwhile, also in processes that are started in it: what the gate
    costs is told by rows of its own.
    """
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    before = os.environ.get(PROTECTION)
    os.environ[PROTECTION] = "none"
    try:
        with tempfile.TemporaryDirectory(prefix="plib-cache-bench-", dir=where) as folder:
            yield Bench(Path(folder))
    finally:
        del os.environ[PROTECTION]
        if before is not None:
            os.environ[PROTECTION] = before


def module(name: str) -> Any:
    """A peer's module; MissingError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(f"{name} cannot be imported: {error}") from error


def tried(peer: str, enter: Callable[[], Any], missing: dict[str, str]) -> Any:
    """What ``enter`` returns, or None and a note in ``missing`` if the peer is not here."""
    try:
        return enter()
    except MissingError as error:
        missing[peer] = str(error)
        return None


def not_measured(work: str, missing: dict[str, str], **fields: Any) -> list[Line]:
    """A line for each peer that is not here: it does not vanish from the table."""
    return [Line(work, peer, missing=reason, **fields) for peer, reason in missing.items()]
