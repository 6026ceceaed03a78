# SPDX-License-Identifier: BSD-3-Clause
"""Curves: what a row's figures become along an axis, ours and those of each peer.

A band is what lies between the tenth and the ninetieth percent of the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import report
from benchmarks.bench import module
from benchmarks.figures import Line, Spread
from benchmarks.report import Measured, place, scaled

OURS = "ours"
COLOURS = ("#1688c9", "#dd6b20", "#2f9e58", "#b65fcf", "#b08a0e", "#767c85", "#d64570")
MARKERS = "osD^vPX"
WIDE = 16  # times from the least to the most: then a scale is logarithmic
SAYS = {"ns": "time", "us": "time", "ms": "time", "s": "time", "ops/s": "operations in a second",
        "%": ""}  # fmt: skip


@dataclass
class Panel:
    """What shares one pair of axes."""

    title: str
    unit: str
    series: dict[str, dict[float, Spread]] = field(default_factory=dict)  # by name, by place

    def ends(self) -> tuple[float, float]:
        """The least and the most of all medians."""
        medians = [spread.median for one in self.series.values() for spread in one.values()]
        return min(medians), max(medians)


def panels(row: Measured) -> list[Panel]:
    """What is drawn of a row: a panel for each unit and, if works have several places, work."""
    placed = [line for line in row.lines if line.at is not None and not line.missing]
    apart = any(_places(placed, line) > 1 for line in placed)
    found: dict[tuple[str, str], Panel] = {}
    for line in placed:
        title = line.work if apart else row.work
        panel = found.setdefault((title, line.unit), Panel(title, line.unit))
        for name, spread in ((OURS, line.ours), (line.peer, line.theirs)):
            if spread is not None and line.at is not None:
                panel.series.setdefault(name, {})[line.at] = spread
    return [panel for panel in found.values() if panel.series]


def _places(lines: Sequence[Line], one: Line) -> int:
    """How many places lines of the same work and unit have."""
    return len({each.at for each in lines if (each.work, each.unit) == (one.work, one.unit)})


def table(row: Measured, panel: Panel) -> list[str]:
    """A panel's figures as Markdown: a line for each place, a column for each series."""
    head = [row.axis.removesuffix(", bytes"), *panel.series]
    lines = ["| " + " | ".join(head) + " |", "|--:" * len(head) + "|"]
    for at in sorted({at for one in panel.series.values() for at in one}):
        figures = [report.quantity(one.get(at), panel.unit) for one in panel.series.values()]
        lines.append("| " + " | ".join([place(at, _unit(row.axis)), *figures]) + " |")
    return lines


def _unit(axis: str) -> str:
    """What the places themselves say of an axis's unit: only sizes say it."""
    return "bytes" if axis.endswith(", bytes") else ""


def drawn(row: Measured, found: Sequence[Panel]) -> tuple[Any, str]:
    """The figure, and what it says in words."""
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    size = (4.1 * columns + (1.6 if columns == 1 else 0), 3.1 * lines + 0.4)
    figure = module("matplotlib.figure").Figure(figsize=size, layout="constrained")
    names = list(dict.fromkeys([OURS, *(name for panel in found for name in panel.series)]))
    names = [name for name in names if any(name in panel.series for panel in found)]
    handles: dict[str, Any] = {}
    for at, panel in enumerate(found):
        axes = figure.add_subplot(lines, columns, at + 1)
        for name in panel.series:
            handles[name] = curve(axes, panel.series[name], names.index(name))
            handles[name].set_label(name)
        axes.set_title(panel.title, loc="left", wrap=True)
        _horizontal(axes, panel, row.axis)
        _vertical(axes, panel)
    deep = -(-len(names) // 4)
    figure.legend(handles=[handles[name] for name in names], loc="outside lower center",
                  ncols=-(-len(names) // deep), fontsize=8)  # fmt: skip
    return figure, in_words(row, found)


def curve(axes: Any, series: dict[float, Spread], number_: int) -> Any:
    """One series with its band; the first is ours, and the thickest."""
    colour = COLOURS[number_ % len(COLOURS)]
    places = sorted(series)
    spreads = [series[at] for at in places]
    axes.fill_between(places, [each.p10 for each in spreads], [each.p90 for each in spreads],
                      color=colour, alpha=0.18, linewidth=0)  # fmt: skip
    (line,) = axes.plot(
        places, [each.median for each in spreads], color=colour,
        marker=MARKERS[number_ % len(MARKERS)], linewidth=2.2 if number_ == 0 else 1.4,
        zorder=3 if number_ == 0 else 2,
    )  # fmt: skip
    return line


def _horizontal(axes: Any, panel: Panel, axis: str) -> None:
    """The places themselves on the axis, or round figures if they are many."""
    places = sorted({at for one in panel.series.values() for at in one})
    if places[0] > 0 and places[-1] / places[0] >= WIDE:
        axes.set_xscale("log")
        axes.xaxis.minorticks_off()
    axes.set_xlabel(axis.removesuffix(", bytes"))
    if len(places) <= 8:
        axes.set_xticks(places, [place(at, _unit(axis)) for at in places])


def _vertical(axes: Any, panel: Panel) -> None:
    """A logarithmic scale where series are far apart, or one that begins at 0."""
    low, high = panel.ends()
    if low > 0 and high / low >= WIDE:
        axes.set_yscale("log")
        axes.yaxis.minorticks_off()
    elif panel.unit != "%":
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: quantity(value, panel.unit))
    axes.set_ylabel(SAYS.get(panel.unit, panel.unit))
    axes.grid(axis="y")


def quantity(value: float, unit: str) -> str:
    """A figure of the vertical axis with its unit."""
    size, name = scaled(value, unit)
    return f"{value / size:g} {name}"


def in_words(row: Measured, found: Sequence[Panel]) -> str:
    """The alternative text: what is drawn, and where ours begins and ends."""
    told = [panel.title + _ends(row, panel) * (len(found) <= 2) for panel in found]
    others = dict.fromkeys(name for panel in found for name in panel.series if name != OURS)
    beside = f"; beside {', '.join(others)}" if others else ""
    return f"Against {row.axis}. {'; '.join(told)}{beside}".replace("]", ")").replace("[", "(")


def _ends(row: Measured, panel: Panel) -> str:
    """What ours is at its first and its last place."""
    ours = panel.series.get(OURS, {})
    ends = [
        f"{report.quantity(ours[at], panel.unit)} at {place(at, row.axis)}"
        for at in sorted(ours)[:: max(1, len(ours) - 1)]
    ]
    return f": ours {' and '.join(ends)}" if ends else ""
