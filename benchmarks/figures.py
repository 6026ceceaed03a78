# SPDX-License-Identifier: BSD-3-Clause
"""What is made of samples: spreads, ratios, goals, and the lines of the report.

A ratio is formed within each round, from samples that were taken one right after the other, so
that whatever slows the machine for a while slows both; its median is what a goal is held against.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["met", "not met", "no goal", "not measured"]
Direction = Literal["theirs / ours", "ours / theirs", "ours - theirs"]


FORMED: dict[Direction, Callable[[float, float], float]] = {
    "theirs / ours": lambda ours, theirs: theirs / ours,  # how many times less time
    "ours / theirs": lambda ours, theirs: ours / theirs,  # how many times more, of anything
    "ours - theirs": lambda ours, theirs: ours - theirs,
}


@dataclass(frozen=True)
class Spread:
    """A series of samples in five numbers."""

    count: int
    median: float
    p10: float
    p90: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Sum up at least one sample."""
        if not samples:
            raise ValueError("a spread needs at least one sample")
        ordered = sorted(samples)
        return cls(
            count=len(ordered),
            median=statistics.median(ordered),
            p10=quantile(ordered, 0.1),
            p90=quantile(ordered, 0.9),
            low=ordered[0],
            high=ordered[-1],
        )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` of an ordered series lies, interpolated between samples."""
    at = (len(ordered) - 1) * share
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


@dataclass(frozen=True)
class Goal:
    """What is promised: at least or at most so much of ``unit`` ("x" for a ratio).

    Without a peer, ``unit`` is that of the line.
    """

    least: float | None = None
    most: float | None = None
    unit: str = "x"

    def __post_init__(self) -> None:
        if (self.least is None) == (self.most is None):
            raise ValueError("a goal has a least or a most, and not both")

    def met(self, value: float) -> bool:
        """Is it reached?"""
        if self.least is not None:
            return value >= self.least
        return self.most is not None and value <= self.most

    def __str__(self) -> str:
        gap = "" if self.unit in ("x", "%") else " "
        if self.least is not None:
            return f"≥ {self.least:g}{gap}{self.unit}"
        return f"≤ {self.most:g}{gap}{self.unit}"


@dataclass
class Line:
    """One line of the report: a kind of work, ours, and one peer."""

    work: str
    peer: str = ""
    unit: str = "ns"
    ours: Spread | None = None
    theirs: Spread | None = None
    ratio: Spread | None = None
    direction: Direction = "theirs / ours"
    goal: Goal | None = None
    missing: str = ""  # why there is no figure
    why: str = ""  # why the goal is not met
    facts: list[str] = field(default_factory=list)
    # Where on a plot's horizontal axis this line stands (Row.axis says what that is), or None.
    # A plot is a row's lines of one unit and one work, or, if no work has several places, all of
    # one unit: a series of ours, and one for each peer.
    at: float | None = None
    # Of the paper's table: the work; memcached, with the gate, without it, as the paper says.
    paper: tuple[str, str, str, str] | None = None
    without: Spread | None = None  # ours without the gate, in a line of that table

    @property
    def judged(self) -> float | None:
        """What the goal is held against: the ratio, or without a peer our own figure."""
        spread = self.ratio or (self.ours if not self.peer else None)
        return spread.median if spread and not self.missing else None

    @property
    def ratio_unit(self) -> str:
        """Of the ratio, where no goal says it."""
        return self.unit if self.direction == "ours - theirs" else "x"

    @property
    def state(self) -> State:
        """Whether the goal is met."""
        if self.missing or (self.ours is None and self.ratio is None):
            return "not measured"
        if self.goal is None or self.judged is None:
            return "no goal"
        return "met" if self.goal.met(self.judged) else "not met"

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        plain = {
            name: vars(value) if isinstance(value, Spread) else value
            for name, value in vars(self).items()
        }
        return {**plain, "goal": str(self.goal) if self.goal else None, "state": self.state}


def compared(
    work: str,
    peer: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    unit: str = "ns",
    direction: Direction = "theirs / ours",
    goal: Goal | None = None,
) -> Line:
    """A line of samples of which the n-th of both belong together."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} samples of ours, {len(theirs)} of {peer}: no pairs")
    pairs = list(zip(ours, theirs, strict=True))
    ratios = [FORMED[direction](*pair) for pair in pairs]
    return Line(
        work, peer, unit, Spread.of(ours), Spread.of(theirs), Spread.of(ratios), direction, goal
    )
