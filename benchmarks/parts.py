# SPDX-License-Identifier: BSD-3-Clause
"""The parts of the report: which rows stand together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

# Each with the beginnings of its rows' names.  The order is that of the page.
PARTS: dict[str, tuple[str, ...]] = {
    "The core, in C": ("c-", "instr"),
    "Many processes, many records": ("scale",),
    "Python": ("py-", "python", "key-"),
    "Memory and policy": ("memory", "policy"),
    "Large values": ("large",),
    "joblib": ("joblib",),
    "dask": ("dask",),
    "Network and server": ("remote", "serve"),
    "Start": ("open", "attach", "import", "start"),
    "The paper's operations": ("paper",),
}
REST = "Other"  # a row that nobody has given a place is shown all the same


class Named(Protocol):
    """A row, or what it gave."""

    @property
    def name(self) -> str:
        """The row's name."""


Row = TypeVar("Row", bound=Named)


def part_of(name: str) -> str:
    """The part in which a row stands."""
    return next((part for part, begins in PARTS.items() if name.startswith(begins)), REST)


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each part that has some, in the page's order."""
    found = {part: [row for row in rows if part_of(row.name) == part] for part in [*PARTS, REST]}
    return {part: its for part, its in found.items() if its}


def slug(words: str) -> str:
    """A part's name as a file's."""
    kept = "".join(letter if letter.isalnum() else " " for letter in words.lower())
    return "-".join(kept.split())
