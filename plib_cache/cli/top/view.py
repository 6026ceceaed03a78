# SPDX-License-Identifier: BSD-3-Clause
"""What ``plib-cache top`` is looking at, and what each key does to that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from plib_cache.cli.top.feed import Named, Picture

ORDERS: dict[str, Callable[[Named], Any]] = {
    "saved": lambda one: (-one.saved_s, -one.hits),
    "hits": lambda one: -one.hits,
    "misses": lambda one: -one.misses,
    "ratio": lambda one: one.ratio,
    "hits/s": lambda one: -one.hits_per_s,
    "entries": lambda one: -one.entries,
    "bytes": lambda one: -one.nbytes,
    "name": lambda one: one.name.lower(),
}
_PAGES = {"k": "kinds", "p": "processes", "e": "counters", "?": "help", "h": "help"}
_FAR = 1 << 30
_STEPS = {
    "up": -1, "down": 1, "page up": -10, "page down": 10, "home": -_FAR, "end": _FAR,
}  # fmt: skip


@dataclasses.dataclass
class View:
    """The page that is shown, the row that is chosen, and the question that is open."""

    page: str = "main"  # or "details", or one of _PAGES
    order: str = "saved"
    number: int | None = None  # of the row that the cursor is on; None: the first, whatever it is
    chosen: Named | None = None  # of the details
    clearing: Named | str | None = None  # asked about; "all" is the whole cache
    message: str = ""
    ended: bool = False

    def rows(self, picture: Picture) -> list[Named]:
        """The rows in their order."""
        key = ORDERS[self.order]
        return sorted(picture.named, key=lambda one: (key(one), one.name, one.number))

    def row(self, rows: list[Named]) -> int:
        """Where the cursor is: it stays with what it is on when the order changes."""
        return next((i for i, one in enumerate(rows) if one.number == self.number), 0)

    def current(self, picture: Picture) -> Named | None:
        """What the cursor is on."""
        rows = self.rows(picture)
        return rows[self.row(rows)] if rows else None

    def _move(self, picture: Picture, step: int) -> None:
        rows = self.rows(picture)
        if rows:
            self.number = rows[max(0, min(self.row(rows) + step, len(rows) - 1))].number

    def press(self, key: str, picture: Picture) -> Named | str | None:
        """A key was pressed.

        Returns:
            What is to be forgotten, if that was asked about and the answer is yes.
        """
        self.message = ""
        if self.clearing is not None:
            asked, self.clearing = self.clearing, None
            if key in ("y", "Y"):
                return asked
            self.message = "nothing was changed"
        elif key == "q":
            self.ended = True
        elif key in _PAGES:
            self.page = "main" if self.page == _PAGES[key] else _PAGES[key]
        elif key in ("escape", "left"):
            self.page = "main"
        elif key == "C":
            self.clearing = "all"
        elif key == "c":
            self.clearing = self.chosen if self.page == "details" else self.current(picture)
        elif self.page == "main":
            self._press_in_table(key, picture)
        return None

    def _press_in_table(self, key: str, picture: Picture) -> None:
        if key in ("s", "S"):
            names = list(ORDERS)
            self.order = names[(names.index(self.order) + (1 if key == "s" else -1)) % len(names)]
            self.number = None
        elif key in _STEPS:
            self._move(picture, _STEPS[key])
        elif key == "enter":
            self.chosen = self.current(picture)
            self.page = "details" if self.chosen is not None else "main"
