# SPDX-License-Identifier: BSD-3-Clause
"""Python, arrays of 64 MB: put, and filled in place."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from typing import Any

import plib_cache
from benchmarks.bench import Bench, not_measured
from benchmarks.figures import Goal, Line, compared
from benchmarks.large import ROOM, a_array, array_bytes, calm, huge_share, region, repeated
from benchmarks.large_peers import DISKCACHE, MEMCPY, PEERS, RAY, REDIS
from benchmarks.neighbour import Neighbour
from benchmarks.programs import MissingError
from benchmarks.timing import Work, piece
from benchmarks.turns import Candidate, take_turns

TRIES = 4  # of one sample, until one is not disturbed
PUT_GOALS = {MEMCPY: Goal(most=1.3), RAY: Goal(least=15), DISKCACHE: Goal(least=25),
             REDIS: Goal(least=40)}  # fmt: skip
ELSEWHERE, FILLED = "ours, other process", "fill, warm memory"


def put(bench: Bench, work: str) -> list[Line]:
    """``set`` of an array, again and again, into memory that this or another process has used."""
    nbytes = array_bytes(bench)
    bench.room(3 * ROOM * nbytes)
    array, missing = a_array(nbytes), dict[str, str]()
    with calm(bench), contextlib.ExitStack() as stack:
        path = bench.fresh("region")
        cache = stack.enter_context(region(path, ROOM * nbytes))
        cache.set("array", array)
        candidates = {"ours": repeated(bench, lambda: cache.set("array", array))}
        candidates[ELSEWHERE] = stack.enter_context(elsewhere(bench, array))
        for peer, enter in PEERS.items():
            try:
                candidates[peer] = repeated(bench, stack.enter_context(enter(bench, array)))
            except MissingError as error:
                missing[peer] = str(error)
        samples = take_turns(candidates, bench.rounds, 40)
        fact = huge_share(path, nbytes)
    lines = [put_line(work, "ours", peer, samples) for peer in PEERS if peer in samples]
    lines.insert(1, put_line(f"{work}, used by another process", ELSEWHERE, MEMCPY, samples))
    lines[0].facts.append(fact)
    return lines + [
        line
        for peer, reason in missing.items()
        for line in not_measured(work, {peer: reason}, goal=PUT_GOALS.get(peer))
    ]


def put_line(work: str, ours: str, peer: str, samples: dict[str, list[float]]) -> Line:
    """Against the limit it is told how much longer it takes, against others how much less."""
    return compared(
        work, peer, samples[ours], samples[peer], goal=PUT_GOALS.get(peer),
        direction="ours / theirs" if peer == MEMCPY else "theirs / ours",
    )  # fmt: skip


@contextlib.contextmanager
def elsewhere(bench: Bench, array: Any) -> Iterator[Candidate]:
    """Each put is the first of a new attachment, to a region that a neighbour has used."""
    path, size = bench.fresh("region"), ROOM * array.nbytes
    with Neighbour() as neighbour:
        neighbour.ask("recycle", path, size, array.nbytes, 2 * ROOM)

        def once() -> tuple[float, bool]:
            neighbour.ask("recycle", path, size, array.nbytes, 1)
            with plib_cache.Cache(path=path) as cache:
                return piece(Work(lambda _: cache.set("array", array), [0]), [0])

        def sample() -> float:
            found = []
            for _ in range(TRIES):
                spent, counts = once()
                if counts:
                    return spent
                found.append(spent)
            return statistics.fmean(found)

        yield sample


def reserve(bench: Bench, work: str) -> list[Line]:
    """Room, filled by NumPy and sealed, against the same fill of memory of one's own."""
    nbytes, path = array_bytes(bench), bench.fresh("region")
    warm = a_array(nbytes)
    with calm(bench), region(path, ROOM * nbytes) as cache:

        def filled() -> None:
            with cache.reserve_array("array", nbytes // 8, "f8") as made:
                made.array.fill(7.0)

        calls = {"ours": filled, FILLED: lambda: warm.fill(7.0)}
        samples = take_turns(
            {name: repeated(bench, call) for name, call in calls.items()}, bench.rounds
        )
        cache.get("array", copy=False).max()
        fact = huge_share(path, nbytes)
    line = compared(work, FILLED, samples["ours"], samples[FILLED],
                    direction="ours / theirs", goal=Goal(most=1.05))  # fmt: skip
    line.facts.append(fact)
    return [line]
