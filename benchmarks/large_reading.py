# SPDX-License-Identifier: BSD-3-Clause
"""Python, values of 64 MB and more that another process has stored: read in place, and held."""

from __future__ import annotations

import contextlib
import pickle
import statistics
from collections.abc import Callable

import plib_cache
from benchmarks.bench import MIB, Bench, module, not_measured
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.large import ROOM, a_array, array_bytes, calm, repeated
from benchmarks.large_peers import ray_session
from benchmarks.neighbour import Neighbour, frame
from benchmarks.programs import BrokenError, MissingError, Program
from benchmarks.turns import take_turns

PROCESSES = 4
RAY, NPY, UNPICKLED = "ray.get", "np.load, mmap", "pickle.loads"
SMALL = "ours, pages of 4 KiB"


def get(bench: Bench, work: str) -> list[Line]:
    """``get(copy=False)`` of an array that another process stored, when its pages are mapped."""
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
            session = stack.enter_context(ray_session(4 * nbytes))
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
    return [compared(work, UNPICKLED, samples["ours"], samples[UNPICKLED], goal=Goal(least=50))]


def held(bench: Bench, work: str) -> list[Line]:
    """The memory of processes that all have one array in place and have read all of it.

    Who has stored it is gone, or one of them.
    """
    nbytes = array_bytes(bench, 1024)
    bench.room(3 * nbytes)
    size = nbytes * 9 // 4 + 64 * MIB
    lines = []
    for name in (work, f"{work}, one of them stored it"):
        path = bench.fresh("region")
        with Neighbour() as neighbour:
            if name == work:
                neighbour.ask("store_and_go", path, size, nbytes)
            stores = 0 if name == work else size
            found = neighbour.ask("held_by", path, PROCESSES, stores, nbytes)
        path.unlink()
        whole, shared = (sum(column) for column in zip(*found, strict=True))
        line = Line(name, unit="GiB", ours=Spread.of([whole / 2**30]),
                    goal=Goal(most=1.05, unit="GiB"))  # fmt: skip
        line.facts.append(
            f"of {nbytes >> 20} MiB: {shared / 2**20:.0f} MiB of shared memory, and "
            f"{(whole - shared) / 2**20:.0f} MiB of {PROCESSES} interpreters"
        )
        lines.append(line)
    return lines


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
