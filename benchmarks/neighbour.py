# SPDX-License-Identifier: BSD-3-Clause
"""A second Python process: what another process stores, touches or holds, on demand.

One line of JSON for each command, and one for its answer.  A process's own memory, and the pages
that it has mapped, are what large values are about: so what is measured "in a new process" runs in
a fork of this one, which has imported everything and has attached to nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.programs import ROOT, BrokenError

PR_SET_THP_DISABLE = 41
PAGE = 4096
EXPECTED = 1 << 20  # bytes of an entry: a region for large values has a small index


class Neighbour:
    """The process; ends with its ``with`` block.

    Args:
        huge: False keeps it from having memory put into huge pages, and so the regions that grow
            by what it stores.
    """

    def __init__(self, huge: bool = True) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.neighbour", "huge" if huge else "small"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self.pid = self._process.pid

    def __enter__(self) -> Neighbour:
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

    def ask(self, command: str, *words: Any) -> Any:
        """What the command of that name returns there."""
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        to.write(json.dumps([command, *map(_plain, words)]) + "\n")
        to.flush()
        said = back.readline()
        if not said:
            raise BrokenError(f"the neighbour that was asked to {command} has ended")
        return json.loads(said)


def _plain(word: Any) -> Any:
    return str(word) if isinstance(word, Path) else word


def memory_of(pid: int | str, name: str) -> int:
    """Bytes that the kernel counts under a name of smaps_rollup, as Pss or ShmemPmdMapped."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s*(\d+) kB", text, flags=re.M)
    return int(found.group(1)) * 1024 if found else 0


# ---- in the neighbour ----------------------------------------------------------------------------

_open: dict[str, Any] = {}  # caches and what is held, by path
_held: list[Any] = []


def attached(path: str, size: int | None = None) -> Any:
    """The cache of a path, opened at first use."""
    import plib_cache

    if path not in _open:
        _open[path] = plib_cache.Cache(path=path, size=size, expected_entry=EXPECTED)
    return _open[path]


def store_array(path: str, size: int, nbytes: int) -> None:
    """An array of so many bytes under "array", filled in place; the region is made for it."""
    cache = attached(path, size)
    with cache.reserve_array("array", nbytes // 8, "f8") as made:
        made.array.fill(7.0)


def frame(rows: int) -> Any:
    """A table of ten columns: numbers, dates and truths."""
    import numpy as np
    import pandas as pd

    chance = np.random.default_rng(7)
    columns: dict[str, Any] = {f"x{n}": chance.random(rows) for n in range(6)}
    columns |= {f"n{n}": chance.integers(0, 1000, rows) for n in range(2)}
    columns["when"] = np.datetime64("2026-01-01", "s") + np.arange(rows).astype("m8[s]")
    columns["yes"] = chance.random(rows) < 0.5
    return pd.DataFrame(columns)


def store_frame(path: str, size: int, rows: int) -> None:
    """A table of ten columns under "frame"."""
    attached(path, size).set("frame", frame(rows))


def recycle(path: str, size: int, nbytes: int, times: int) -> None:
    """Values of so many bytes come and go, so that their memory is free and has been used."""
    import numpy

    cache = attached(path, size)
    values = numpy.full(nbytes // 8, 3.0)
    for _ in range(times):
        cache.set("recycled", values)
    cache.delete("recycled")


def touch(path: str) -> list[int]:
    """Nanoseconds of a first touch of "array" by a new process; and its huge pages, in bytes."""

    def inside() -> list[int]:
        cache = attached(path)
        return [touched(cache.get("array", copy=False)), memory_of("self", "ShmemPmdMapped")]

    return in_new_process(inside)


def touch_file(path: str) -> list[int]:
    """The same of a .npy file that is mapped."""
    import numpy

    return in_new_process(lambda: [touched(numpy.load(path, mmap_mode="r")), 0])


def hold(path: str) -> None:
    """Take "array" in place, read all of it, and keep it."""
    array = attached(path).get("array", copy=False)
    touched(array)
    _held.append(array)


def touched(array: Any) -> int:
    """Nanoseconds in which one byte of each 4 KiB of an array is read."""
    each = array.reshape(-1).view("u1")[::PAGE]
    began = time.perf_counter_ns()
    each.max()
    return time.perf_counter_ns() - began


def in_new_process(inside: Callable[[], list[int]]) -> list[int]:
    """What a fork child finds."""
    back, to = os.pipe()
    child = fork(lambda: os.write(to, json.dumps(inside()).encode()))
    os.close(to)
    with os.fdopen(back, encoding="ascii") as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    if status or not said:
        raise BrokenError(f"a new process ended with {status}")
    found: list[int] = json.loads(said)
    return found


def fork(inside: Callable[[], object]) -> int:
    """A child that does nothing else."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            inside()
            status = 0
        finally:
            os._exit(status)
    return child


def store_and_go(path: str, size: int, nbytes: int) -> None:
    """Store "array" in a new process, which ends then."""

    def inside() -> list[int]:
        store_array(path, size, nbytes)
        attached(path).close()
        return [nbytes]

    in_new_process(inside)


def held_by(path: str, count: int, size: int, nbytes: int) -> list[list[int]]:
    """Pss, and what of it is shared memory, of so many processes that hold "array" in place.

    They are forked from this one, as multiprocessing would.  With a size, the first stores it.
    """
    wait, end = os.pipe()
    children = []
    for number in range(count):
        back, to = os.pipe()

        def inside(first: bool = bool(size) and number == 0, to: int = to) -> None:
            os.close(end)
            if first:
                store_array(path, size, nbytes)
            hold(path)
            os.write(to, b"x")
            os.read(wait, 1)

        children.append(fork(inside))
        os.close(to)
        os.read(back, 1)  # or its end
        os.close(back)
    found = [[memory_of(child, "Pss"), memory_of(child, "Pss_Shmem")] for child in children]
    os.close(end)
    os.close(wait)
    ends = [os.waitpid(child, 0)[1] for child in children]
    if any(ends):
        raise BrokenError("one of the processes that were to hold the array has failed")
    return found


COMMANDS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (store_array, store_frame, store_and_go, recycle, touch, touch_file, held_by)
}


def serve() -> None:
    """Obey each line, until there is no more."""
    import numpy  # noqa: F401 - before the first fork

    import plib_cache  # noqa: F401

    if sys.argv[1] == "small":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    for line in sys.stdin:
        command, *words = json.loads(line)
        print(json.dumps(COMMANDS[command](*words)), flush=True)


if __name__ == "__main__":
    serve()
