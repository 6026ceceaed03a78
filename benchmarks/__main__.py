# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks``: measures, prints the table, and writes it to files.

Exit code 0 says that all went well, whether or not goals are met; 1 that something broke; 2 that a
row's name is unknown.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import machine, report
from benchmarks.bench import Bench, surroundings
from benchmarks.figures import Line
from benchmarks.programs import MissingError
from benchmarks.rows import ROWS, Row, UnknownRowError, select
from benchmarks.why import WHY


def measure(row: Row, bench: Bench) -> report.Measured:
    """Run one row; a failure of what it measures is raised."""
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        lines = row.run(bench)
    except MissingError as error:
        lines = [Line(row.work, missing=str(error))]
    for line in lines:
        line.why = WHY.get((row.name, line.work)) or WHY.get((row.name, line.peer), "")
    seconds = round(time.monotonic() - began, 1)
    return report.Measured(row.name, row.work, seconds, (load, os.getloadavg()[0]), lines)


def measure_all(
    rows: Sequence[Row],
    bench: Bench,
    console: Console,
    keep: Callable[[Sequence[report.Measured]], None],
) -> tuple[list[report.Measured], list[str]]:
    """Run the rows one after the other; a row that breaks is told and does not end the others.

    ``keep`` gets what there is after each row, so that a run that is ended early was not in vain.
    """
    done, broken = [], []
    for count, row in enumerate(rows, 1):
        with console.status(f"{count} of {len(rows)}: {row.work}"):
            try:
                done.append(measure(row, bench))
            except Exception as error:
                broken.append(row.name)
                lost = Line(row.work, missing=f"it broke: {error}")
                done.append(report.Measured(row.name, row.work, 0, (0, 0), [lost]))
                console.print(f"{row.name} broke:", style="red")
                console.print(traceback.format_exc(), markup=False, highlight=False)
                continue
            finally:
                keep(done)
        console.print(f"{count} of {len(rows)}: {row.name}, {done[-1].seconds:.0f} s")
    return done, broken


def main(
    rows: Annotated[str, typer.Option(help="names or their beginnings; empty: all")] = "",
    out: Annotated[Path, typer.Option(help="everything as JSON")] = Path("build/bench.json"),
    out_md: Annotated[Path, typer.Option(help="the table")] = Path("build/bench.md"),
    list_: Annotated[bool, typer.Option("--list", help="say what rows there are")] = False,
) -> None:
    """Measure plib_cache and its peers, interleaved, and say which goals are met."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        chosen = select(rows)
    except UnknownRowError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if list_:
        for row in ROWS:
            console.print(f"{row.name:<24} {row.work}", highlight=False)
        return
    began, facts = time.monotonic(), machine.facts()

    def keep(done: Sequence[report.Measured]) -> None:
        seconds = time.monotonic() - began
        for path, text in (
            (out, json.dumps(report.as_json(done, facts, seconds), indent=1) + "\n"),
            (out_md, report.markdown(done, facts, seconds)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(report.placed(path, text), encoding="utf-8")

    with surroundings() as bench:
        done, broken = measure_all(chosen, bench, console, keep)
    console.print(report.table(done), report.counted(done), sep="\n")
    if (paper := report.paper_table(done)) is not None:
        console.print(paper)
    for note in report.notes(done):
        console.print(f"- {note}", markup=False, highlight=False)
    for path in (out, out_md):
        console.print(f"written: {path}", highlight=False)
    if broken:
        console.print(f"broken: {', '.join(broken)}", style="red")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
