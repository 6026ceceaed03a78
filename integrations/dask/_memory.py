# SPDX-License-Identifier: BSD-3-Clause
"""The memory of a worker, without that of the region.

A page of the region is in the resident set of each process that has looked at it, though it is
there once, and goes away with none of them.  dask would pause, spill and kill workers for it.  So
it is taken off what the worker measures of itself (which the scheduler is told), and off what its
nanny measures of it.  Pages that a worker has written to (copy on write) are its own, and count.

Linux tells the shared pages of a process at once, in all; which of them are the region's takes a
walk over all its mappings, which is done now and then, where there are many more or fewer of them
than at the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import re
import time
from pathlib import Path
from typing import Any

from distributed.core import Status
from distributed.diagnostics.plugin import NannyPlugin

from plib_cache.integrations.dask._counts import logger
from plib_cache.integrations.dask._region import Proof

_WALK_S = 10.0  # between two walks
_NOTICED = 16 << 20  # bytes that are worth one
_ASK_S = 30.0  # for a nanny to answer
_STARTING_S = 0.05  # between looks whether a worker has started
_NUMBER = re.compile(rb"^(\w+):\s+(\d+) kB", re.M)
NANNY_PLUGIN = "plib-cache-memory"


class Resident:
    """What a process has of a region in its resident set."""

    def __init__(self, pid: int | str, device: int, inode: int) -> None:
        self._folder = Path("/proc") / str(pid)
        self._file = (f"{os.major(device):02x}:{os.minor(device):02x}".encode(), b"%d" % inode)
        self._walked = -_WALK_S
        self._found = -_NOTICED  # shared bytes at the last walk
        self._others = 0  # those that are not the region's

    def nbytes(self) -> int:
        """The bytes; 0 if the process is gone."""
        try:
            shared = self._shared()
            now = time.monotonic()
            changed = abs(shared - self._found) >= _NOTICED
            if shared and changed and now >= self._walked + _WALK_S:
                self._walked, self._found = now, shared
                self._others = shared - self._walk()
        except OSError:
            return 0
        return max(0, shared - self._others)

    def _shared(self) -> int:
        """The pages of files and of shared memory, as the kernel keeps count of them."""
        status = (self._folder / "status").read_bytes()
        found = {name: int(kib) for name, kib in _NUMBER.findall(status)}
        return (found.get(b"RssFile", 0) + found.get(b"RssShmem", 0)) << 10

    def _walk(self) -> int:
        kib, ours = 0, False
        for line in (self._folder / "smaps").read_bytes().splitlines():
            words = line.split()
            if not words[0].endswith(b":"):  # a mapping: range, access, offset, device, inode
                ours = (words[3], words[4]) == self._file
            elif ours and words[0] == b"Rss:":
                kib += int(words[1])
            elif ours and words[0] == b"Anonymous:":  # written to, by this process alone
                kib -= int(words[1])
        return kib << 10


class Corrected:
    """The monitor of a worker, corrected until ``undo``."""

    def __init__(self, worker: Any, proof: Proof) -> None:
        self._monitor = worker.monitor
        measure = worker.monitor.get_process_memory
        resident = Resident("self", proof.device, proof.inode)
        self._monitor.get_process_memory = lambda: max(0, measure() - resident.nbytes())

    def undo(self) -> None:
        """Have it as it was."""
        with contextlib.suppress(AttributeError):
            del self._monitor.get_process_memory


class NannyMemory(NannyPlugin):
    """Has a nanny ask for its worker's own memory before it ends it."""

    name = NANNY_PLUGIN

    def __init__(self, proof: Proof) -> None:
        self.proof = proof

    def setup(self, nanny: Any) -> None:
        """Ask before the nanny's own look at the memory; once."""
        callback = nanny.periodic_callbacks.get("memory_monitor")
        if callback is None or isinstance(callback.callback, _Asking):  # no limit; or done
            return
        callback.callback = _Asking(nanny, callback.callback, self.proof)

    def teardown(self, nanny: Any) -> None:
        """Have it as it was."""
        callback = nanny.periodic_callbacks.get("memory_monitor")
        if callback is not None and isinstance(callback.callback, _Asking):
            callback.callback = callback.callback.original


class _Asking:
    """A nanny's look at the memory of its worker, where that has too much without the region."""

    def __init__(self, nanny: Any, original: Any, proof: Proof) -> None:
        self.nanny = nanny
        self.original = original
        self.proof = proof
        self._resident: dict[int, Resident] = {}

    def __call__(self) -> Any:
        manager, process = self.nanny.memory_manager, self.nanny.process
        pid = getattr(getattr(process, "process", None), "pid", None)
        if pid is None or not manager.memory_limit:
            return self.original()
        limit = manager.memory_limit * manager.memory_terminate_fraction
        try:
            pages = int((Path("/proc") / str(pid) / "statm").read_bytes().split()[1])
        except OSError:
            return self.original()
        rss = pages * os.sysconf("SC_PAGE_SIZE")
        if rss <= limit or rss - self._of(pid).nbytes() <= limit:
            return None
        return self.original()

    def _of(self, pid: int) -> Resident:
        if pid not in self._resident:
            self._resident = {pid: Resident(pid, self.proof.device, self.proof.inode)}
        return self._resident[pid]


def starting(worker: Any) -> bool:
    """Whether a worker has not started yet."""
    lock = getattr(worker, "_startup_lock", None)
    return worker.status is Status.init or (lock is not None and lock.locked())


async def tell_nanny(worker: Any, proof: Proof) -> None:
    """Have the nanny of a worker, if it has one, not count the region; a failure is told.

    A nanny answers nobody before its worker has started, so this is to run beside that.
    """
    if not worker.nanny:
        return
    plugin = pickle.dumps(NannyMemory(proof))
    try:
        while starting(worker):
            await asyncio.sleep(_STARTING_S)
        asked = worker.rpc(worker.nanny).plugin_add(plugin=plugin, name=NANNY_PLUGIN)
        answer = await asyncio.wait_for(asked, _ASK_S)
        if answer.get("status") != "OK":
            raise RuntimeError(answer.get("exception_text", answer))
    except Exception as error:
        logger.warning(
            "plib_cache: the nanny of this worker counts shared memory as the worker's (%s: %s)",
            type(error).__name__,
            error,
        )
