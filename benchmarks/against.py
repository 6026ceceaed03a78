# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks.against REVISION``: what is slower in this tree than in an earlier one?

The earlier one is checked out into ``build/before`` and built there, with the same compiler and
flags.  Programs of both, driven by this tree's loops, take turns sample by sample, as the peers of
the other report do; the quotient is formed within each round, and its median is told.  Where memory
lies is chance and stays so while a program runs, so each pair is started several times.

Exit code 0 says that nothing is worse by more than 5 %, 1 that something is or that it broke.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import (
    elsewhere,
    machine,
    memory_rows,
    native_hot,
    native_large,
    opening,
    page,
    report,
)
from benchmarks.bench import MIB, Bench, surroundings
from benchmarks.figures import Direction, Goal, Line, compared
from benchmarks.programs import NATIVE, ROOT, BrokenError, Program, build
from benchmarks.turns import Candidate, take_turns

GOAL = Goal(most=1.05)
STARTS = 5
Made = Callable[[Bench, Path], AbstractContextManager[Candidate]]


@dataclass(frozen=True)
class Pair:
    """One thing that both trees do; ``make`` gives the candidate of a tree."""

    name: str
    work: str
    make: Made
    unit: str = "ns"
    starts: int = STARTS
    rounds: int = 11  # of each start

    @property
    def direction(self) -> Direction:
        """So that more than 1 is worse."""
        return "theirs / ours" if self.unit == "ops/s" else "ours / theirs"


# ---- candidates ----------------------------------------------------------------------------------


@contextlib.contextmanager
def hot(bench: Bench, tree: Path, operation: str) -> Iterator[Candidate]:
    """A thousand hot keys."""
    with Program("ours", bench.fresh("ours"), 64 * MIB, bench.core, tree) as program:
        yield native_hot.prepared(bench, program, operation)


@contextlib.contextmanager
def at_random(bench: Bench, tree: Path, records: int) -> Iterator[Candidate]:
    """More records than the processor's caches hold."""
    records, count = bench.scaled(records, 2000), bench.scaled(40_000, 1000)
    size = native_large.room_for(records)
    bench.room(2 * size)
    with Program("ours", bench.fresh("ours"), size, bench.core, tree) as program:
        program.ask("fill", records)
        yield lambda: program.run("get", count, records)


@contextlib.contextmanager
def mixed(bench: Bench, tree: Path, gets: int) -> Iterator[Candidate]:
    """Two processes at once."""
    with native_large.team(bench, "ours", bench.scaled(1_000_000, 2000), gets, tree) as team:
        yield lambda: team.run(native_large.PROCESSES)


@contextlib.contextmanager
def threads(bench: Bench, tree: Path) -> Iterator[Candidate]:
    """Two threads of one process."""
    with Program("ours", bench.fresh("ours"), 64 * MIB, tree=tree) as program:
        yield native_large.gets_of_threads(bench, program, 2)


@contextlib.contextmanager
def creation(bench: Bench, tree: Path, attached: bool) -> Iterator[Candidate]:
    """A region of 1 GiB is made, or another process attaches to it."""
    with Program("opening", "", tree=tree) as maker, Program("opening", "", tree=tree) as other:

        def sample() -> float:
            path = str(bench.fresh("region"))
            spent = maker.ask("open", path, opening.SIZE)[0]
            if attached:
                spent = other.ask("open", path, opening.SIZE)[0]
                other.ask("close")
            maker.ask("close")
            maker.ask("remove", path)
            return spent

        yield sample


def in_python(bench: Bench, tree: Path, kind: str) -> AbstractContextManager[Candidate]:
    """A process that imports the tree's package."""
    build("opening", tree)  # two that attach would both build it, while one already runs it
    return elsewhere.elsewhere(kind, tree, bench.fresh(kind), bench.core, bench.scale)


def _hot(operation: str) -> Pair:
    return Pair(f"c-{operation}-hot", f"C {operation}, hot", partial(hot, operation=operation))


