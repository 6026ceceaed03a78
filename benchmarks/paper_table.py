# SPDX-License-Identifier: BSD-3-Clause
"""The table of the paper that this cache follows: its figures beside those of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.report import Measured, quantity

PAPER = (
    "The table of the ICPP 2020 paper, here and there (two machines: compare the columns' ratios)"
)
HEADS = [
    "operation", "without the gate", "with the gate", "memcached, unix socket",
    "paper: without", "paper: with", "paper: memcached",
]  # fmt: skip
NO_FIGURE = "not measured"


def cells(rows: Sequence[Measured]) -> list[list[str]]:
    """Ours and memcached as measured here, then what the paper says, for each operation."""
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


def table(rows: Sequence[Measured]) -> Table | None:
    """For a terminal; None where nothing of it was measured."""
    found = cells(rows)
    drawn = Table(title=PAPER)
    for head in HEADS:
        drawn.add_column(head, justify="left" if head == HEADS[0] else "right")
    for each in found:
        drawn.add_row(*each)
    return drawn if found else None


def markdown(rows: Sequence[Measured]) -> list[str]:
    """The same as Markdown, or nothing."""
    found = cells(rows)
    lines = [f"{PAPER}:", "", "| " + " | ".join(HEADS) + " |", "|---" + "|--:" * 6 + "|"]
    lines += ["| " + " | ".join(each) + " |" for each in found]
    return [*lines, ""] if found else []
