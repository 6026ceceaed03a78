# SPDX-License-Identifier: BSD-3-Clause
"""dask: a cluster whose workers share their memory, next to one whose workers do not.

Both clusters are there at the same time, with workers that are processes, and take turns.  The
active memory manager is off, as it drops the copies that are counted.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench import MIB, Bench, module
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.neighbour import memory_of
from benchmarks.turns import Candidate, take_turns

STOCK, OURS = "distributed", "ours"
CONFIG = {
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.memory.target": False,  # nothing is spilled in either of them
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


def _work() -> Any:
    """What workers do; it cannot be imported without dask."""
    return module("benchmarks.dask_work")


class Cluster:
    """Workers that are processes, and a client."""

    def __init__(self, client: Any, shares: bool = True) -> None:
        self.client = client
        self.shares = shares  # whether its workers share a region
        self.workers: list[str] = sorted(client.sync(client.scheduler.identity)["workers"])
        self.pids: dict[str, int] = client.run(os.getpid)

    def on(self, worker: int, function: Callable[..., Any], *args: Any) -> Any:
        """A future of a call on a worker, which is done."""
        distributed = module("distributed")
        made = self.client.submit(function, *args, workers=[self.workers[worker]], pure=False)
        distributed.wait(made)
        return made

    def pss(self) -> int:
        """The workers' memory, what is shared by n of them counted as an n-th for each; bytes."""
        return sum(memory_of(pid, "Pss") for pid in self.pids.values())

    def computed(self) -> float:
        """Seconds of processors that the workers have had."""
        times = [module("psutil").Process(pid).cpu_times() for pid in self.pids.values()]
        return float(sum(one.user + one.system for one in times))


@contextlib.contextmanager
def cluster(path: Path | None, workers: int, size: int = 0, **plugin: Any) -> Iterator[Cluster]:
    """A cluster; path: of the region that its workers share, None: they share none."""
    dask, distributed = module("dask"), module("distributed")
    with (
        dask.config.set(CONFIG),
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=0
        ) as made,
        distributed.Client(made, timeout=120) as client,
    ):
        client.wait_for_workers(workers, timeout=120)
        if path is not None:
            integration = module("plib_cache.integrations.dask")
            client.register_plugin(integration.PlibCachePlugin(path=path, size=size, **plugin))
        yield Cluster(client, path is not None)


@contextlib.contextmanager
def both(bench: Bench, workers: int, size: int) -> Iterator[dict[str, Cluster]]:
    """The two clusters, by name."""
    bench.room(2 * size)
    with cluster(bench.fresh("dask"), workers, size) as ours, cluster(None, workers) as stock:
        yield {OURS: ours, STOCK: stock}


def rounds(bench: Bench) -> int:
    """Fewer than of what takes microseconds."""
    return min(bench.rounds, 9)


def _turns(
    bench: Bench, clusters: dict[str, Cluster], sample: Callable[[Cluster], float]
) -> dict[str, list[float]]:
    made = {name: functools.partial(sample, one) for name, one in clusters.items()}
    return take_turns(made, rounds(bench), seconds=60.0)


