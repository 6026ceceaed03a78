# SPDX-License-Identifier: BSD-3-Clause
"""What the rows of ``dask_rows`` have workers and clients do; imported by the workers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import dask
import dask.dataframe
import distributed

_dd: Any = dask.dataframe
_delayed: Any = vars(dask)["delayed"]
_wait: Any = distributed.wait


def array(nbytes: int) -> Any:
    """That many bytes of an array, written."""
    import numpy as np

    return np.full(nbytes // 8, time.perf_counter())


def read(value: Any) -> float:
    """Read all of an array."""
    return float(value.sum())


def touch(value: Any) -> float:
    """Read one item of an array."""
    return float(value[-1])


async def settle(dask_worker: Any) -> None:
    """Wait until a worker has put what it has computed into the region, as it does when idle."""
    while dask_worker.extensions["plib_cache"].placing.pending:
        await asyncio.sleep(0.001)


def last_transfer(dask_worker: Any) -> float:
    """Seconds that the last transfer to a worker took, as dask has logged it."""
    return float(dask_worker.transfer_incoming_log[-1]["duration"])


def nothing(number: int) -> int:
    """As little as a task can do."""
    return number


def many(client: Any, tasks: int) -> float:
    """Milliseconds of that many tasks that do nothing; they are forgotten when this returns."""
    began = time.perf_counter()
    made = client.map(nothing, range(tasks), pure=False)
    _wait(made)
    took = time.perf_counter() - began
    del made
    while client.run_on_scheduler(_tasks):
        time.sleep(0.05)
    return took * 1e3


def _tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def transposed(client: Any, side: int) -> float:
    """Milliseconds of x + x.T, of an array that is there."""
    import dask.array as da

    x = client.persist(da.random.random((side, side), chunks=(side // 4, side // 4)))
    _wait(x)
    began = time.perf_counter()
    made = client.persist(x + x.T)
    _wait(made)
    return (time.perf_counter() - began) * 1e3


def grouped(client: Any, rows: int) -> float:
    """Milliseconds of a groupby whose groups are brought together by a shuffle."""
    import numpy as np
    import pandas as pd

    def part(number: int) -> pd.DataFrame:
        chance = np.random.default_rng(number)
        n = rows // 8
        return pd.DataFrame({"k": chance.integers(0, n // 4, n), "v": chance.random(n)})

    meta = part(0).head(0)
    frame = client.persist(_dd.from_map(part, range(8), meta=meta))
    _wait(frame)
    began = time.perf_counter()
    found = client.compute(frame.groupby("k").v.sum(split_out=8, shuffle_method="tasks").sum())
    _wait(found)
    return (time.perf_counter() - began) * 1e3


def others(dask_worker: Any) -> int:
    """How many other nodes a worker knows."""
    return len(dask_worker.extensions["plib_cache"].nodes.others)


_FAR = 80_000


async def _echo(payload: bytes) -> Any:
    from distributed.protocol.serialize import Serialize

    return Serialize(payload)  # type: ignore[no-untyped-call]


def answer_rpc(dask_worker: Any) -> None:
    """Have a worker answer with 80 KB."""
    payload = bytes(_FAR)
    dask_worker.handlers["benchmark_echo"] = lambda: _echo(payload)


def store_for_others(count: int) -> list[str]:
    """That many values of 80 KB, which are at home where they are stored; their keys."""
    import plib_cache

    cache: Any = plib_cache.get_cache()
    nodes: Any = distributed.get_worker().extensions["plib_cache"].nodes
    keys = [key for key in (f"far-{n}" for n in range(8 * count)) if nodes.is_home(key)][:count]
    for key in keys:
        cache[key] = bytes(_FAR)
    if not cache.wait_remote(60):
        raise RuntimeError("what was stored did not arrive")
    return keys


def far_and_rpc(address: str, keys: list[str]) -> dict[str, list[float]]:
    """Milliseconds of a look at another node, and of its rpc, by turns."""
    from distributed.utils import sync

    import plib_cache

    worker: Any = distributed.get_worker()
    cache = plib_cache.get_cache()
    found: dict[str, list[float]] = {"far": [], "rpc": []}
    for key in keys:
        began = time.perf_counter()
        sync(worker.loop, worker.rpc(address).benchmark_echo)
        between = time.perf_counter()
        value = cache.get(key)
        ended = time.perf_counter()
        if value is None or len(value) != _FAR:
            raise RuntimeError(f"{key} was not found")
        found["rpc"].append((between - began) * 1e3)
        found["far"].append((ended - between) * 1e3)
    return found


def heavy(number: int, log: str) -> float:
    """Some tenths of a second of work, noted in a file."""
    import numpy as np

    with open(log, "a", encoding="ascii") as file:  # noqa: PTH123 - a path that is data
        file.write("x")
    noise = np.random.default_rng(number).normal(size=(500, 500))
    return float(np.abs(np.linalg.eigvals(noise)).max())


def largest(values: list[float]) -> float:
    """What is made of all of them."""
    return max(values)


def graph(log: str, tasks: int) -> Any:
    """The same work at each call."""
    parts = [_delayed(heavy, pure=True)(number, log) for number in range(tasks)]
    return _delayed(largest, pure=True)(parts)
