# SPDX-License-Identifier: BSD-3-Clause
"""What others would have kept: a trace's hits under policies of libcachesim, and under two of ours.

Every policy is exact (nothing is sampled), has no overhead of its own and is given ``capacity``
bytes; a record takes its key and its value.  libcachesim's GDSF knows sizes, not costs, and its
Belady's answers are for records of one size; so there are, in Python:

- ``gdsf``: GreedyDual-Size-Frequency with cost.  What goes is what has the least of
  clock + uses x seconds / bytes, and the clock goes on to that.
- ``foreseen``: who knows the trace: what goes saves least for its bytes and the time to its next
  use.  No bound, as Belady's is where sizes are one, but about what can be had.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bench import module
from benchmarks.traces import KEY_BYTES, Trace

NEVER = (1 << 63) - 1
Hits = Any  # an array of bool, one for each request


def next_uses(trace: Trace) -> Any:
    """Of each request the number of the next one for the same; NEVER: there is none."""
    np = module("numpy")
    order = np.argsort(trace.ids, kind="stable")
    again = np.flatnonzero(trace.ids[order[1:]] == trace.ids[order[:-1]])
    uses = np.full(len(trace.ids), NEVER, np.int64)
    uses[order[again]] = order[again + 1]
    return uses


def simulated(policy: str, trace: Trace, capacity: int) -> Hits:
    """The hits of one of libcachesim's policies, request by request."""
    np = module("numpy")
    peers = module("libcachesim")
    cache, request = getattr(peers, policy)(capacity), peers.Request()
    sizes = (trace.nbytes + KEY_BYTES)[trace.ids]
    hits = bytearray(len(trace.ids))
    get = cache.get
    uses = next_uses(trace).tolist() if policy == "Belady" else None
    for i, (number, size) in enumerate(zip(trace.ids.tolist(), sizes.tolist(), strict=True)):
        request.obj_id, request.obj_size = number + 1, size
        if uses is not None:
            request.next_access_vtime = uses[i]
        hits[i] = get(request)
    return np.frombuffer(hits, bool)


def summed(policy: str, trace: Trace, capacity: int, folder: Path) -> float:
    """The part of hits in the second half, where requests alone are counted: in C, from a file."""
    np = module("numpy")
    peers = module("libcachesim")
    count = len(trace.ids)
    kind = [("at", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")]
    requests = np.zeros(count, np.dtype(kind))
    requests["at"], requests["id"] = np.arange(count), trace.ids.astype(np.uint64) + 1
    requests["size"] = (trace.nbytes + KEY_BYTES)[trace.ids]
    requests["next"] = next_uses(trace)
    path = folder / "trace.oracleGeneral.bin"
    requests.tofile(path)
    reader = peers.TraceReader(str(path), peers.TraceType.ORACLE_GENERAL_TRACE)
    cache = getattr(peers, policy)(capacity)
    cache.process_trace(reader, 0, count // 2)
    missed, _ = cache.process_trace(reader, count // 2, -1)
    path.unlink()
    return 1.0 - float(missed)


def _by_priority(trace: Trace, capacity: int, priority: Callable[[int, int, float], float]) -> Hits:
    """What goes is the record whose priority(number of the request, id, clock) was least."""
    np = module("numpy")
    sizes = (trace.nbytes + KEY_BYTES).tolist()
    hits = bytearray(len(trace.ids))
    kept: dict[int, float] = {}
    heap: list[tuple[float, int]] = []  # an entry that is not as in `kept` is stale
    used, clock = 0, 0.0
    for i, number in enumerate(trace.ids.tolist()):
        hits[i] = number in kept
        used += 0 if hits[i] else sizes[number]
        kept[number] = priority(i, number, clock)
        heapq.heappush(heap, (kept[number], number))
        while used > capacity:
            least, victim = heapq.heappop(heap)
            if kept.get(victim) == least:
                del kept[victim]
                used -= sizes[victim]
                clock = max(clock, least)
    return np.frombuffer(hits, bool)


def gdsf(trace: Trace, capacity: int) -> Hits:
    """The hits of GreedyDual-Size-Frequency with the trace's seconds as costs."""
    density: list[float] = (trace.seconds / (trace.nbytes + KEY_BYTES)).tolist()
    counts = [0] * len(density)

    def priority(_: int, number: int, clock: float) -> float:
        counts[number] += 1  # also over its absence: more than a real one would know
        return clock + counts[number] * density[number]

    return _by_priority(trace, capacity, priority)


def foreseen(trace: Trace, capacity: int) -> Hits:
    """The hits of who knows when each record is asked for next, and what a second costs."""
    density: list[float] = (trace.seconds / (trace.nbytes + KEY_BYTES)).tolist()
    uses: list[int] = next_uses(trace).tolist()

    def priority(i: int, number: int, _: float) -> float:
        return density[number] / max(1, uses[i] - i)

    return _by_priority(trace, capacity, priority)
