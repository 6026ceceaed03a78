# SPDX-License-Identifier: BSD-3-Clause
"""What is counted of the tiers, in this process, and the one warning of each cache."""

from __future__ import annotations

import threading

from plib_cache._telling import tell
from plib_cache.stats import RemoteStats


class Counts:
    """Counts by name, the names of ``RemoteStats``; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = dict.fromkeys(RemoteStats.names(), 0)
        self._warned = False

    def add(self, name: str, number: int = 1) -> None:
        """Count."""
        with self._lock:
            self._counts[name] += number

    def warn(self, text: str) -> None:
        """Warn, the first time; the counts go on."""
        if not self._warned:
            self._warned = True
            tell(f"remote cache: {text}")

    def stats(self, pending: int = 0) -> RemoteStats:
        """The counts so far, and how many writes and deletes wait."""
        with self._lock:
            return RemoteStats(**{**self._counts, "pending": pending})

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._counts = dict.fromkeys(self._counts, 0)

    def after_fork(self) -> None:
        """In the child: begin anew, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self.reset()
