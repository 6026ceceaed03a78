# SPDX-License-Identifier: BSD-3-Clause
"""Bars: how many times as fast as its peers ours is, in each line of a part.

A bar begins at 1, as fast as the peer, and goes to the right where ours is faster.  What is judged
by "at most so many times the peer's time" is turned round, and so is its goal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.bench import module
from benchmarks.figures import Line
from benchmarks.report import number

FINE, MISSED, MARK = "#1688c9", "#dd6b20", "#767c85"
UNITS = {"ns", "us", "ms", "s", "ops/s"}  # of speed
INCH = 0.2  # of a bar
HEAD = 1.3  # bars that the name of a work takes


class Speed(NamedTuple):
    """Times as fast as the peer."""

    median: float
    low: float  # p10
    high: float  # p90
    goal: float | None


def speed(line: Line) -> Speed | None:
    """Of one line; None where it has no peer, no figure, or none of speed."""
    spread, goal = line.ratio, line.goal
    if line.missing or line.unit not in UNITS or line.direction == "ours - theirs":
        return None
    if spread is None or spread.low <= 0:
        return None
    wanted = None if goal is None else goal.least if goal.least is not None else goal.most
    if line.direction == "theirs / ours" or line.unit == "ops/s":
        return Speed(spread.median, spread.p10, spread.p90, wanted)
    return Speed(1 / spread.median, 1 / spread.p90, 1 / spread.p10, 1 / wanted if wanted else None)


def drawn(part: str, lines: Sequence[Line]) -> tuple[Any, str]:
    """The figure, and what it says in words."""
    works: dict[str, list[Line]] = {}
    for line in lines:
        works.setdefault(line.work, []).append(line)
    height = INCH * (len(lines) + HEAD * len(works)) + 0.9
    figure = module("matplotlib.figure").Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    at, places, peers = 0.0, [], []
    for work, its in works.items():
        axes.text(0.006, at + HEAD + 0.1, work, transform=axes.get_yaxis_transform(), va="center",
                  fontweight="bold")  # fmt: skip
        at += HEAD
        for line in its:
            at += 1
            bar(axes, at, line)
            places.append(at)
            peers.append(line.peer)
    axes.set_yticks(places, peers)
    axes.set_ylim(at + 0.8, 0)
    _scale(axes, lines)
    _legend(figure, lines)
    axes.set_title(f"{part}: times as fast as the peer", loc="left")
    ratios = [(found.median, line) for line in lines if (found := speed(line))]
    (least, worst), (most, best) = (end(ratios, key=lambda each: each[0]) for end in (min, max))
    return figure, (
        f"{part}: bars of how many times as fast as its peers ours is, on a logarithmic scale, "
        f"from {number(least)} ({worst.work}, {worst.peer}) to {number(most)} "
        f"({best.work}, {best.peer})"
    )


def bar(axes: Any, at: float, line: Line) -> None:
    """One bar with its spread, its goal and its figure."""
    found = speed(line)
    assert found is not None
    colour = MISSED if line.state == "not met" else FINE
    axes.barh(at, found.median - 1, left=1, height=0.72, color=colour)
    axes.plot([found.low, found.high], [at, at], color=MARK, linewidth=1)
    if found.goal is not None:
        axes.plot([found.goal] * 2, [at - 0.46, at + 0.46], color=MARK, linewidth=2)
    right = max(found.high, found.goal or 0, 1)
    axes.annotate(f"{number(found.median)}x", (right, at), xytext=(4, 0),
                  textcoords="offset points", va="center", fontsize=8)  # fmt: skip


def _scale(axes: Any, lines: Sequence[Line]) -> None:
    """Round figures on the axis, and room for those at the bars' ends."""
    ends = [each for line in lines for each in speed(line) or () if each]
    axes.set_xlim(min(*ends, 0.8) / 1.15, max(*ends, 2) * 2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}x")
    if max(ends) / min(ends) < 30:
        ticker = module("matplotlib.ticker")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.minorticks_off()
    axes.axvline(1, color=MARK, linewidth=0.8)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def _legend(figure: Any, lines: Sequence[Line]) -> None:
    patches, curve = module("matplotlib.patches"), module("matplotlib.lines")
    shown = []
    if any(line.state != "not met" for line in lines):
        shown.append(patches.Patch(color=FINE, label="goal met, or none"))
    if any(line.state == "not met" for line in lines):
        shown.append(patches.Patch(color=MISSED, label="goal not met"))
    if any(line.goal for line in lines):
        shown.append(curve.Line2D([], [], color=MARK, linewidth=2, marker="|", linestyle="",
                                  markersize=9, markeredgewidth=2, label="goal"))  # fmt: skip
    shown.append(curve.Line2D([], [], color=MARK, linewidth=1, label="p10 to p90"))
    figure.legend(handles=shown, loc="outside lower right", ncols=len(shown), fontsize=8)
