# SPDX-License-Identifier: BSD-3-Clause
"""Handlers of a worker, by which others ask it for something: ours, until they are taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Handlers:
    """Puts handlers in a worker, in the place of its own where it has such.

    Attributes:
        own: what was there before, by name.
    """

    def __init__(self, worker: Any, ours: Mapping[str, Callable[..., Any]]) -> None:
        self._there = worker.handlers
        self._ours = ours
        self.own = {name: self._there[name] for name in ours if name in self._there}
        self._there.update(ours)

    def take_back(self) -> None:
        """Have the worker's own again; what somebody else has put in its place since stays."""
        for name, handler in self._ours.items():
            if name not in self.own:
                self._there.pop(name, None)
            elif self._there.get(name) == handler:
                self._there[name] = self.own[name]
