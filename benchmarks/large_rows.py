# SPDX-License-Identifier: BSD-3-Clause
"""Python, values of 64 MB and more: put, read in place, filled in place, and what memory they take.

Nothing stays on one processor here: what servers and neighbours do overlaps with what their client
does, where they can.  A sample is one operation or some, without those that were disturbed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import plib_cache
from benchmarks.bench import MIB, Bench, module, not_measured
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.large_peers import (
    DISKCACHE,
    MEMCPY,
    NPY,
    PEERS,
    RAY,
    REDIS,
    memcpy,
    ray_session,
)
from benchmarks.neighbour import Neighbour, memory_of
from benchmarks.programs import BrokenError, MissingError, Program
from benchmarks.timing import Work, piece, timed
from benchmarks.turns import Candidate, take_turns

ROOM = 8  # values that a region has room for
CALM_S = 30
TRIES = 4  # of one sample, until one is not disturbed
PROCESSES = 4
PUT_GOALS = {MEMCPY: Goal(most=1.3), RAY: Goal(least=15), DISKCACHE: Goal(least=25),
             REDIS: Goal(least=40)}  # fmt: skip
ELSEWHERE, SMALL = "ours, other process", "ours, pages of 4 KiB"
UNPICKLED, FILLED = "pickle.loads", "fill, warm memory"


def array_bytes(bench: Bench, mib: int = 64) -> int:
    """How large the value is."""
    return bench.scaled(mib, 2) * MIB


def a_array(nbytes: int) -> Any:
    """An array that was written to, so that it is in memory."""
    return module("numpy").arange(nbytes // 8, dtype="f8")


def frame(rows: int) -> Any:
    """A table of ten columns: numbers, dates and truths."""
    np, pd = module("numpy"), module("pandas")
    chance = np.random.default_rng(7)
    columns = {f"x{n}": chance.random(rows) for n in range(6)}
    columns |= {f"n{n}": chance.integers(0, 1000, rows) for n in range(2)}
    columns["when"] = np.datetime64("2026-01-01", "s") + np.arange(rows).astype("m8[s]")
    columns["yes"] = chance.random(rows) < 0.5
    return pd.DataFrame(columns)


@contextlib.contextmanager
def calm(bench: Bench) -> Iterator[None]:
    """No garbage collection; and before, wait until a region would be given huge pages.

    The core does not ask for them on a crowded machine (os_crowded), and this bench's own start
    makes one crowded for a minute.
    """
    until = time.monotonic() + CALM_S * (bench.scale == 1)
    while time.monotonic() < until and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        time.sleep(1)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def repeated(bench: Bench, once: Callable[[], object]) -> Candidate:
    """A sample of a call that is made again and again."""

    def loop(items: Sequence[Any]) -> None:
        for _ in items:
            once()

    return timed(Work(loop, range(4)), bench.scale)


def huge_share(path: Path, nbytes: int) -> str:
    """What a report says of a region's pages; this process has touched the value in it."""
    share = min(100.0, 100 * memory_of("self", "ShmemPmdMapped") / nbytes)
    return f"{share:.0f} % of a value of ours are mapped in huge pages"


# ---- putting -------------------------------------------------------------------------------------


def put(bench: Bench, work: str) -> list[Line]:
    """``set`` of an array, again and again, into memory that this or another process has used."""
    nbytes = array_bytes(bench)
    bench.room(3 * ROOM * nbytes)
    array, missing = a_array(nbytes), dict[str, str]()
    with calm(bench), contextlib.ExitStack() as stack:
        path = bench.fresh("region")
        cache = stack.enter_context(plib_cache.Cache(path=path, size=ROOM * nbytes))
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


# ---- reading in place ----------------------------------------------------------------------------


