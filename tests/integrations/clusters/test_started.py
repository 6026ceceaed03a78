# SPDX-License-Identifier: BSD-3-Clause
"""Workers that are started by hand, one by one: ``dask worker --preload``, with their nannies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dask_tasks as tasks
import pytest
from distributed import Client
from waiting import HANG_S, wait_until

import plib_cache
from plib_cache.integrations.dask import PlibCachePlugin

from .conftest import Workers

TESTS = Path(__file__).parents[2]
HANGS = 4 * HANG_S


class Started:
    """A scheduler and workers, each with its nanny, as programs of their own."""

    def __init__(self, folder: Path, region: Path) -> None:
        self.folder = folder
        self.region = region
        self.processes: list[subprocess.Popen[bytes]] = []
        self.file = folder / "scheduler.json"
        self._log = (folder / "log").open("ab")
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        for address in ("127.0.0.1", "127.0.0.2"):  # both are this machine
            self.start_worker(address)

    def start_worker(self, address: str) -> None:
        """One more."""
        self._start(
            *("worker", "--host", address, "--nthreads", "1", "--no-dashboard"),
            *("--preload", "plib_cache.integrations.dask", "--memory-limit", "0"),
            *("--local-directory", str(self.folder), "--name", str(len(self.processes))),
        )

    def _start(self, *command: str) -> None:
        environment = {
            **os.environ,
            "DASK_PLIB_CACHE__PATH": str(self.region),
            "DASK_PLIB_CACHE__SIZE": "64MiB",
            "DASK_PLIB_CACHE__KEEP__PREFIXES": "['slow']",
            "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "False",
            "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(TESTS)])),
        }
        self.processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "dask", *command, "--scheduler-file", str(self.file)],
                env=environment,
                cwd=self.folder,
                stdout=self._log,
                stderr=self._log,
            )
        )

    def close(self) -> list[int]:
        """End the workers, as ``dask worker`` is ended; how each did."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(HANGS)
            finally:
                process.kill()
        self._log.close()
        return [process.wait() for process in self.processes]


@pytest.fixture
def started(folder: Path, tmp_path: Path) -> Iterator[Started]:
    """A scheduler and two workers."""
    made = Started(tmp_path, folder / "by-hand")
    try:
        yield made
    finally:
        made.close()


def passed_on(workers: Workers, number: int) -> dict[str, float]:
    """What was counted while one worker fetched from the other one."""
    first, second = workers.addresses
    before = workers.counts("taken", "handed", "placed", "strangers")
    made = workers.client.submit(tasks.numbers, number, workers=[first])
    seen = workers.client.submit(tasks.total, made, workers=[second])
    assert seen.result(60) == tasks.total(tasks.numbers(number))
    after = workers.counts("taken", "handed", "placed", "strangers")
    return {name: after[name] - before[name] for name in after}


BY_REFERENCE = {"taken": 1, "handed": 1, "placed": 1, "strangers": 0}


def test_workers_that_are_started_by_hand(started: Started) -> None:
    """They share the region of the configuration, whatever their addresses; restarted ones, too."""
    wait_until(started.file.exists, "the scheduler", 4)
    with Client(scheduler_file=str(started.file), timeout=60) as client:
        client.wait_for_workers(2, timeout=HANGS)
        workers = Workers(None, client, started.region)  # type: ignore[arg-type]
        assert len({address.rpartition(":")[0] for address in workers.addresses}) == 2
        assert passed_on(workers, 1) == BY_REFERENCE
        assert client.submit(tasks.slow, 1).result(60) == 2
        assert workers.counts("kept") == {"kept": 1}
        client.register_plugin(PlibCachePlugin(path=started.region))  # what they have already
        assert passed_on(workers, 2) == BY_REFERENCE
        with pytest.raises(plib_cache.ConfigurationError, match="already, and cannot"):
            client.register_plugin(PlibCachePlugin(path=started.region.with_name("other")))
        assert passed_on(workers, 3) == BY_REFERENCE
        before = workers.addresses
        killed = client.run(os.getpid, workers=before[:1])[before[0]]
        os.kill(killed, signal.SIGKILL)  # its nanny starts another one

        def two_others() -> bool:
            return len(workers.addresses) == 2 and workers.addresses != before

        wait_until(two_others, "the nanny", 4, pause=0.05)
        assert killed not in client.run(os.getpid).values()
        assert passed_on(workers, 4) == BY_REFERENCE
        client.restart(timeout=HANGS)
        wait_until(lambda: len(workers.addresses) == 2, "the workers", 4, pause=0.05)
        assert passed_on(workers, 5) == BY_REFERENCE
    assert started.close() == [0, 0, 0]

    def nothing_is_held() -> bool:
        """Who attaches finds the dead: a worker may end behind its nanny, without letting go."""
        with plib_cache.Cache(path=started.region) as cache:
            return cache.stats().leased == 0

    wait_until(nothing_is_held, "what is held", pause=0.05)
    with plib_cache.Cache(path=started.region) as cache:
        assert len(cache) == 1  # the result that is kept
        wait_until(lambda: cache.stats().used < tasks.MIB, "the memory of arrays")
        assert cache.check() == []
    assert sorted(one.name for one in started.region.parent.iterdir()) == [started.region.name]