PAIRS = [
    *map(_hot, ("get", "miss", "set", "delete", "incr")),
    Pair("c-get-1m", "C get random, 1 M records", partial(at_random, records=1_000_000),
         starts=2, rounds=21),
    Pair("c-get-10m", "C get random, 10 M records", partial(at_random, records=10_000_000),
         starts=1, rounds=31),
    Pair("c-two-processes-95", "2 processes, 95/5", partial(mixed, gets=95), "ops/s", 3, 7),
    Pair("c-two-processes-50", "2 processes, 50/50", partial(mixed, gets=50), "ops/s", 3, 7),
    Pair("c-threads", "2 threads, get, C", threads, "ops/s"),
    *(Pair(f"py-{kind}", f"Python {kind}", partial(in_python, kind=kind),
           "ops/s" if kind == "threads" else "ns", 1 if kind == "get-many-1m" else STARTS)
      for kind in elsewhere.KINDS),
    Pair("open", "open a 1 GiB region, C", partial(creation, attached=False), starts=2, rounds=15),
    Pair("attach", "attach to it, C", partial(creation, attached=True), starts=2, rounds=15),
]  # fmt: skip


# ---- measuring -----------------------------------------------------------------------------------


def measured(pair: Pair, bench: Bench, before: Path) -> Line:
    """Both by turns; who is started first changes from start to start."""
    samples: dict[Path, list[float]] = {ROOT: [], before: []}
    for start in range(min(pair.starts, bench.rounds)):
        with contextlib.ExitStack() as stack:
            trees = [ROOT, before] if start % 2 else [before, ROOT]
            made = {str(tree): stack.enter_context(pair.make(bench, tree)) for tree in trees}
            taken = take_turns(made, min(pair.rounds, bench.rounds))
        for tree in trees:
            samples[tree] += taken[str(tree)]
    return compared(
        pair.work, "before", samples[ROOT], samples[before],
        unit=pair.unit, direction=pair.direction, goal=GOAL,
    )  # fmt: skip


def counted(bench: Bench, before: Path) -> list[Line]:
    """What stays in a full cache: counts, so one run of each says it all."""
    lines = zip(*(memory_rows.memory(bench, "", "", tree) for tree in (ROOT, before)), strict=True)
    return [
        compared(
            ours.work, "before", [ours.ours.median], [theirs.ours.median],
            unit=ours.unit, direction="theirs / ours", goal=GOAL,
        )
        for ours, theirs in lines
        if ours.ours and theirs.ours
    ]  # fmt: skip


def checked_out(revision: str) -> Path:
    """A tree of an earlier revision, built; what is there of an earlier run is renewed."""
    archive = subprocess.run(
        ["git", "archive", revision], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        raise BrokenError(f"git archive {revision}: {archive.stderr.decode().strip()}")
    tree = ROOT / "build" / "before"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
    shutil.rmtree(tree / NATIVE)  # what is measured is the core, not how its loops were laid out
    shutil.copytree(ROOT / NATIVE, tree / NATIVE)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tree, check=True, capture_output=True,
    )  # fmt: skip
    return tree


def measure(names: str, bench: Bench, before: Path, console: Console) -> list[report.Measured]:
    """Everything whose name begins with one of the names."""
    wanted = tuple(name.strip() for name in names.split(",")) if names else ("",)
    done = []
    rows: list[tuple[str, Callable[[], list[Line]]]] = [
        (pair.name, lambda pair=pair: [measured(pair, bench, before)])  # type: ignore[misc]
        for pair in PAIRS
    ]
    rows.append(("memory", lambda: counted(bench, before)))
    for name, run in rows:
        if name.startswith(wanted):
            began, load = time.monotonic(), os.getloadavg()[0]
            lines = run()
            spent = round(time.monotonic() - began, 1)
            done.append(report.Measured(name, name, spent, (load, os.getloadavg()[0]), lines))
            worst = max(line.judged or 0.0 for line in lines)
            console.print(f"{name}: {worst:.3f}x, {spent:.0f} s", highlight=False)
    return done


def main(
    revision: Annotated[str, typer.Argument(help="the earlier commit")],
    rows: Annotated[str, typer.Option(help="names or their beginnings; empty: all")] = "",
    out_md: Annotated[Path, typer.Option(help="the table")] = Path("build/against.md"),
) -> None:
    """Measure this tree and an earlier one, interleaved, and say what is worse by more than 5 %."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    began, facts = time.monotonic(), machine.facts()
    try:
        with surroundings() as bench:
            done = measure(rows, bench, checked_out(revision), console)
    except BrokenError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    console.print(report.table(done), report.counted(done), sep="\n")
    run = page.Run(f"make against BEFORE={revision}", time.monotonic() - began)
    text = page.markdown(done, facts, run)
    out_md.parent.mkdir(parents=True, exist_ok=True)
    out_md.write_text(page.placed(out_md, text), encoding="utf-8")
    if any(line.state == "not met" for row in done for line in row.lines):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
