# SPDX-License-Identifier: BSD-3-Clause
"""The table of everything that is measured, and the choice of some of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import native_hot
from benchmarks.bench import Bench
from benchmarks.figures import Line


@dataclass(frozen=True)
class Row:
    """One thing that is measured in one interleaved run; gives one line for each peer."""

    name: str
    work: str
    run: Callable[[Bench], list[Line]]
    why: str = ""  # written by hand: why its goal is not met


def hot(name: str, operation: str, work: str, lmdb: float | None, memcached: float | None) -> Row:
    """A row of ``native_hot``."""
    run = partial(native_hot.hot, operation=operation, work=work, lmdb=lmdb, memcached=memcached)
    return Row(name, work, run)


ROWS = [
    hot("c-get-hot", "get", "C get 128 B, 1,000 hot keys", 2.5, 150),
    hot("c-miss-hot", "miss", "C get of an absent key, hot", None, None),
    hot("c-set-hot", "set", "C set (replace) 128 B, hot", 6, 100),
    hot("c-delete-hot", "delete", "C delete, hot", 6, 120),
    hot("c-incr-hot", "incr", "C incr, hot", 6, 100),
]


class UnknownRowError(Exception):
    """No row's name begins so."""


def select(wanted: str, rows: Sequence[Row] = ROWS) -> list[Row]:
    """The rows whose names begin with one of the names, separated by commas; empty: all."""
    prefixes = [name.strip() for name in wanted.replace(" ", ",").split(",") if name.strip()]
    unknown = [
        prefix for prefix in prefixes if not any(row.name.startswith(prefix) for row in rows)
    ]
    if unknown:
        names = "\n  ".join(row.name for row in rows)
        raise UnknownRowError(f"no row is called {', '.join(unknown)}; there are:\n  {names}")
    return [row for row in rows if not prefixes or row.name.startswith(tuple(prefixes))]
