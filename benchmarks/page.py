# SPDX-License-Identifier: BSD-3-Clause
"""The report as a page: what stands between the two marks of docs/benchmarks.md.

Each part has its table, with a number where there is more to say, what the numbers say, and its
plots, which lie in a folder beside the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import curves, paper_table, report
from benchmarks.parts import grouped
from benchmarks.plots import Plot
from benchmarks.report import HEADS, Measured

MARKS = ("<!-- make bench: begin -->\n", "<!-- make bench: end -->\n")


@dataclass(frozen=True)
class Run:
    """How a report came about."""

    command: str
    seconds: float
    left: tuple[str, ...] = ()  # rows that only the full form has


def markdown(
    rows: Sequence[Measured],
    machine: Mapping[str, Any],
    run: Run,
    plots: Sequence[Plot] = (),
    unplotted: str = "",
) -> str:
    """The whole report to read.

    Args:
        unplotted: Why there are no plots.
    """
    lines = [
        f"`{run.command}`, {machine['when']}, commit {machine['commit']}, {run.seconds:.0f} s. "
        f"{report.counted(rows)}.",
        "",
    ]
    if run.left:
        lines += ["Only in `make bench-full`: " + ", ".join(f"`{n}`" for n in run.left) + ".", ""]
    if unplotted:
        lines += [f"There are no plots: {unplotted}", ""]
    for warning in report.busy(rows):
        lines += [warning, ""]
    parts = grouped(rows)
    lines += [*summary(parts), ""] if len(parts) > 1 else []
    for part, its in parts.items():
        lines += [f"### {part}", "", *table(its)]
        lines += [line for plot in plots if plot.part == part for line in plot.markdown()]
        lines += [line for row in its for line in places(row)]
    lines += paper_table.markdown(rows)
    return "\n".join([*lines, *foundations(rows, machine)]) + "\n"


def summary(parts: Mapping[str, Sequence[Measured]]) -> list[str]:
    """How each part stands."""
    heads = ["part", "goals", "met", "not met", "not measured"]
    found = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * 4 + "|"]
    for part, rows in parts.items():
        states = [line.state for row in rows for line in row.lines if line.goal]
        counts = [len(states), *(states.count(state) for state in ("met", "not met"))]
        counts.append(states.count("not measured"))
        found.append(f"| {part} | " + " | ".join(map(str, counts)) + " |")
    return found


def table(rows: Sequence[Measured]) -> list[str]:
    """A part's table, and the reasons to which its last column points.

    Without the lines of curves that have neither goal nor reason: they have tables of their own.
    """
    heads = [*HEADS[:-1], "met, or why not"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|--:|--:|--:|---|---|"]
    reasons: dict[str, int] = {}
    for row in rows:
        for work, line in zip(report.works(row), row.lines, strict=True):
            if line.at is not None and line.goal is None and not line.missing:
                continue
            *most, state = report.cells(line, work)
            if why := report.reason(line):
                state += f" ({reasons.setdefault(why, len(reasons) + 1)})"
            lines.append("| " + " | ".join(_cell(cell) for cell in [*most, state]) + " |")
    lines = [*lines, ""] if len(lines) > 2 else []
    for why, at in reasons.items():
        lines += [f"({at}) {_sentence(why)}", ""]
    return lines


def places(row: Measured) -> list[str]:
    """The figures of a row's curves, folded up."""
    lines: list[str] = []
    for panel in curves.panels(row):
        summary = f"<details><summary>{panel.title}, in figures</summary>"
        lines += [summary, "", *curves.table(row, panel), "", "</details>", ""]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    """With a capital and one space between sentences."""
    whole = " ".join(text.split())
    return whole[:1].upper() + whole[1:]


def foundations(rows: Sequence[Measured], machine: Mapping[str, Any]) -> list[str]:
    """What the figures rest on: the machine, versions, how long rows took, and what they tell."""
    remarks = [f"- {remark}" for remark in report.remarks(rows)]
    folded = [
        "",
        "<details><summary>And each row's figures</summary>",
        "",
        *remarks,
        "",
        "</details>",
    ]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    seconds = ", ".join(f"{row.name} {row.seconds:.0f}" for row in rows)
    return [
        "### What the figures rest on",
        "",
        f"- {machine['cpu']}, {machine['cores']} cores"
        f"{' of a virtual machine' if machine['hypervisor'] else ''}, "
        f"{machine['memory_mib']:,} MiB, Linux {machine['kernel']}, huge pages "
        f"{machine['huge_pages']}, of tmpfs {machine['huge_pages_of_tmpfs']}; load at the start "
        + " ".join(f"{load:.2f}" for load in machine["load"]),
        f"- Python {machine['python']}; {versions}",
        f"- the core's flags: `{machine['flags']}`",
        f"- seconds of each row: {seconds}",
        *(folded if remarks else []),
    ]


def placed(path: Path, text: str) -> str:
    """What ``path`` is to hold: the text, or, if it has the two marks, itself with that between."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = old.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    return before + begin + text + end + after if begin and end else text
