# SPDX-License-Identifier: BSD-3-Clause
"""Shared memory counts for no worker: neither in its own eyes, nor in its nanny's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask_tasks as tasks
import numpy as np
import pytest
from distributed import wait
from waiting import wait_until

import plib_cache
from plib_cache.integrations.dask._memory import Resident

MIB = 1 << 20


def rss() -> int:
    """This process's resident set."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_the_regions(folder: Path) -> None:
    """The pages of the region are told apart from other shared memory, and from one's own."""
    with plib_cache.Cache(path=folder / "resident", size="128MiB") as cache:
        at = Path(cache.path).stat()
        cache["a"] = np.ones(4 * MIB)  # 32 MiB
        other = np.memmap(folder / "other", "u1", "w+", shape=16 * MIB)
        other[:] = 1
        own = cache.get("a", copy="cow")
        assert own.sum() == 4 * MIB
        before = Resident("self", at.st_dev, at.st_ino).nbytes()
        assert 32 * MIB <= before < 100 * MIB
        own += 1  # now they are this process's
        after = Resident("self", at.st_dev, at.st_ino).nbytes()
        assert before - 40 * MIB < after <= before - 30 * MIB
        assert rss() - after > 48 * MIB
        del other


def test_a_process_that_is_gone() -> None:
    """It has nothing."""
    assert Resident(2**22 + 1, 1, 1).nbytes() == 0


def test_a_worker_and_its_nanny(start: Any) -> None:
    """A worker of 600 MB that holds 8 shared arrays of 80 MB is neither paused nor ended."""
    workers = start(2, {"size": "1GiB"}, memory_limit="600MB")
    first, second = workers.addresses
    pids = set(workers.client.run(os.getpid).values())
    made = [
        workers.client.submit(np.full, 10_000_000, n, workers=[first if n % 2 else second])
        for n in range(8)
    ]
    for array in made:  # one after the other, so that no worker has two copies on the way
        wait(array)
    workers.client.replicate(made)

    def touch(dask_worker: Any) -> list[int]:
        held = dask_worker.extensions["plib_cache"].store.held
        sums = [int(dask_worker.data[one.key].sum()) for one in made]
        assert len(held) == 8
        return sums

    for sums in workers.client.run(touch).values():
        assert sums == [n * 10_000_000 for n in range(8)]

    def measured(dask_worker: Any) -> tuple[int, int, str, int]:
        monitor = dask_worker.monitor
        status = dask_worker.status.name
        return monitor.get_process_memory(), monitor.proc.memory_info().rss, status, os.getpid()

    for own, seen, status, _ in workers.client.run(measured).values():
        assert seen > 640_000_000  # more than 95 % of the limit: its nanny would end it
        assert own < 300_000_000
        assert status == "running"
    looks = [nanny.periodic_callbacks["memory_monitor"].callback for nanny in nannies(workers)]
    for look in looks:
        look()
    assert set(workers.client.run(os.getpid).values()) == pids


def test_a_task_whose_inputs_are_more_than_the_limit(start: Any) -> None:
    """It is refused by distributed itself, with its own words, and the worker goes on."""
    workers = start(1, {"size": "1GiB"}, memory_limit="600MB")
    (pid,) = workers.client.run(os.getpid).values()
    made = workers.client.map(np.full, [10_000_000] * 8, range(8))
    wait(made)
    refused = workers.client.submit(tasks.total, *made)
    with pytest.raises(MemoryError, match="worth of input dependencies"):
        refused.result(60)
    fine = workers.client.submit(tasks.total, *made[:6])
    assert fine.result(60) == sum(range(6)) * 10_000_000
    assert set(workers.client.run(os.getpid).values()) == {pid}


def nannies(workers: Any) -> list[Any]:
    """Of a LocalCluster."""
    return list(workers.cluster.workers.values())


def test_a_nanny_still_ends_who_takes_too_much(start: Any, eventually: Any) -> None:
    """Memory of its own counts as ever."""
    workers = start(1, {"size": "64MiB"}, memory_limit="400MB")
    (pid,) = workers.client.run(os.getpid).values()

    def take(dask_worker: Any) -> None:
        dask_worker.kept = np.ones(60_000_000)

    try:
        workers.client.run(take, on_error="ignore")
    except Exception:  # its connection may end meanwhile
        pass
    eventually(lambda: not Path(f"/proc/{pid}").exists() or state(pid) == "Z", "its end")


def state(pid: int) -> str:
    """Of a process: Z is one that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.parametrize("again", [False, True])
def test_without_the_plugin_all_is_as_before(start: Any, again: bool) -> None:
    """Unregistering gives monitor and mapping back, with the values; registering works again."""
    from plib_cache.integrations.dask import PlibCachePlugin

    workers = start(2)
    first, second = workers.addresses
    made = workers.client.submit(tasks.numbers, 4, workers=[first])
    workers.client.submit(tasks.total, made, workers=[second]).result()
    plugin = PlibCachePlugin(path=workers.path)
    workers.client.unregister_worker_plugin(plugin.name)

    def look(dask_worker: Any) -> list[Any]:
        return [
            "get_process_memory" in vars(dask_worker.monitor),
            hasattr(dask_worker.data, "_plib"),
            "plib_cache" in dask_worker.extensions,
            "plib_cache_region" in dask_worker.handlers,
            dask_worker.handlers["get_data"] == dask_worker.get_data,
            list(dask_worker.data) == [made.key],  # once the other task's result has been let go
        ]

    as_before = [[False, False, False, False, True, True]] * 2
    wait_until(lambda: list(workers.client.run(look).values()) == as_before, "all as before")
    if again:
        workers.client.register_plugin(plugin)
        other = workers.client.submit(tasks.numbers, 5, workers=[second])
        workers.client.submit(tasks.total, other, workers=[first], pure=False).result()
        assert workers.counts("taken") == {"taken": 1}
    third = workers.client.submit(tasks.total, made, pure=False)
    assert third.result() == tasks.total(tasks.numbers(4))