def replicate(bench: Bench, work: str) -> list[Line]:
    """An array of 400 MB gets to all four workers; and what it takes of memory there."""
    nbytes = bench.scaled(400 * MIB, 4 * MIB)

    def sample(settled: bool) -> Callable[[Cluster], float]:
        def taken(one: Cluster) -> float:
            made = one.on(0, _work().array, nbytes)
            if settled and one.shares:
                one.client.run(_work().settle)
            began = time.perf_counter()
            one.client.replicate([made])
            return (time.perf_counter() - began) * 1e3

        return taken

    def copies(one: Cluster) -> float:
        for at in range(len(one.workers)):
            one.on(at, _work().array, MIB)  # what they have to import does not count
        before = one.pss()
        made = one.on(0, _work().array, nbytes)
        one.client.replicate([made])
        read = [one.on(at, _work().read, made) for at in range(len(one.workers))]
        taken = (one.pss() - before) / nbytes
        del made, read
        return taken

    with both(bench, 4, 4 * nbytes + 256 * MIB) as clusters:
        memory = {name: copies(one) for name, one in clusters.items()}  # first: nothing is there
        samples = _turns(bench, clusters, sample(settled=True))
        hasty = _turns(bench, clusters, sample(settled=False))
    held = Line(f"{work}, memory of the workers (PSS)", unit="copies",
                ours=Spread.of([memory[OURS]]), goal=Goal(most=1.1, unit="copies"))  # fmt: skip
    held.facts.append(f"{memory[STOCK]:.2f} copies with distributed's own")
    return [
        *(
            compared(what, STOCK, taken[OURS], taken[STOCK], unit="ms", goal=Goal(least=50))
            for what, taken in ((work, samples), (f"{work}, in the moment it is made", hasty))
        ),
        held,
    ]


def fetch(bench: Bench, work: str) -> list[Line]:
    """A worker gets an array that another one has: as dask logs it, and the whole task."""
    nbytes = bench.scaled(64 * MIB, 4 * MIB)

    def taken(clusters: dict[str, Cluster], settled: bool) -> tuple[Any, Any]:
        """Milliseconds of the transfers, and of the tasks."""
        whole: dict[str, list[float]] = {OURS: [], STOCK: []}

        def candidate(name: str, one: Cluster) -> Candidate:
            def sample() -> float:
                made = one.on(0, _work().array, nbytes)
                if settled and one.shares:
                    one.client.run(_work().settle)
                began = time.perf_counter()
                seen = one.on(1, _work().touch, made)
                whole[name].append((time.perf_counter() - began) * 1e3)
                address = one.workers[1]
                took = one.client.run(_work().last_transfer, workers=[address])[address]
                del seen
                return float(took) * 1e3

            return sample

        made = {name: candidate(name, one) for name, one in clusters.items()}
        samples = take_turns(made, rounds(bench), seconds=60.0)
        return samples, {name: found[1:] for name, found in whole.items()}  # one does not count

    with both(bench, 2, 8 * nbytes + 256 * MIB) as clusters:
        lies, tasks = taken(clusters, settled=True)
        hasty, _ = taken(clusters, settled=False)

    def line(what: str, found: Any, goal: Goal | None = None) -> Line:
        return compared(what, STOCK, found[OURS], found[STOCK], unit="ms", goal=goal)

    return [
        line(work, lies, Goal(least=10)),
        line(f"{work}, in the moment it is made", hasty, Goal(least=10)),
        line(f"{work}, with a task that reads a byte", tasks),
    ]


def exchange(bench: Bench, work: str) -> list[Line]:
    """Computations that move much of their data from worker to worker."""
    side = 8000 if bench.scale == 1 else 400
    rows = bench.scaled(4_000_000, 10_000)
    parts: dict[str, Callable[[Cluster], float]] = {
        "x + x.T": lambda one: _work().transposed(one.client, side),
        "groupby with a shuffle": lambda one: _work().grouped(one.client, rows),
    }
    lines = []
    with both(bench, 2, 4 << 30 if bench.scale == 1 else 256 * MIB) as clusters:
        for part, sample in parts.items():
            samples = _turns(bench, clusters, sample)
            goal = Goal(least=1 if part == "x + x.T" else 0.95)
            lines.append(compared(f"{work}, {part}", STOCK, samples[OURS], samples[STOCK],
                                  unit="ms", goal=goal))  # fmt: skip
    return lines


