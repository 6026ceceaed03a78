# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks``: measures, prints the table, and writes the report to files.

Exit code 0 says that all went well, whether or not goals are met; 1 that something broke; 2 that a
row's name is unknown.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import machine, page, paper_table, plots, report
from benchmarks.bench import Bench, surroundings
from benchmarks.figures import Line
from benchmarks.forms import FULL, LATE, SHORT, parted
from benchmarks.programs import MissingError
from benchmarks.rows import ROWS, Row, UnknownRowError, select
from benchmarks.why import WHY

PAGE, PAGE_OF_SOME = Path("docs/benchmarks.md"), Path("build/bench.md")


def measure(row: Row, bench: Bench) -> report.Measured:
    """Run one row; a failure of what it measures is raised."""
    began, load, used = time.monotonic(), os.getloadavg()[0], machine.used_s()
    try:
        with bench.tidied():
            lines = row.run(bench)
    except MissingError as error:
        lines = [Line(row.work, missing=str(error))]
    for line in lines:
        line.why = WHY.get((row.name, line.work)) or WHY.get((row.name, line.peer), "")
    seconds = time.monotonic() - began
    everybody, own = (now - before for now, before in zip(machine.used_s(), used, strict=True))
    return report.Measured(
        row.name, row.work, round(seconds, 1), (load, os.getloadavg()[0]), lines, row.axis,
        others=round(max(0.0, everybody - own) / max(seconds, 1), 2),
    )  # fmt: skip


def measure_all(
    rows: Sequence[Row],
    bench: Bench,
    console: Console,
    keep: Callable[[Sequence[report.Measured]], None],
    seconds: float = math.inf,
) -> tuple[list[report.Measured], list[str]]:
    """Run the rows one after the other; a row that breaks is told and does not end the others.

    ``keep`` gets what there is after each row, so that a run that is ended early was not in vain.
    After so many ``seconds`` no further row begins; those that are left say why.
    """
    done, broken, began = [], [], time.monotonic()
    for count, row in enumerate(rows, 1):
        if time.monotonic() - began >= seconds:
            done.append(nothing_of(row, LATE))
            continue
        with console.status(f"{count} of {len(rows)}: {row.work}"):
            try:
                done.append(measure(row, bench))
            except Exception as error:
                broken.append(row.name)
                done.append(nothing_of(row, f"it broke: {error}"))
                console.print(f"{row.name} broke:", style="red")
                console.print(traceback.format_exc(), markup=False, highlight=False)
                continue
            finally:
                keep(done)
        console.print(f"{count} of {len(rows)}: {row.name}, {done[-1].seconds:.0f} s")
    return done, broken


def nothing_of(row: Row, why: str) -> report.Measured:
    """What there is of a row that has no figures."""
    return report.Measured(row.name, row.work, 0, (0, 0), [Line(row.work, missing=why)], row.axis)


@dataclass
class Files:
    """Where the report goes, and what it says of the run besides figures."""

    out: Path
    out_md: Path
    command: str
    left: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=machine.facts)
    began: float = field(default_factory=time.monotonic)

    def keep(self, done: Sequence[report.Measured]) -> None:
        """What there is until now, without plots."""
        self._write(done)

    def finish(self, done: Sequence[report.Measured], console: Console) -> None:
        """Everything, with plots if they can be drawn."""
        try:
            self._write(done, plots.drawn(done, self.out_md))
        except MissingError as error:
            console.print(f"no plots: {error}", style="yellow")
            self._write(done, unplotted=str(error))

    def _write(
        self, done: Sequence[report.Measured], drawn: Sequence[plots.Plot] = (), unplotted: str = ""
    ) -> None:
        run = page.Run(self.command, time.monotonic() - self.began, self.left)
        told = report.as_json(done, self.facts, run.seconds)
        told |= {"command": run.command, "left": list(run.left), "plots": [p.file for p in drawn]}
        text = page.markdown(done, self.facts, run, drawn, unplotted)
        for path, words in ((self.out, json.dumps(told, indent=1) + "\n"), (self.out_md, text)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page.placed(path, words), encoding="utf-8")


def main(
    rows: Annotated[str, typer.Option(help="names or their beginnings; empty: all")] = "",
    full: Annotated[bool, typer.Option("--full", help="all rows, with all rounds")] = False,
    out: Annotated[Path, typer.Option(help="everything as JSON")] = Path("build/bench.json"),
    out_md: Annotated[
        Path | None, typer.Option(help=f"the page; {PAGE}, or of some rows {PAGE_OF_SOME}")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="say what rows there are")] = False,
) -> None:
    """Measure plib_cache and its peers, interleaved, and say which goals are met."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        chosen = select(rows)
    except UnknownRowError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    form = FULL if full else SHORT
    chosen, left = parted(chosen, form, named=bool(rows))
    if list_:
        for row in ROWS:
            only = f"  (only {FULL.command}, or by name)" if row.long else ""
            console.print(f"{row.name:<24} {row.work}{only}", highlight=False)
        return
    command = f"{form.command} ROWS={rows}" if rows else form.command
    to = out_md or (PAGE_OF_SOME if rows else PAGE)
    files = Files(out, to, command, tuple(row.name for row in left))
    with surroundings() as bench:
        bench = replace(bench, rounds=form.rounds, full=form.full)
        done, broken = measure_all(chosen, bench, console, files.keep, form.seconds)
    files.finish(done, console)
    tell(done, left, console)
    for path in (out, to):
        console.print(f"written: {path}", highlight=False)
    if broken:
        console.print(f"broken: {', '.join(broken)}", style="red")
        raise typer.Exit(1)


def tell(done: Sequence[report.Measured], left: Sequence[Row], console: Console) -> None:
    """The tables and reasons, for who has waited for them."""
    console.print(report.table(done), report.counted(done), sep="\n")
    if (paper := paper_table.table(done)) is not None:
        console.print(paper)
    for note in report.notes(done):
        console.print(f"- {note}", markup=False, highlight=False)
    if left:
        names = ", ".join(row.name for row in left)
        console.print(f"- only in {FULL.command}: {names}", markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
