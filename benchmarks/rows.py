# SPDX-License-Identifier: BSD-3-Clause
"""The table of everything that is measured, and the choice of some of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import (
    call_rows,
    dask_rows,
    holding,
    instruction_rows,
    joblib_rows,
    key_rows,
    large_reading,
    large_writing,
    memory_rows,
    native_hot,
    native_large,
    opening,
    overhead,
    paper,
    policy_rows,
    python_rows,
    remote_rows,
    scale_rows,
    serve_rows,
    sizes,
    start_rows,
    trace_rows,
)
from benchmarks.bench import MIB, Bench
from benchmarks.figures import Line


@dataclass(frozen=True)
class Row:
    """One thing that is measured in one interleaved run; gives one line for each peer."""

    name: str
    work: str
    run: Callable[[Bench], list[Line]]
    axis: str = ""  # of the plot of lines that have ``at``: what it is, and its unit ("records")
    long: bool = False  # takes more than a minute even in a few rounds: only in make bench-full


def hot(name: str, operation: str, work: str, lmdb: float | None, memcached: float | None) -> Row:
    """A row of ``native_hot``."""
    run = partial(native_hot.hot, operation=operation, work=work, lmdb=lmdb, memcached=memcached)
    return Row(name, work, run)


def row(
    measured: Callable[..., list[Line]],
    name: str,
    work: str,
    axis: str = "",
    long: bool = False,
    **options: Any,
) -> Row:
    """A row of a function that is told what the line is called."""
    return Row(name, work, partial(measured, work=work, **options), axis, long)


ROWS = [
    hot("c-get-hot", "get", "C get 128 B, 1,000 hot keys", 2.5, 150),
    hot("c-miss-hot", "miss", "C get of an absent key, hot", None, None),
    hot("c-set-hot", "set", "C set (replace) 128 B, hot", 6, 100),
    hot("c-delete-hot", "delete", "C delete, hot", 6, 120),
    hot("c-incr-hot", "incr", "C incr, hot", 6, 100),
    row(instruction_rows.instructions, "c-instructions", "instructions, C, 128 B"),
    row(native_large.random_gets, "c-get-1m", "C get random, 1 M records", records=1_000_000),
    row(native_large.random_gets, "c-get-10m", "C get random, 10 M records", records=10_000_000),
    row(sizes.records, "c-get-records", "C get random against the number of records",
        axis="records"),
    row(native_large.mixed, "c-two-processes-95",
        "2 processes, 1 M records, zipf 0.99, 95/5", gets=95, goal=3.5),
    row(native_large.mixed, "c-two-processes-50",
        "2 processes, 1 M records, zipf 0.99, 50/50", gets=50, goal=11),
    row(scale_rows.two, "scale-two-95", "1 to 2 processes, zipf 0.99, 95/5", gets=95),
    row(scale_rows.two, "scale-two-50", "1 to 2 processes, zipf 0.99, 50/50", gets=50),
    row(scale_rows.many, "scale-processes-95", "many processes, 95/5", axis="processes", gets=95),
    row(scale_rows.many, "scale-processes-50", "many processes, 50/50", axis="processes", gets=50),
    row(trace_rows.trace, "scale-trace-64g", "a web cache's trace, 64 GiB on paper",
        axis="records", program="ours-wide", size=64 << 30),
    row(trace_rows.trace, "scale-trace-1g", "a web cache's trace, 1 GiB in fact",
        axis="records", program="ours", size=1 << 30),
    row(native_large.threads, "c-threads", "2 threads of one process, get, C"),
    row(python_rows.plain, "py-get", "Python get 128 B", operation="get",
        goals={"py-lmdb": 4, "pylibmc": 60, "diskcache": 30}),
    row(python_rows.plain, "py-set", "Python set 128 B", operation="set",
        goals={"py-lmdb": 4, "pylibmc": 60, "diskcache": 60}),
    row(python_rows.threads, "py-threads", "2 threads of one process, get, Python"),
    row(python_rows.get_many, "py-get-many", "get_many of 100 keys"),
    row(python_rows.get_many, "py-get-many-1m", "get_many of 100 keys, random, 1 M records",
        records=1_000_000),
    row(python_rows.decorator, "py-decorator", "decorator hit, f(int)"),
    row(call_rows.plain, "py-call-get", "Python get 128 B, beside calls", operation="get"),
    row(call_rows.plain, "py-call-set", "Python set 128 B, beside calls", operation="set"),
    row(call_rows.get_many, "py-call-get-many", "get_many of 100 keys, beside calls"),
    row(call_rows.decorator, "py-call-decorator", "decorator hit, f(int), beside calls"),
    row(start_rows.imports, "start", "start: import plib_cache"),
    row(key_rows.array, "key-array", "key of a 64 MB array"),
    row(key_rows.frame, "key-frame", "key of a DataFrame of 100 k strings"),
    Row("open", "open a 1 GiB region / attach to it", opening.opening),
    Row("open-memory", "memory is taken only as it fills", opening.filling),
    row(holding.stopped, "c-stopped-get", "C get 128 B, hot, p99, the holder of a lock is stopped"),
    row(holding.takeover, "c-takeover", "C set of a new key, its lock's holder was just killed"),
    *(row(paper.paper, each.name, f"the paper's {each.work}", operation=each)
      for each in paper.OPERATIONS),
    row(paper.gate, "paper-gate", "what a call does more with the gate"),
    row(large_writing.put, "large-put", "put 64 MB into recycled memory"),
    row(large_reading.get, "large-get", "get(copy=False) of 64 MB, second process"),
    row(large_reading.touch, "large-touch", "first touch of 64 MB, new process"),
    row(large_reading.frames, "large-frame", "get(copy=False) of a DataFrame, 1 M rows x 10"),
    row(large_writing.reserve, "large-reserve", "reserve, fill and seal 64 MB"),
    row(large_reading.held, "large-held", "4 processes that hold the same 1 GiB (PSS)"),
    row(large_reading.lease, "large-lease", "a lease, taken and given back"),
    row(sizes.put, "large-size-put", "put of an array against its size",
        axis="size of the value, bytes"),
    row(sizes.get, "large-size-get", "get(copy=False) of an array against its size",
        axis="size of the value, bytes"),
    row(joblib_rows.small, "joblib-hit", "joblib hit, f(int), 128 B"),
    row(joblib_rows.array, "joblib-hit-1m", "joblib hit, array of 1 MB", nbytes=MIB, least=8),
    row(joblib_rows.array, "joblib-hit-64m", "joblib hit, array of 64 MB", nbytes=64 * MIB,
        least=50),
    row(joblib_rows.many, "joblib-many", "joblib, 100,000 small results"),
    row(joblib_rows.flight, "joblib-flight", "8 loky workers miss one key together"),
    row(joblib_rows.grid, "joblib-grid", "GridSearchCV over a Pipeline with memory="),
    row(dask_rows.replicate, "dask-replicate", "dask, 400 MB replicated to 4 workers"),
    row(dask_rows.fetch, "dask-fetch", "dask, 64 MB fetched by another worker of the node"),
    row(dask_rows.exchange, "dask-exchange", "dask, computation"),
    row(dask_rows.second, "dask-second", "dask, the same graph in a second cluster"),
    row(dask_rows.tiny, "dask-tiny", "dask, 100,000 tiny tasks", long=True),
    row(dask_rows.far, "dask-far", "dask, 80 KB found on another node"),
    row(remote_rows.hit, "remote-hit", "hit in a tier of memcached, 128 B"),
    row(remote_rows.loss, "remote-loss", "a node is lost", long=True),
    row(serve_rows.gets, "serve-many", "serve, multi-get of 100, 128 B", way="many"),
    row(serve_rows.gets, "serve-pipelined", "serve, 100 single gets at once, 128 B",
        way="pipelined"),
    row(serve_rows.gets, "serve-alone", "serve, one get and its answer, 128 B", way="alone"),
    row(serve_rows.two, "serve-two", "serve, 2 processes, multi-get of 100"),
    row(overhead.overhead, "memory-overhead", "overhead of 100 B under a key of 16 B"),
    row(memory_rows.memory, "memory-shares", "entries in a full pool", word="shares"),
    row(memory_rows.memory, "memory-hits", "hit ratio, pool a tenth of the data", word="zipf"),
    row(memory_rows.memory, "memory-mixed", "hit ratio, sizes mixed", word="mixed"),
    row(memory_rows.memory, "memory-overwrites", "resident after overwrites", word="working-set"),
    row(memory_rows.memory, "memory-incr", "resident after 10 M incr of one key",
        word="increments"),
    row(policy_rows.hits, "policy-hits", "hit ratio beside other policies"),
    row(policy_rows.seconds, "policy-seconds", "seconds saved beside other policies"),
    row(policy_rows.sizes, "policy-sizes", "hit ratio against size, zipf 1.0",
        axis="cache, % of the data"),
]  # fmt: skip


class UnknownRowError(Exception):
    """No row's name begins so."""


def select(wanted: str, rows: Sequence[Row] = ROWS) -> list[Row]:
    """The rows whose names begin with one of the names, separated by commas; empty: all."""
    prefixes = [name.strip() for name in wanted.replace(" ", ",").split(",") if name.strip()]
    unknown = [
        prefix for prefix in prefixes if not any(row.name.startswith(prefix) for row in rows)
    ]
    if unknown:
        names = "\n  ".join(row.name for row in rows)
        raise UnknownRowError(f"no row is called {', '.join(unknown)}; there are:\n  {names}")
    return [row for row in rows if not prefixes or row.name.startswith(tuple(prefixes))]
