# SPDX-License-Identifier: BSD-3-Clause
"""What stays, beside what others' policies would keep: hits, seconds saved, hits against size.

A trace (``traces``) is replayed against a region, by replay.c: real entries, got, and stored after
a miss with what they cost.  Others (``policies``) are simulated with as many bytes as the region's
whole file has, and pay only for keys and values: our index, headers and fragments are our loss.
The first half fills, the second is counted.  These are counts, not times: one run says it all.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks import policies, traces
from benchmarks.bench import MIB, Bench, module
from benchmarks.figures import Goal, Line, compared
from benchmarks.programs import ROOT, BrokenError, MissingError, build
from benchmarks.traces import Trace
from plib_cache._costs import cost_code

SEED = 20261130
REGION = 16 * MIB
LEAST_REGION = 8 * MIB
LIMIT_S = 300  # for what hangs
PEERS = {"LRU": "LRU", "S3-FIFO": "S3FIFO", "SIEVE": "Sieve", "GDSF (sizes)": "GDSF"}
BEST = {"Belady, who knows the trace": "Belady"}
COSTED = {"GDSF with cost": policies.gdsf, "who knows trace and cost": policies.foreseen}
HITS_GOALS = {name: Goal(least=-1, unit="points") for name in ("LRU", "S3-FIFO")}
SECONDS_GOALS = {"LRU": Goal(least=1.1)}
CURVE = (4, 8, 16, 32, 64)  # MiB
CURVE_DATA = 160 * MIB


@dataclass(frozen=True)
class Kept:
    """What a replay against a region came to: each request's hit, and the region's counters."""

    hits: Any
    counters: dict[str, int]


@cache
def codes_of(seconds: tuple[float, ...]) -> Any:
    """The cost codes that the decorator would store."""
    return module("numpy").array([cost_code(each) for each in seconds], "<u4")


def replay(bench: Bench, trace: Trace, size: int, tree: Path = ROOT) -> Kept:
    """Replay a trace against a new region of ``size`` bytes, with a tree's core."""
    np = module("numpy")
    codes = codes_of(tuple(trace.seconds.tolist()))
    columns = [trace.ids, trace.nbytes[trace.ids], codes[trace.ids]]
    requests = np.stack(columns, axis=1).astype("<u4")
    done = subprocess.run(
        [build("replay", tree), bench.fresh("replay"), str(size)],
        input=requests.tobytes(), capture_output=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    said = done.stderr.decode()
    if done.returncode:
        raise BrokenError(f"replay ended with {done.returncode}: {said.strip()}")
    counters = {name: int(value) for name, value in map(str.split, said.splitlines())}
    return Kept(np.frombuffer(done.stdout, bool), counters)


def hit_percent(trace: Trace, hits: Any) -> float:
    """Of the requests of the second half."""
    return 100 * float(hits[len(trace.ids) // 2 :].mean())


def saved_percent(trace: Trace, hits: Any) -> float:
    """Of the seconds that the second half would take without a cache."""
    half = len(trace.ids) // 2
    seconds = trace.seconds[trace.ids[half:]]
    return 100 * float(seconds[hits[half:]].sum() / seconds.sum())


Judge = Callable[[str, str, float, float], Line]
Figure = Callable[[Trace, Any], float]


def points(work: str, peer: str, ours: float, theirs: float) -> Line:
    """A line of two hit ratios, in percent."""
    return compared(work, peer, [ours], [theirs], unit="%", direction="ours - theirs",
                    goal=HITS_GOALS.get(peer))  # fmt: skip


def times(work: str, peer: str, ours: float, theirs: float) -> Line:
    """A line of two parts of the seconds, in percent."""
    return compared(work, peer, [ours], [theirs], unit="%", direction="ours / theirs",
                    goal=SECONDS_GOALS.get(peer))  # fmt: skip


def beside(
    theirs: Mapping[str, Callable[[], float]], ours: float, line: Judge, work: str
) -> Iterator[Line]:
    """A line for each peer."""
    for peer, measured in theirs.items():
        try:
            yield line(work, peer, ours, measured())
        except MissingError as error:
            yield Line(work, peer, missing=str(error))


def alike(bench: Bench, trace: Trace, size: int) -> dict[str, Callable[[], float]]:
    """The peers' hits, in percent, where all records are of one size and cost nothing."""

    def summed(policy: str) -> float:
        return 100 * policies.summed(policy, trace, size, bench.folder)

    return {peer: partial(summed, policy) for peer, policy in {**PEERS, **BEST}.items()}


def memoized(trace: Trace, size: int, of: Figure) -> dict[str, Callable[[], float]]:
    """A figure of the peers, and of policies that know costs."""

    def simulated(policy: str) -> float:
        return of(trace, policies.simulated(policy, trace, size))

    def own(policy: Callable[[Trace, int], Any]) -> float:
        return of(trace, policy(trace, size))

    return {
        **{peer: partial(simulated, policy) for peer, policy in PEERS.items()},
        **{peer: partial(own, policy) for peer, policy in COSTED.items()},
    }


def facts(trace: Trace, kept: Kept, size: int) -> str:
    """What the figures of a trace rest on."""
    counters = kept.counters
    copied = counters["bytes_reinserted"] / max(1, counters["bytes_written"])
    return (
        f"{trace.name}, seed {trace.seed}: {len(trace.ids):,} requests for {len(trace.nbytes):,} "
        f"records of {trace.data_bytes / MIB:.0f} MiB, a region of {size / MIB:.0f} MiB with a "
        f"pool of {counters['pool_bytes'] / MIB:.1f}; {counters['evictions']:,} evicted, "
        f"{counters['evicted_visited_dropped']} of them in use, "
        f"{counters['stores_refused_full']} stores refused, {copied:.2f} bytes copied for each "
        "stored"
    )


def _region(bench: Bench) -> int:
    return REGION if bench.scale == 1 else LEAST_REGION


def hits(bench: Bench, work: str) -> list[Line]:
    """Hit ratios of every trace."""
    size = _region(bench)
    lines: list[Line] = []
    for make in (*traces.HITS, *traces.SECONDS):
        trace = make(size, SEED)
        kept = replay(bench, trace, size)
        costed = bool(trace.seconds.any())
        theirs = memoized(trace, size, hit_percent) if costed else alike(bench, trace, size)
        name = f"{work}: {trace.name}"
        mine = list(beside(theirs, hit_percent(trace, kept.hits), points, name))
        mine[0].facts = [facts(trace, kept, size)]
        lines += mine
    return lines


def seconds(bench: Bench, work: str) -> list[Line]:
    """The part of its seconds that each memoization trace saves."""
    size = _region(bench)
    lines: list[Line] = []
    for make in traces.SECONDS:
        trace = make(size, SEED)
        kept = replay(bench, trace, size)
        name = f"{work}: {trace.name}"
        ours = saved_percent(trace, kept.hits)
        lines += beside(memoized(trace, size, saved_percent), ours, times, name)
    return lines


def sizes(bench: Bench, work: str) -> list[Line]:
    """Hit ratios of one trace in caches from a fortieth of the data to four tenths of it."""
    part = 1 if bench.scale == 1 else 4
    trace = traces.zipf(CURVE_DATA // part // 10, SEED, 1.0)
    lines: list[Line] = []
    for mib in CURVE if part == 1 else CURVE[:-2]:
        size = mib * MIB
        ours = hit_percent(trace, replay(bench, trace, size).hits)
        for line in beside(alike(bench, trace, size), ours, points, work):
            line.at = round(100 * size / trace.data_bytes, 1)
            line.goal = None
            lines.append(line)
    return lines
