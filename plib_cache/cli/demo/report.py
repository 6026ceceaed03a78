# SPDX-License-Identifier: BSD-3-Clause
"""What the demo shows: progress while it works, a table for each part, the checks at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from plib_cache.cli.demo import work
from plib_cache.cli.demo.crew import DemoError, Event, Run
from plib_cache.cli.demo.parts import PARTS, Outcome, Part, perform
from plib_cache.cli.places import fail
from plib_cache.cli.show import columns, console

_RUNS = 3
_INTRODUCTION = (
    "Three searches on one machine look for the best way to read handwritten digits (the 1,797 "
    "that come with scikit-learn). Each tries other combinations of features and models, and many "
    "of them are the same. [bold]Without[/] a shared cache every process computes all that it "
    "needs. [bold]With[/] plib_cache what one process has computed is there for all: in memory "
    "that they share, without a server. [bold]Again[/] is the same search later, in new processes."
)


def show(folder: Path, quick: bool) -> int:
    """Run all parts and show what comes out; 0 if all checks hold, else 1."""
    out = console()
    out.print(_INTRODUCTION, "", sep="\n")
    outcomes = []
    for n, part in enumerate(PARTS, 1):
        try:
            outcome = _watched(out, f"{n} of {len(PARTS)}", part, folder, quick)
        except DemoError as error:
            fail(f"{part.title}: {error}", code=1)
        out.print(_table(n, outcome))
        out.print(_remark(outcome))
        outcomes.append(outcome)
    out.print(_summary(outcomes))
    return _verdict(out, list(_checks(outcomes)))


def _watched(out: Console, label: str, part: Part, folder: Path, quick: bool) -> Outcome:
    """Do a part under a progress bar."""
    expected = _RUNS * sum(len(work.tasks(n, quick)) for n in range(work.SEARCHES))
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} tasks"),
        TimeElapsedColumn(),
        console=out,
        transient=True,
    )
    if not out.is_terminal:
        out.print(f"{label}: {part.title} ...")
    with bar:
        line = bar.add_task(f"{label}: {part.title}", total=expected)

        def progress(event: Event) -> None:
            if event["event"] == "task":
                bar.advance(line)

        return perform(part, folder, quick, progress)


def _table(n: int, outcome: Outcome) -> Table:
    """What each process did, in the three runs."""
    numbers = ("tasks", "computed", "from others", "seconds")
    table = columns(f"{n}. {outcome.part.title}", ("run", "process", *numbers), right=numbers)
    runs = {"without": outcome.plain, "with": outcome.shared, "again": outcome.again}
    for name, run in runs.items():
        seconds = f"{run.seconds:.2f}"
        for pid in run.pids():
            table.add_row(name, str(pid), *_shares(run, pid), seconds)
            name = seconds = ""
        table.add_section()
    return table


def _shares(run: Run, pid: int) -> tuple[str, str, str]:
    """How many tasks a process did, computed itself, and got from others."""
    asked = [event for event in run.tasks if event["pid"] == pid]
    own = sum(bool(event["computed"]) for event in asked)
    dead = run.killed is not None and run.killed["pid"] == pid
    return f"{len(asked)}", f"{own}, killed" if dead else f"{own}", f"{len(asked) - own or '-'}"


def _remark(outcome: Outcome) -> str:
    killed = outcome.shared.killed
    if killed is None:
        return ""
    return (
        f"Process {killed['pid']} was killed (SIGKILL) in the middle of a computation "
        f"({killed['what']}). The others took over what it had begun, and finished.\n"
    )


def _summary(outcomes: list[Outcome]) -> Table:
    names = ("without", "with", "again", "hits", "saved")
    table = columns("Seconds for all searches", ("", *names), right=names)
    for outcome in outcomes:
        base = outcome.plain.seconds
        table.add_row(
            outcome.part.title,
            f"{base:.2f}",
            *(f"{run.seconds:.2f} ({base / run.seconds:.1f} x)" for run in outcome.later()),
            f"{outcome.hits:,}",
            f"{outcome.saved_seconds:.1f}",
        )
    table.caption = (
        "hits: reads that the cache answered, in both runs with it; "
        "saved: seconds of computing that the first of them was spared"
    )
    return table


def _checks(outcomes: list[Outcome]) -> Iterator[tuple[str, bool]]:
    """What must be true, and whether it is."""
    runs = [run for o in outcomes for run in (o.plain, o.shared, o.again)]
    yield "every result is the same, in all runs and all processes", _agree(runs)
    yield (
        "every search was finished, but that of the killed process",
        all(_finished(outcome) for outcome in outcomes),
    )
    yield (
        "with plib_cache less was computed than without",
        all(outcome.shared.computed < outcome.plain.computed for outcome in outcomes),
    )
    yield (
        "nothing was computed twice",
        all(_once(outcome.shared) for outcome in outcomes),
    )
    yield "a process was killed, and the others did its work", _survived(outcomes)
    yield "new processes computed nothing", all(not o.again.computed for o in outcomes)


def _agree(runs: list[Run]) -> bool:
    values: dict[str, float] = {}
    return all(
        values.setdefault(event["task"], event["value"]) == event["value"]
        for run in runs
        for event in run.tasks
    )


def _finished(outcome: Outcome) -> bool:
    """Whether each run did all tasks; the killed process's own part aside."""
    full = Counter(event["task"] for event in outcome.plain.tasks)
    again = Counter(event["task"] for event in outcome.again.tasks)
    return full == again and {e["task"] for e in outcome.shared.tasks} == set(full)


def _once(run: Run) -> bool:
    """Whether no task was computed by two processes, of those that could tell."""
    return max(Counter(e["task"] for e in run.tasks if _fitted(e)).values()) == 1


def _fitted(event: Event) -> bool:
    return any(what.startswith("fit") for what in event["computed"])


def _survived(outcomes: list[Outcome]) -> bool:
    return any(outcome.shared.killed is not None for outcome in outcomes)


def _verdict(out: Console, checks: list[tuple[str, bool]]) -> int:
    out.print("\n[bold]Checks[/]")
    for text, holds in checks:
        out.print(f"  [green]ok[/]      {text}" if holds else f"  [red]FAILED[/]  {text}")
    return 0 if all(holds for _, holds in checks) else 1
