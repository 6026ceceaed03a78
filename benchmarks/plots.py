# SPDX-License-Identifier: BSD-3-Clause
"""The report's plots: bars against peers, one for each part, and curves of lines with a place.

They are SVG without a background, in colours that can be read on white and on black.  The same
figures make the same bytes, so that a page in version control changes only where figures do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import bars, curves
from benchmarks.bench import module
from benchmarks.figures import Line
from benchmarks.parts import grouped, slug
from benchmarks.report import Measured

FOLDER = "plots"  # beside the page
STYLE: Mapping[str, Any] = {
    "svg.hashsalt": "plib_cache",  # or names inside would be of chance
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.35,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    **dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color",
         "axes.titlecolor", "grid.color"],
        "#767c85",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """One file of the report."""

    part: str
    file: str  # from the page's folder
    alt: str

    def markdown(self) -> list[str]:
        """Its place in the page."""
        return [f"![{self.alt}]({self.file})", ""]


def drawn(rows: Sequence[Measured], page: Path) -> list[Plot]:
    """Draw everything that can be drawn into the folder beside a page, which then has nothing else.

    Raises:
        MissingError: matplotlib is not here.
    """
    matplotlib = module("matplotlib")
    module("matplotlib.figure")
    folder = page.parent / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    found = []
    with matplotlib.rc_context(STYLE):
        for part, its in grouped(rows).items():
            pictures: dict[str, tuple[Any, str]] = {}
            if compared := barred(its):
                pictures[f"bars-{slug(part)}"] = bars.drawn(part, compared)
            for row in its:
                if panels := curves.panels(row):
                    pictures[row.name] = curves.drawn(row, panels)
            for name, (figure, alt) in pictures.items():
                figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})
                found.append(Plot(part, f"{FOLDER}/{name}.svg", alt))
    return found


def barred(rows: Sequence[Measured]) -> list[Line]:
    """The lines whose peer is slower or faster by so many times; those of curves are not bars."""
    return [line for row in rows for line in row.lines if line.at is None and bars.speed(line)]
