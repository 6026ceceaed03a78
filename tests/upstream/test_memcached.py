# SPDX-License-Identifier: BSD-3-Clause
"""memcached's own tests, and those of two of its clients, hold for ``plib-cache serve``.

memcached's are in its sources: ``make build/memcached-tests`` gets them, where GitHub can be
reached.  ``memcached_table`` says which of them apply.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pymemcache
import pytest
from network.serve.running import Server
from waiting import HANG_TIMES

from .memcached_table import APPLY, REST, VERSION

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("MEMCACHED_TESTS") or ROOT / "build" / "memcached-tests")
HANGS = 300 * HANG_TIMES  # seconds; only for what never ends

pytestmark = pytest.mark.timeout(HANGS + 60)


@pytest.fixture
def theirs(tmp_path: Path, untested: Callable[[str], NoReturn]) -> Path:
    """A folder as memcached's tests want it: with them, and with what they start."""
    if shutil.which("perl") is None:
        untested("memcached's own tests: there is no perl here")
    if not (FOLDER / "cas.t").is_file():
        untested("memcached's own tests (make build/memcached-tests, which needs GitHub)")
    wrapper = Path(__file__).with_name("memcached_debug.py")
    for name, does in {
        "memcached-debug": f'exec "{sys.executable}" "{wrapper}" "$@"',
        "timedrun": 'shift\nexec "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    shutil.copytree(FOLDER, tmp_path / "t")
    return tmp_path


def run(command: list[str], folder: Path) -> tuple[int, str]:
    """The exit status of a program, and what it said."""
    outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**outer, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=HANGS,
    )
    return done.returncode, done.stdout.decode(errors="replace")


@pytest.mark.parametrize("name", APPLY)
def test_memcacheds_own(name: str, theirs: Path) -> None:
    """Each that applies passes whole."""
    status, said = run(["perl", "-It/lib", f"t/{name}.t"], theirs)
    passed = len(re.findall(r"^ok ", said, re.M))
    failed = re.findall(r"^not ok .*", said, re.M)
    assert (status, failed) == (0, []), said[-5000:]
    assert passed >= APPLY[name], said[-5000:]


def test_the_table_has_all(untested: Callable[[str], NoReturn]) -> None:
    """Each test of that version is in the table, once."""
    assert not APPLY.keys() & REST.keys()
    if not FOLDER.is_dir():
        untested("memcached's own tests (make build/memcached-tests, which needs GitHub)")
    assert {file.stem for file in FOLDER.glob("*.t")} == APPLY.keys() | REST.keys(), VERSION


# ---- clients


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a region of its own."""
    with Server(tmp_path, "--size", "64MiB") as started:
        yield started.ready()


def test_pymemcache(server: Server, tmp_path: Path) -> None:
    """All of its integration tests pass but one, which changes the server's limit of memory."""
    package = Path(pymemcache.__file__).parent
    status, said = run(
        [
            *(sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path), "-q"),
            *("--tb=short", "--disable-warnings", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *(str(package / "test" / "test_integration.py"), "--server", "127.0.0.1"),
            *("--port", str(server.port)),
        ],
        tmp_path,
    )
    failed = re.findall(r"^FAILED \S*::(\w+)", said, re.M)
    assert (status, set(failed)) == (1, {"test_misc"}), said[-10_000:]
    refused = re.findall(r"^E +\S+: b'MEMLIMIT_ADJUST_FAILED", said, re.M)
    assert len(refused) == len(failed), said[-10_000:]
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said
    assert int(passed[1]) >= 90, said


def test_memcapable(server: Server, tmp_path: Path, untested: Callable[[str], NoReturn]) -> None:
    """What libmemcached's tool asks of a server that speaks the text protocol."""
    tool = shutil.which("memccapable") or shutil.which("memcapable")
    if tool is None:
        untested("libmemcached's memcapable: install libmemcached-tools")
    status, said = run([tool, "-h", "127.0.0.1", "-p", str(server.port), "-a"], tmp_path)
    assert (status, "All tests passed" in said) == (0, True), said
    assert len(re.findall(r"\[pass\]", said)) >= 27, said
