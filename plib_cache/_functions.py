# SPDX-License-Identifier: BSD-3-Clause
"""What is counted for each decorated function, as ``Cache.functions`` tells it."""

from __future__ import annotations

from typing import Any, NamedTuple

from plib_cache._core import Note, Region

_FUNCTION = "f:"


class FunctionStats(NamedTuple):
    """What all processes counted for one decorated function since it was last cleared."""

    name: str  # module and qualified name; "" if nobody has noted it lately
    hits: int
    misses: int
    saved_seconds: float  # how much computing the hits saved
    number: int  # of the function in the region

    @property
    def hit_rate(self) -> float:
        """Hits among all calls, 0.0 to 1.0; 0.0 before the first call."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return self._asdict()


def functions_of(region: Region) -> list[FunctionStats]:
    """The functions of a region whose calls were counted; those that saved most come first."""
    found = []
    for number, counts in region.names_used():
        shown = name_of(region.noted(number))
        saved = counts.saved_us / 1e6
        found.append(FunctionStats(shown, counts.hits, counts.misses, saved, number))
    return sorted(found, key=lambda one: (-one.saved_seconds, -one.hits, one.name))


def name_of(note: Note | None) -> str:
    """A function's name for people; "" if it is not known."""
    return note.shown if note is not None and note.text.startswith(_FUNCTION) else ""