def get(bench: Bench, work: str) -> list[Line]:
    """``get(copy=False)`` of an array that another process has stored, when its pages are mapped."""
    nbytes, missing = array_bytes(bench), dict[str, str]()
    path, file = bench.fresh("region"), bench.fresh("array")
    with calm(bench), contextlib.ExitStack() as stack:
        neighbour = stack.enter_context(Neighbour())
        neighbour.ask("store_array", path, ROOM * nbytes, nbytes)
        cache = stack.enter_context(plib_cache.Cache(path=path))
        module("numpy").save(file, cache.get("array", copy=False))
        kept = cache.get("array", copy=False)
        if not (kept == 7.0).all():
            raise BrokenError("the array that the neighbour has stored is another one")
        del kept
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda: cache.get("array", copy=False),
            NPY: lambda: module("numpy").load(f"{file}.npy", mmap_mode="r"),
        }
        try:
            session = stack.enter_context(ray_session(nbytes))
            made = session.remote(lambda n: module("numpy").full(n, 7.0)).remote(nbytes // 8)
            session.get(made).max()
            calls[RAY] = lambda: session.get(made)
        except MissingError as error:
            missing[RAY] = str(error)
        samples = take_turns({peer: repeated(bench, calls[peer]) for peer in calls}, bench.rounds)
    goals = {RAY: Goal(least=20), NPY: Goal(least=5)}
    own = Line(work, unit="us", ours=Spread.of([each / 1e3 for each in samples["ours"]]),
               goal=Goal(most=10, unit="us"))  # fmt: skip
    lines = [
        compared(work, peer, samples["ours"], samples[peer], goal=goals[peer])
        for peer in goals
        if peer in samples
    ]
    return [own, *lines, *not_measured(work, missing, goal=goals[RAY])]


def touch(bench: Bench, work: str) -> list[Line]:
    """One byte of each 4 KiB, in a process that has mapped nothing of it yet."""
    nbytes = array_bytes(bench)
    paths = {name: bench.fresh("region") for name in ("ours", SMALL)}
    file = bench.fresh("array")
    huge: list[int] = []
    with calm(bench), contextlib.ExitStack() as stack:
        for name, path in paths.items():
            neighbour = stack.enter_context(Neighbour(huge=name == "ours"))
            neighbour.ask("store_array", path, ROOM * nbytes, nbytes)
        module("numpy").save(file, a_array(nbytes))
        toucher = stack.enter_context(Neighbour())

        def in_region(name: str) -> float:
            spent, mapped = toucher.ask("touch", paths[name])
            if name == "ours":
                huge.append(mapped)
            return float(spent)

        samples = take_turns(
            {
                "ours": lambda: in_region("ours"),
                SMALL: lambda: in_region(SMALL),
                NPY: lambda: float(toucher.ask("touch_file", f"{file}.npy")[0]),
            },
            bench.rounds,
        )
    own = Line(work, unit="ms", ours=Spread.of([each / 1e6 for each in samples["ours"]]),
               goal=Goal(most=1, unit="ms"))  # fmt: skip
    if statistics.median(huge) < nbytes / 2:
        own.missing = "the region has no huge pages: the kernel gives none, or it was crowded"
    others = [compared(work, peer, samples["ours"], samples[peer]) for peer in (SMALL, NPY)]
    others[0].facts.append(
        f"{statistics.median(huge) / 2**20:.0f} MiB of it are mapped in huge pages; "
        f"{SMALL}: of a region whose maker is kept from huge pages"
    )
    return [own, *others]


def frames(bench: Bench, work: str) -> list[Line]:
    """A table that another process has stored, rebuilt in place, against its pickle."""
    rows, path = bench.scaled(1_000_000, 1000), bench.fresh("region")
    blob = pickle.dumps(frame(rows), 5)
    with calm(bench), Neighbour() as neighbour:
        neighbour.ask("store_frame", path, ROOM * len(blob) + 64 * MIB, rows)
        with plib_cache.Cache(path=path) as cache:
            module("pandas").testing.assert_frame_equal(
                cache.get("frame", copy=False), pickle.loads(blob)
            )
            calls: dict[str, Callable[[], object]] = {
                "ours": lambda: cache.get("frame", copy=False),
                UNPICKLED: lambda: pickle.loads(blob),
            }
            samples = take_turns(
                {name: repeated(bench, call) for name, call in calls.items()}, bench.rounds
            )
    return [
        compared(work, UNPICKLED, samples["ours"], samples[UNPICKLED], goal=Goal(least=50))
    ]


# ---- filling, and what is held -------------------------------------------------------------------


def reserve(bench: Bench, work: str) -> list[Line]:
    """Room, filled by NumPy and sealed, against the same fill of memory of one's own."""
    nbytes, path = array_bytes(bench), bench.fresh("region")
    warm = a_array(nbytes)
    with calm(bench), plib_cache.Cache(path=path, size=ROOM * nbytes) as cache:

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


def held(bench: Bench, work: str) -> list[Line]:
    """The memory of processes that all have one array in place and have read all of it."""
    nbytes, path = array_bytes(bench, 1024), bench.fresh("region")
    bench.room(3 * nbytes)
    with contextlib.ExitStack() as stack:
        all_ = [stack.enter_context(Neighbour()) for _ in range(PROCESSES)]
        all_[0].ask("store_array", path, nbytes * 9 // 4 + 64 * MIB, nbytes)
        before = sum(memory_of(each.pid, "Pss_Anon") for each in all_)
        for each in all_:
            each.ask("hold", path)
        shared = sum(memory_of(each.pid, "Pss_Shmem") for each in all_)
        whole = sum(memory_of(each.pid, "Pss") for each in all_)
    line = Line(work, unit="GiB", ours=Spread.of([whole / 2**30]),
                goal=Goal(most=1.05, unit="GiB"))  # fmt: skip
    line.facts.append(
        f"of {nbytes >> 20} MiB in {PROCESSES} processes: {shared / 2**20:.0f} MiB of shared memory; "
        f"the interpreters' own {before / 2**20:.0f} MiB are in it"
    )
    return [line]


def lease(bench: Bench, work: str) -> list[Line]:
    """A lease taken and given back, alone: in C, and as ``Cache.view`` of Python."""
    nbytes, path = array_bytes(bench), bench.fresh("region")
    with calm(bench), Neighbour() as neighbour, Program("leasing", path, ROOM * nbytes) as program:
        neighbour.ask("store_array", path, ROOM * nbytes, nbytes)
        count = bench.scaled(20_000, 100)
        with plib_cache.Cache(path=path) as cache:
            samples = take_turns(
                {
                    "C, the first of its value": lambda: program.ask("lease", count)[0],
                    "C, beside another": lambda: program.ask("beside", count)[0],
                    "Python, view": repeated(bench, lambda: cache.view("array")),
                    "Python, get(copy=False)": repeated(
                        bench, lambda: cache.get("array", copy=False)
                    ),
                },
                bench.rounds,
            )
    return [Line(f"{work}: {name}", ours=Spread.of(each)) for name, each in samples.items()]
