# SPDX-License-Identifier: BSD-3-Clause
"""Opening a region of 1 GiB, attaching to it, and how its memory is taken as it fills."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import MIB, Bench
from benchmarks.figures import Goal, Line, Spread
from benchmarks.programs import Program
from benchmarks.turns import Candidate, take_turns

SIZE = 1024 * MIB
VALUES = 192  # bytes that a record of 16 + 128 bytes takes, about


@contextlib.contextmanager
def attaching(bench: Bench, tree: Path) -> Iterator[Candidate]:
    """From Python, to a region that a program of the same tree has made and keeps open."""
    import plib_cache

    path = bench.fresh("region")
    with Program("opening", "", tree=tree) as maker:
        maker.ask("open", str(path), SIZE)

        def sample() -> float:
            began = time.perf_counter_ns()
            cache = plib_cache.Cache(path=path, size=SIZE)
            spent = time.perf_counter_ns() - began
            cache.close()
            return spent

        yield sample
        maker.ask("close")
        maker.ask("remove", str(path))


def opening(bench: Bench) -> list[Line]:
    """Creation by one process and attachment by another, from C and from Python."""
    import plib_cache

    at: list[Path] = []
    with Program("opening", "") as maker, Program("opening", "") as other:

        def create() -> float:
            at.append(bench.fresh("region"))
            return maker.ask("open", str(at[-1]), SIZE)[0]

        def attach() -> float:
            spent = other.ask("open", str(at[-1]), SIZE)[0]
            other.ask("close")
            return spent

        def attach_python() -> float:
            began = time.perf_counter_ns()
            cache = plib_cache.Cache(path=at[-1], size=SIZE)
            spent = time.perf_counter_ns() - began
            cache.close()
            return spent

        def create_python() -> float:
            """Also the end of the round's region: nothing else of it is used."""
            path = bench.fresh("region")
            began = time.perf_counter_ns()
            cache = plib_cache.Cache(path=path, size=SIZE)
            spent = time.perf_counter_ns() - began
            cache.close()
            path.unlink()
            return spent

        def whole() -> float:
            samples["create"].append(create())
            samples["attach"].append(attach())
            samples["attach, Python"].append(attach_python())
            maker.ask("close")
            maker.ask("remove", str(at[-1]))
            samples["create, Python"].append(create_python())
            return 0.0

        samples: dict[str, list[float]] = {
            name: [] for name in ("create", "attach", "create, Python", "attach, Python")
        }
        take_turns({"all": whole}, bench.rounds)
    goals = {"create": Goal(most=20, unit="ms"), "attach": Goal(most=2, unit="ms")}
    return [
        Line(
            f"{'open' if name.startswith('create') else 'attach to'} a 1 GiB region, "
            f"{'Python' if 'Python' in name else 'C'}",
            unit="ms",
            ours=Spread.of([each / 1e6 for each in found[1:]]),  # without the round before
            goal=goals[name.partition(",")[0]],
        )
        for name, found in samples.items()
    ]


def filling(bench: Bench) -> list[Line]:
    """How much of a region of 1 GiB the file has: after opening, and after values came in."""
    path = bench.fresh("region")
    taken = {}
    with Program("ours", path, SIZE) as ours:
        ours.ask("used")  # it is open when it answers
        taken["open"] = blocks(path)
        for share, name in ((0.25, "a quarter"), (0.5, "half")):
            ours.ask("fill", int(SIZE * share / VALUES))
            taken[name] = blocks(path)
    goals = {"open": 12.5, "a quarter": 40.0, "half": 65.0}
    return [
        Line(
            "memory that a 1 GiB region takes, "
            + ("just opened" if name == "open" else f"{name} filled"),
            unit="%",
            ours=Spread.of([100 * bytes_ / SIZE]),
            goal=Goal(most=goals[name], unit="%"),
        )
        for name, bytes_ in taken.items()
    ]


def blocks(path: Path) -> int:
    """The memory that a file has now."""
    return path.stat().st_blocks * 512
