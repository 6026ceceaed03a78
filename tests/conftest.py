# SPDX-License-Identifier: BSD-3-Clause
"""What tests share: private regions, child processes, waiting for conditions."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from waiting import HANG_S, readable, wait_until

import plib_cache
from plib_cache.testing import private_regions

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(autouse=True)
def regions() -> Iterator[Path]:
    """Named and default caches live in a new folder, which is removed afterwards."""
    with private_regions("16MiB") as folder:
        yield folder


def keys_open() -> list[int]:
    """The protection keys that this thread may use; none, if it is no different from a new one."""
    if "ospke" not in Path("/proc/cpuinfo").read_text(encoding="ascii").split():
        return []  # pkey_get is an illegal instruction then
    pkey_get = ctypes.CDLL(None).pkey_get
    return [key for key in range(1, 16) if not pkey_get(key) & 1]


@pytest.fixture(autouse=True)
def closed_again() -> Iterator[None]:
    """Whatever a test does: for each opening of the window there is a closing."""
    yield
    assert keys_open() == []


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """``wait_until``, for tests."""
    return wait_until


@pytest.fixture
def untested() -> Callable[[str], NoReturn]:
    """``untested(what)`` ends a test that this machine cannot run; the end summary says so."""

    def note(what: str) -> NoReturn:
        if "UNTESTED" in os.environ:
            with Path(os.environ["UNTESTED"]).open("a", encoding="utf-8") as file:
                print(what, file=file)
        pytest.skip(what)

    return note


@pytest.fixture
def browser(untested: Any) -> Iterator[Any]:
    """A real browser, by playwright; of the fixtures of a test it is one of the last."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        untested("pages in a browser: no chromium (Debian package: chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        untested(f"pages in a browser: {error} (pip install playwright)")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox"], timeout=4 * HANG_S * 1000
        )
        yield opened
        opened.close()


class Child:
    """A forked process that runs a function and sends back what it returns or raises."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._reading, writing = os.pipe()
        self.reaped = False
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(writing, function, args)
        os.close(writing)

    def _run(self, writing: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            try:
                answer = (True, function(*args))
            except BaseException as error:
                answer = (False, error)
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)

    def result(self) -> Any:
        """What the function returned; raises what it raised."""
        chunks = []
        while readable([self._reading], HANG_S):
            chunk = os.read(self._reading, 1 << 16)
            if not chunk:
                break
            chunks.append(chunk)
        else:
            raise AssertionError(f"child {self.pid} hangs")
        self.reap()
        fine, answer = pickle.loads(b"".join(chunks))
        if not fine:
            raise answer
        return answer

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; a killed child stays a zombie until ``reap``."""
        os.kill(self.pid, number)

    def reap(self) -> None:
        """Collect the child's exit status."""
        if not self.reaped:
            self.reaped = True
            os.waitpid(self.pid, 0)

    def close(self) -> None:
        """End the child if it still runs."""
        if not self.reaped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.reap()
        os.close(self._reading)


@pytest.fixture
def fork() -> Iterator[Callable[..., Child]]:
    """``fork(function, *args)`` runs a function in a child process; see ``Child``."""
    children: list[Child] = []

    def start(function: Callable[..., Any], *args: Any) -> Child:
        children.append(Child(function, *args))
        return children[-1]

    yield start
    for child in children:
        child.close()


def _hold_all_locks(cache: plib_cache.Cache) -> None:
    """In a child: say in every shard's lock word that this thread holds it; stop; give them back.

    The words are those of layout.h; the process's row is known by its pid and start time.
    """
    me = os.getpid()
    slot = cache._region.info()["slot"]
    start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    file = os.open(cache.path, os.O_RDWR)  # not closed before the end: that would drop record locks
    head = os.pread(file, 4 << 20, 0)
    row = next(
        at
        for at in range(0, len(head), 64)
        if head[at + 8 : at + 24] == struct.pack("<QQ", me, start)
    )
    incarnation = struct.unpack_from("<Q", head, row)[0]
    word = slot << 53 | incarnation << 35 | (me & 0x3FFFFF) << 13 | 1
    os.pwrite(file, struct.pack("<Q", word) * 256, 2 * 4096)
    os.kill(me, signal.SIGSTOP)
    os.pwrite(file, bytes(8 * 256), 2 * 4096)


@pytest.fixture
def stopped_holder(fork: Callable[..., Child]) -> Callable[[plib_cache.Cache], Child]:
    """``stopped_holder(cache)``: a process that is stopped while it holds all locks of a region."""

    def start(cache: plib_cache.Cache) -> Child:
        child = fork(_hold_all_locks, cache)
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), child.result()
        return child

    return start


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], str]:
    """``python(source)`` runs a program of its own and returns what it printed."""

    def run(source: str, name: str = "program.py", **environment: str) -> str:
        script = tmp_path / name
        script.write_text(source)
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=HANG_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def small() -> Iterator[plib_cache.Cache]:
    """A small cache, strict, that is sound in the end."""
    with plib_cache.Cache("small", size="8MiB", strict=True) as cache:
        yield cache
        if not cache.closed:
            assert cache.check() == []