def tiny(bench: Bench, work: str) -> list[Line]:
    """100,000 tasks that do nothing, in five graphs: the time, and what workers compute of it."""
    tasks = bench.scaled(20_000, 100)
    computed: dict[str, list[float]] = {OURS: [], STOCK: []}

    def candidate(name: str, one: Cluster) -> Candidate:
        def sample() -> float:
            before = one.computed()
            took = _work().many(one.client, tasks)
            computed[name].append((one.computed() - before) * 1e3)
            return float(took)

        return sample

    with both(bench, 2, 256 * MIB) as clusters:
        made = {name: candidate(name, one) for name, one in clusters.items()}
        samples = take_turns(made, min(bench.rounds, 5))
    shares = {name: found[1:] for name, found in computed.items()}  # one round does not count
    goal = Goal(most=1.02)
    return [
        compared(work, STOCK, samples[OURS], samples[STOCK], unit="ms",
                 direction="ours / theirs", goal=goal),
        compared(f"{work}, processor time of the workers", STOCK, shares[OURS], shares[STOCK],
                 unit="ms", direction="ours / theirs", goal=goal),
    ]  # fmt: skip


@contextlib.contextmanager
def nodes(bench: Bench, n: int) -> Iterator[Cluster]:
    """A cluster whose workers have a region each, as those of different machines have."""
    dask, distributed = module("dask"), module("distributed")
    integration = module("plib_cache.integrations.dask")

    def worker(path: Path) -> dict[str, Any]:
        plugin = integration.PlibCachePlugin(path=path, size=256 * MIB)
        options = {"nthreads": 1, "dashboard_address": ":0", "plugins": [plugin]}
        return {"cls": distributed.Nanny, "options": options}

    workers = {at: worker(bench.fresh("node")) for at in range(n)}
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard_address": ":0"}}
    with (
        dask.config.set(CONFIG),
        distributed.SpecCluster(workers=workers, scheduler=scheduler) as made,
        distributed.Client(made, timeout=120) as client,
    ):
        client.wait_for_workers(n, timeout=120)
        while set(client.run(_work().others).values()) != {n - 1}:
            time.sleep(0.1)
        yield Cluster(client)


def far(bench: Bench, work: str) -> list[Line]:
    """Values of 80 KB that another node has, against a round trip of dask's own rpc."""
    count = bench.scaled(200, 4)
    with nodes(bench, 2) as one:
        client, (first, second) = one.client, one.workers
        client.run(_work().answer_rpc, workers=[first])
        keys = client.submit(_work().store_for_others, count, workers=[first]).result()
        found = client.submit(_work().far_and_rpc, first, keys, workers=[second]).result()
    return [
        compared(work, "rpc of 80 KB", found["far"], found["rpc"], unit="ms",
                 direction="ours / theirs", goal=Goal(most=3))
    ]  # fmt: skip


def second(bench: Bench, work: str) -> list[Line]:
    """A cluster computes what one before it has computed."""
    tasks = bench.scaled(16, 2)
    logs = {name: bench.fresh(f"log-{name}") for name in (OURS, STOCK)}
    path, integration = bench.fresh("kept"), module("plib_cache.integrations.dask")

    def compute(one: Cluster, log: Path) -> float:
        began = time.perf_counter()
        result = _work().graph(str(log), tasks)
        found = integration.reuse(one.client, result) if one.shares else None
        one.client.compute(result).result()
        took = (time.perf_counter() - began) * 1e3
        del found
        return took

    with cluster(path, 2, 256 * MIB, keep=("*",)) as one:
        compute(one, logs[OURS])
    logs[OURS].write_text("", encoding="ascii")
    samples: dict[str, list[float]] = {OURS: [], STOCK: []}
    for _ in range(min(bench.rounds, 3)):
        with cluster(path, 2, 256 * MIB, keep=("*",)) as one:
            samples[OURS].append(compute(one, logs[OURS]))
        with cluster(None, 2) as one:
            samples[STOCK].append(compute(one, logs[STOCK]))
    computed = Line(f"{work}, tasks computed", unit="tasks",
                    ours=Spread.of([logs[OURS].stat().st_size]),
                    goal=Goal(most=0, unit="tasks"))  # fmt: skip
    return [
        compared(work, STOCK, samples[OURS], samples[STOCK], unit="ms", goal=Goal(least=20)),
        computed,
    ]
