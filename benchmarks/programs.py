# SPDX-License-Identifier: BSD-3-Clause
"""The programs of benchmarks/native: built with the extension's own flags, asked line by line."""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import re
import statistics
import subprocess
import sysconfig
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[1]
NATIVE = Path("benchmarks", "native")  # in a tree
BUILT = Path("build", "bench")

# What must be there to compile a peer, and the Debian package that has it.
NEEDS = {
    "lmdb": ("lmdb.h", "liblmdb-dev"),
    "memcached": ("libmemcached/memcached.h", "libmemcached-dev"),
}


class MissingError(Exception):
    """Something that a line needs is not on this machine; says what."""


class BrokenError(Exception):
    """Something that was measured failed."""


@functools.cache
def core_flags() -> str:
    """The flags that the extension's core is compiled with: the interpreter's, then the build's."""
    path = ROOT / "native" / "ffi" / "build_ffi.py"
    spec = importlib.util.spec_from_file_location("build_ffi_of_bench", path)
    if spec is None or spec.loader is None:
        raise BrokenError(f"{path} cannot be read")
    module = importlib.util.module_from_spec(spec)
    before = Path.cwd()
    os.chdir(ROOT)  # its paths are relative to it
    try:
        spec.loader.exec_module(module)
    finally:
        os.chdir(before)
    interpreter = [sysconfig.get_config_var(name) or "" for name in ("CFLAGS", "CCSHARED")]
    return " ".join([*interpreter, *module.FLAGS])


def compiler() -> str:
    """The compiler that builds extensions."""
    words = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "gcc").split()
    return words[0]


@functools.cache
def build(name: str, tree: Path = ROOT, python_include: str = "") -> Path:
    """Build one program of a tree, or a module for Python, and return where it is.

    MissingError if the machine lacks what it needs.
    """
    if name in NEEDS and not _compiles(NEEDS[name][0]):
        raise MissingError(f"{NEEDS[name][0]} is missing (Debian package {NEEDS[name][1]})")
    (tree / BUILT).mkdir(parents=True, exist_ok=True)
    with (tree / BUILT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests at once would write one file
        made = subprocess.run(
            ["make", "-s", "-C", tree / NATIVE, f"-j{os.environ.get('JOBS', '2')}",
             f"PROGRAMS={name}", f"OUT={tree / BUILT}", f"CC={compiler()}",
             f"CORE_FLAGS={core_flags()}", f"PYTHON_INCLUDE={python_include}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if made.returncode:
        raise BrokenError(f"{name} does not build:\n{made.stdout}{made.stderr}")
    return tree / BUILT / name


def _compiles(header: str) -> bool:
    return not subprocess.run(
        [compiler(), "-E", "-x", "c", "-"],
        input=f"#include <{header}>\n", capture_output=True, text=True, check=False,
    ).returncode  # fmt: skip


class Program:
    """One running program of benchmarks/native/driver.c; ends with its ``with`` block."""

    def __init__(
        self, name: str, path: str | Path, size: int = 0, core: int = -1, tree: Path = ROOT
    ) -> None:
        self.name = name
        self.left_out: list[float] = []  # of each run, the share
        self._process = subprocess.Popen(
            [build(name, tree), str(path), str(size), str(core)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def huge_bytes(self) -> int:
        """How much shared memory it has mapped in huge pages."""
        text = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text(encoding="ascii")
        found = re.search(r"^ShmemPmdMapped:\s*(\d+) kB", text, flags=re.M)
        return int(found.group(1)) * 1024 if found else 0

    def ask(self, *words: str | int) -> list[float]:
        """Send one command and return the numbers of its answer."""
        self.send(*words)
        return self.answer()

    def run(self, operation: str, count: int, records: int) -> float:
        """Nanoseconds for each of ``count`` operations."""
        each, left_out = self.ask("run", operation, count, records)
        self.left_out.append(left_out)
        return each

    def send(self, *words: str | int) -> None:
        """Send one command; ``answer`` waits for what it says."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(" ".join(map(str, words)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.answer()

    def answer(self) -> list[float]:
        """Wait for the answer of the command that was sent."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrokenError(f"{self.name} ended: {self._process.communicate()[1].strip()}")
        return [float(word) for word in line.split()]


def undisturbed(left_out: list[float]) -> str:
    """How much of our runs counts, for the report."""
    share = statistics.fmean(left_out) if left_out else 0.0
    return f"{100 * share:.1f} % of our operations are left out: others had the processor"
