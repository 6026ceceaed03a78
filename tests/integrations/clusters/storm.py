# SPDX-License-Identifier: BSD-3-Clause
"""Workers and nannies die by SIGKILL while values are handed over; all computations come out right.

    python tests/integrations/clusters/storm.py [--kills N] [--seed S]

Each worker is a ``dask worker`` of its own, with its nanny, and has the plugin by ``--preload``.
In each round arrays are made on some workers and summed on others, and one process dies: at a
moment of the hand-over that is chosen (see ``MOMENTS``), or at any.  Who did not come to that
moment is killed when the results are there.  In the end the region is sound, and all of its memory
can be used.  Prints what happened as JSON in the last line; a row for ``make soak``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import dask
import dask_tasks as tasks
import numpy as np
from distributed import Client, LocalCluster
from waiting import HANG_S, wait_until

import plib_cache

TIMES = 4  # of the usual limit for what hangs
WORKERS = 3
SIZE = "128MiB"
# Where the armed process dies: as the giver, when it puts a value into the region, when it
# describes it, or before the taker's "OK"; as the taker, before or after it has its lease, or when
# it is about to store the value; as one who is asked for its region; or at any moment.
MOMENTS = (
    *("before placing", "placed", "describing", "given", "before lease", "after lease"),
    *("storing", "asked", "any", "nanny"),
)


def arm(dask_worker: Any, moment: str) -> None:
    """Have a worker end itself at its next such moment."""
    cache = dask_worker.extensions["plib_cache"]
    store, hand_over = cache.store, cache._hand_over

    def dies(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def dies_after(function: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            dies(result)

        return wrapped

    before = {"before placing": "place", "before lease": "take", "storing": "arrived"}
    after = {"placed": "place", "after lease": "take"}
    if moment in before:
        setattr(store, before[moment], dies)
    elif moment in after:
        setattr(store, after[moment], dies_after(getattr(store, after[moment])))
    elif moment == "describing":
        store.proof = _Dying()
    elif moment == "asked":
        dask_worker.handlers["plib_cache_region"] = hand_over.region = dies
    elif moment == "given":
        original = hand_over._get_data

        async def get_data(*args: Any, **kwargs: Any) -> Any:
            running = asyncio.ensure_future(original(*args, **kwargs))
            await asyncio.sleep(0)
            dies()
            return await running

        hand_over._get_data = get_data


class _Dying:
    """Ends the process of who looks at it."""

    def __iter__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def kill(pid: int) -> bool:
    """End a process; False: it has ended already."""
    try:
        alive = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        os.kill(pid, signal.SIGKILL)
    except (OSError, ProcessLookupError):
        return False
    return alive


class Storm:
    """The workers, and what has become of them."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.started = 0
        self.nannies: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = self.in_time = 0  # in time: amid a round
        self.cluster = LocalCluster(n_workers=0, dashboard_address=":0")
        self.client = Client(self.cluster, timeout=60)

    def start_worker(self) -> None:
        """One more, with its nanny."""
        self.started += 1
        name = f"w{self.started}"
        command = [
            *(sys.executable, "-m", "distributed.cli.dask_worker", self.cluster.scheduler_address),
            *("--nthreads", "1", "--name", name, "--no-dashboard", "--memory-limit", "0"),
            *("--preload", "plib_cache.integrations.dask"),
            *("--local-directory", str(self.folder)),
        ]
        environment = {
            **os.environ,
            "DASK_PLIB_CACHE__PATH": str(self.folder / "region"),
            "DASK_PLIB_CACHE__SIZE": SIZE,
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
            "PYTHONPATH": os.pathsep.join([*sys.path]),
        }
        log = (self.folder / "log").open("ab")
        self.nannies[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def ready(self) -> dict[str, str]:
        """The workers' names and addresses, when all are there."""
        for name, process in list(self.nannies.items()):
            if process.poll() is not None:
                del self.nannies[name]
        while len(self.nannies) < WORKERS:
            self.start_worker()

        def all_there() -> dict[str, str] | None:
            told = tasks.workers_now(self.client)
            there = {one["name"]: address for address, one in told.items()}
            return there if set(there) == set(self.nannies) else None

        found: dict[str, str] = wait_until(all_there, "workers", TIMES, pause=0.02)
        return found

    def round(self, number: int) -> None:
        """Make, hand over, and have somebody die."""
        there = self.ready()
        moment = MOMENTS[number % len(MOMENTS)]
        name = self.random.choice(sorted(there))
        pid = self.nannies[name].pid
        if moment != "nanny":
            pid = self.client.run(os.getpid, workers=[there[name]])[there[name]]
        armed = moment not in ("any", "nanny")
        if armed:
            self.client.run(arm, moment=moment, workers=[there[name]])
        parts = [self.random.sample(range(6), 3) for _ in range(6)]
        made = self.client.map(
            tasks.numbers, range(number, number + 6), [2] * 6, pure=False, retries=20
        )
        sums = [
            self.client.submit(tasks.total, *[made[i] for i in part], pure=False, retries=20)
            for part in parts
        ]
        if not armed:
            time.sleep(self.random.random() * 0.3)  # a moment of chance, of which all are right
            kill(pid)
        values = self.client.gather(made + sums)
        arrays = [tasks.numbers(number + i, 2) for i in range(6)]
        for got, expected in zip(values[:6], arrays, strict=True):
            np.testing.assert_array_equal(got, expected)
        assert values[6:] == [tasks.total(*[arrays[i] for i in part]) for part in parts]
        self.in_time += not (armed and kill(pid))
        self.kills += 1

    def close(self) -> None:
        """End everything that was started."""
        self.client.close()
        for process in self.nannies.values():
            process.terminate()
        for process in self.nannies.values():
            try:
                process.wait(TIMES * HANG_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.cluster.close()


def all_fits(cache: plib_cache.Cache, half: int) -> bool:
    """Whether the whole pool can be had, for which whoever is dead is found out."""
    rooms = []
    try:
        rooms = [cache.reserve(f"half {i}", half) for i in range(2)]
    except plib_cache.RegionFullError:
        return False
    finally:
        for room in rooms:
            room.abort()
    return True


def usable(path: Path) -> dict[str, Any]:
    """What is wrong in a region that nobody uses any more, and whether all of it is there."""
    with plib_cache.Cache(path=path, in_place=1.0) as cache:
        faults = [str(one) for one in cache.check()]
        cache.clear()
        half = cache.info().value_max - (1 << 20)
        # workers may be about to end still
        wait_until(lambda: all_fits(cache, half), "pages that are lost", TIMES, pause=0.1)
        faults += [str(one) for one in cache.check()]
        stats = cache.stats()
        return {"faults": faults, "leased": stats.leased, "used": stats.used}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=500 if os.environ.get("SOAK") else 30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    kills = max(len(MOMENTS), options.kills * int(os.environ.get("ROUNDS", "100")) // 100)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="plib-cache-storm-") as name,
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 1000,
                "distributed.scheduler.active-memory-manager.start": False,
            }
        ),
    ):
        storm = Storm(options.seed, Path(name))
        try:
            for number in range(kills):
                storm.round(number)
        except BaseException:
            print((Path(name) / "log").read_text()[-20_000:])
            raise
        finally:
            storm.close()
        found = {
            "kills": storm.kills,
            "in time": storm.in_time,
            **usable(Path(name) / "region"),
        }
    fine = not (found["faults"] or found["leased"] or found["used"])
    if table := os.environ.get("SOAK_TABLE"):
        with Path(table).open("a") as rows:
            figures = (
                f"{found['kills']} workers and nannies killed, {found['in time']} of them amid a "
                f"computation; {12 * kills} results right"
            )
            rows.write(f"| dask: kills amid hand-overs | {figures} | {'ok' if fine else found} |\n")
    print(json.dumps(found))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
