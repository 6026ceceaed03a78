# SPDX-License-Identifier: BSD-3-Clause
"""The report's words: figures with units, a table for the terminal, reasons, and JSON.

``page`` makes a page of it, with the plots of ``plots``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from benchmarks.figures import Line, Spread

HEADS = ["work", "peer", "peer's", "ours", "ratio (p10 to p90)", "goal", "met"]
STATES = {"met": "yes", "not met": "NO", "no goal": "", "not measured": "not measured"}
UNEXPLAINED = "No reason is written down in benchmarks/why.py."
BUSY = 0.5  # processors that others had, on average, while a row was measured
SCALES: dict[str, list[tuple[float, str]]] = {
    "ns": [(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")],
    "ops/s": [(1e6, "M ops/s"), (1e3, "k ops/s"), (1, "ops/s")],
    "B": [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")],
}


@dataclass
class Measured:
    """What one row gave."""

    name: str
    work: str
    seconds: float
    load: tuple[float, float]  # before and after
    lines: list[Line] = field(default_factory=list)
    axis: str = ""  # of the plot of its lines, if they have places on one
    others: float = 0.0  # processors that the rest of the machine had meanwhile, on average


def number(value: float) -> str:
    """Three digits that count."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.{1 if size >= 9.995 else 2 if size >= 0.0995 else 3}f}"


def quantity(spread: Spread | None, unit: str, ends: bool = False) -> str:
    """A median with its unit, scaled to be read; ends: and, of several samples, p10 to p90."""
    if spread is None:
        return ""
    size, name = scaled(spread.median, unit)
    ends = ends and spread.count > 1
    told = f" ({number(spread.p10 / size)} to {number(spread.p90 / size)})" if ends else ""
    if unit == "%":
        return f"{spread.median:.2f} %{told}"  # 99.97 is not 100
    return f"{number(spread.median / size)} {name}".strip() + told


def scaled(value: float, unit: str) -> tuple[float, str]:
    """How much of the unit, and what that is called, makes a value a number that can be read."""
    for size, name in SCALES.get(unit, []):
        if value >= size:
            return size, name
    return 1, unit


def place(at: float, axis: str) -> str:
    """A place on an axis in words, as "10,000 records", or "4 KiB" of an axis in bytes."""
    unit = axis.rpartition(", ")[2]
    if unit == "bytes":
        size, name = scaled(at, "B")
        return f"{at / size:g} {name}"
    count = f"{at / 1e6:g} M" if at >= 1e6 else f"{at:,g}"
    return f"{count} {unit}".strip()


def works(row: Measured) -> list[str]:
    """What the lines of a row are called; where several are called alike, with their places."""
    alike: dict[tuple[str, str], set[float | None]] = {}
    for line in row.lines:
        alike.setdefault((line.work, line.peer), set()).add(line.at)
    return [
        line.work
        if line.at is None or len(alike[line.work, line.peer]) < 2
        else f"{line.work}: {place(line.at, row.axis)}"
        for line in row.lines
    ]


def cells(line: Line, work: str = "") -> list[str]:
    """One line of the table."""
    ratio = ""
    if line.ratio:
        spread = line.ratio
        unit = line.goal.unit if line.goal else line.ratio_unit
        ratio = f"{number(spread.median)}{'' if unit == 'x' else ' '}{unit}"
        if spread.count > 1:
            ratio += f" ({number(spread.p10)} to {number(spread.p90)})"
    return [
        work or line.work,
        line.peer,
        quantity(line.theirs, line.unit),
        quantity(line.ours, line.unit, ends=not line.peer),
        ratio,
        str(line.goal or ""),
        STATES[line.state],
    ]


def reason(line: Line) -> str:
    """Why a line has no figure, or has missed its goal; empty where there is nothing to say."""
    if line.state == "not measured":
        return line.missing
    return (line.why or UNEXPLAINED) if line.state == "not met" else ""


def notes(rows: Sequence[Measured]) -> list[str]:
    """Why goals are not met, and why lines were not measured."""
    found = []
    for row in rows:
        for work, line in zip(works(row), row.lines, strict=True):
            if why := reason(line):
                title = f"{work}, {line.peer}" if line.peer else work
                found.append(f"{title}: {line.state}: {why}")
    return found + busy(rows)


def busy(rows: Sequence[Measured]) -> list[str]:
    """A warning, if the machine was busy with other things."""
    found = [f"{row.name} ({number(row.others)})" for row in rows if row.others > BUSY]
    if not found:
        return []
    return [
        "The machine was busy with other things, so that times are longer than they would be and "
        f"spreads wider, while these were measured (processors that others had): {', '.join(found)}"
    ]


def remarks(rows: Sequence[Measured]) -> list[str]:
    """What each row's figures rest on, once for each."""
    found: dict[str, None] = {}
    for row in rows:
        for work, line in zip(works(row), row.lines, strict=True):
            found.update({f"{work}: {fact}": None for fact in line.facts})
    return list(found)


def counted(rows: Sequence[Measured]) -> str:
    """One sentence on how many goals are met."""
    states = [line.state for row in rows for line in row.lines]
    goals = [line for row in rows for line in row.lines if line.goal]
    met = states.count("met")
    unmeasured = sum(line.state == "not measured" for line in goals)
    return f"{met} of {len(goals)} goals met, {states.count('not met')} not met, " + (
        f"{unmeasured} not measured"
    )


def table(rows: Sequence[Measured]) -> Table:
    """For a terminal."""
    drawn = Table(show_lines=False)
    for head in HEADS:
        drawn.add_column(head, justify="right" if head in HEADS[2:5] else "left")
    colours = {"met": "green", "not met": "red", "not measured": "yellow", "no goal": ""}
    for row in rows:
        for work, line in zip(works(row), row.lines, strict=True):
            *most, state = cells(line, work)
            colour = colours[line.state]
            drawn.add_row(*most, f"[{colour}]{state}[/]" if colour else state)
        drawn.add_section()
    return drawn


def as_json(rows: Sequence[Measured], machine: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Everything, for other programs."""
    listed = [{**vars(row), "lines": [line.as_json() for line in row.lines]} for row in rows]
    return {"machine": dict(machine), "seconds": round(seconds, 1), "rows": listed}
