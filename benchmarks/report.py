# SPDX-License-Identifier: BSD-3-Clause
"""The report: a table for the terminal, the same as Markdown, and everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.figures import Line, Spread

HEADS = ["work", "peer", "peer's", "ours", "ratio (p10 to p90)", "goal", "met"]
STATES = {"met": "yes", "not met": "NO", "no goal": "", "not measured": "not measured"}
PAPER = (
    "The table of the ICPP 2020 paper, here and there (two machines: compare the columns' ratios)"
)
PAPER_HEADS = [
    "operation", "without the gate", "with the gate", "memcached, unix socket",
    "paper: without", "paper: with", "paper: memcached",
]  # fmt: skip
NO_FIGURE = "not measured"
MARKS = ("<!-- make bench: begin -->\n", "<!-- make bench: end -->\n")
UNEXPLAINED = "No reason is written down in benchmarks/why.py."
BUSY = 2.5  # load average; the bench itself makes 1, and 2 where two processes work at once
SCALES = {
    "ns": [(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")],
    "ops/s": [(1e6, "M ops/s"), (1e3, "k ops/s"), (1, "ops/s")],
}


@dataclass
class Measured:
    """What one row gave."""

    name: str
    work: str
    seconds: float
    load: tuple[float, float]  # before and after
    lines: list[Line] = field(default_factory=list)


def number(value: float) -> str:
    """Three digits that count."""
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.{1 if size >= 9.995 else 2 if size >= 0.0995 else 3}f}"


def quantity(spread: Spread | None, unit: str) -> str:
    """A median with its unit, scaled to be read."""
    if spread is None:
        return ""
    for size, name in SCALES.get(unit, []):
        if spread.median >= size:
            return f"{number(spread.median / size)} {name}"
    if unit == "%":
        return f"{spread.median:.2f} %"  # 99.97 is not 100
    return f"{number(spread.median)} {unit}".strip()


def cells(line: Line) -> list[str]:
    """One line of the table."""
    ratio = ""
    if line.ratio:
        spread = line.ratio
        unit = line.goal.unit if line.goal else line.ratio_unit
        ratio = f"{number(spread.median)}{'' if unit == 'x' else ' '}{unit}"
        if spread.count > 1:
            ratio += f" ({number(spread.p10)} to {number(spread.p90)})"
    return [
        line.work,
        line.peer,
        quantity(line.theirs, line.unit),
        quantity(line.ours, line.unit),
        ratio,
        str(line.goal or ""),
        STATES[line.state],
    ]


def notes(rows: Sequence[Measured]) -> list[str]:
    """Why goals are not met, and why lines were not measured."""
    found = []
    for row in rows:
        for line in row.lines:
            title = f"{line.work}, {line.peer}" if line.peer else line.work
            if line.state == "not met":
                found.append(f"{title}: not met. {line.why or UNEXPLAINED}")
            elif line.state == "not measured":
                found.append(f"{title}: not measured: {line.missing}")
    busiest = max((load for row in rows for load in row.load), default=0.0)
    if busiest > BUSY:
        found.append(
            f"The machine was busy with other things (load up to {busiest:.1f}): times are longer "
            "than they would be, and spreads wider."
        )
    return found


def remarks(rows: Sequence[Measured]) -> list[str]:
    """What each row's figures rest on, once for each."""
    found: dict[str, None] = {}
    for row in rows:
        for line in row.lines:
            found.update({f"{line.work}: {fact}": None for fact in line.facts})
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
        for line in row.lines:
            *most, state = cells(line)
            colour = colours[line.state]
            drawn.add_row(*most, f"[{colour}]{state}[/]" if colour else state)
        drawn.add_section()
    return drawn


def paper_cells(rows: Sequence[Measured]) -> list[list[str]]:
    """The paper's table: ours and memcached as measured here, then what the paper says."""
    found = []
    for row in rows:
        lines = [line for line in row.lines if line.paper]
        if lines and lines[0].paper:
            work, *says = lines[0].paper
            here = [NO_FIGURE] * 2
            for line in lines:
                if line.missing:
                    continue
                if line.direction == "ours - theirs":
                    here[0] = quantity(line.ours, line.unit)
                else:
                    here[1] = quantity(line.theirs, line.unit)
            found.append([work, quantity(lines[0].without, lines[0].unit), *here, *says[::-1]])
    return found


def paper_table(rows: Sequence[Measured]) -> Table | None:
    """For a terminal; None where nothing of it was measured."""
    cells_ = paper_cells(rows)
    drawn = Table(title=PAPER)
    for head in PAPER_HEADS:
        drawn.add_column(head, justify="left" if head == PAPER_HEADS[0] else "right")
    for cell in cells_:
        drawn.add_row(*cell)
    return drawn if cells_ else None


def paper_markdown(rows: Sequence[Measured]) -> list[str]:
    """The same as Markdown, or nothing."""
    cells_ = paper_cells(rows)
    lines = [f"{PAPER}:", "", "| " + " | ".join(PAPER_HEADS) + " |", "|---" + "|--:" * 6 + "|"]
    lines += ["| " + " | ".join(cell) + " |" for cell in cells_]
    return [*lines, ""] if cells_ else []


def markdown(rows: Sequence[Measured], machine: Mapping[str, Any], seconds: float) -> str:
    """The whole report to read."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---|---|--:|--:|--:|---|---|"]
    for row in rows:
        lines += [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells(line)) + " |"
            for line in row.lines
        ]
    lines += ["", f"{counted(rows)}.", "", *paper_markdown(rows)]
    lines += [f"- {note}" for note in notes(rows)]
    lines += ["", "What the figures rest on:", ""]
    lines += [f"- {remark}" for remark in remarks(rows)]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines += [
        f"- {machine['when']}, commit {machine['commit']}, {seconds:.0f} s in all",
        f"- {machine['cpu']}, {machine['cores']} cores"
        f"{' of a virtual machine' if machine['hypervisor'] else ''}, "
        f"{machine['memory_mib']:,} MiB, Linux {machine['kernel']}, huge pages "
        f"{machine['huge_pages']}, of tmpfs {machine['huge_pages_of_tmpfs']}; load at the start "
        + " ".join(f"{load:.2f}" for load in machine["load"]),
        f"- Python {machine['python']}; {versions}",
        f"- the core's flags: `{machine['flags']}`",
    ]
    return "\n".join(lines) + "\n"


def placed(path: Path, text: str) -> str:
    """What ``path`` is to hold: the text, or, if it has the two marks, itself with that between."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = old.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    return before + begin + text + end + after if begin and end else text


def as_json(rows: Sequence[Measured], machine: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Everything, for other programs."""
    listed = [{**vars(row), "lines": [line.as_json() for line in row.lines]} for row in rows]
    return {"machine": dict(machine), "seconds": round(seconds, 1), "rows": listed}
