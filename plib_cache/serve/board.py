# SPDX-License-Identifier: BSD-3-Clause
"""What the server processes count, where all of them see it: a row of numbers for each.

A row is written by its process alone, and read by anybody at any time: each number is one aligned
word, so it is an older or a newer one and nothing in between.  The last row is what processes that
have ended had counted; the parent alone writes it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Mapping

_WORD = 8
PID, BEAT, CONNECTIONS = "pid", "beat", "curr_connections"
OWN = (PID, BEAT, CONNECTIONS)  # what ends with the process


class Board:
    """A table of ``rows`` processes, in memory that children inherit by its descriptor.

    Args:
        names: of the columns.
        fd: of the table that the parent made; None makes one.
    """

    def __init__(self, rows: int, names: Iterable[str], fd: int | None = None) -> None:
        self.names = tuple(dict.fromkeys((*OWN, *names)))
        self._rows = rows
        self._columns = {name: at for at, name in enumerate(self.names)}
        size = _WORD * (rows + 1) * len(self.names)
        self.fd = os.memfd_create("plib-cache-serve", os.MFD_CLOEXEC) if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, size)
        self._map = mmap.mmap(self.fd, size)
        self._words = memoryview(self._map).cast("Q")

    def put(self, row: int, values: Mapping[str, int]) -> None:
        """Write some columns of a row."""
        start = row * len(self.names)
        for name, value in values.items():
            self._words[start + self._columns[name]] = value

    def get(self, row: int, name: str) -> int:
        """One number."""
        return self._words[row * len(self.names) + self._columns[name]]

    def total(self, name: str) -> int:
        """What all processes have of a column, those that have ended too."""
        return sum(self.get(row, name) for row in range(self._rows + 1))

    def totals(self, but: int | None = None) -> dict[str, int]:
        """The totals of all columns that are counts, without those of row ``but``."""
        return {
            name: self.total(name) - (0 if but is None else self.get(but, name))
            for name in self.names
            if name not in (PID, BEAT)
        }

    def pids(self) -> list[int]:
        """The processes that run."""
        return [pid for row in range(self._rows) if (pid := self.get(row, PID))]

    def retire(self, row: int) -> None:
        """A process has ended: keep what it had counted, and empty its row."""
        for name in self.names:
            if name not in OWN:
                kept = self.get(self._rows, name) + self.get(row, name)
                self.put(self._rows, {name: kept})
        self.put(row, dict.fromkeys(self.names, 0))
