# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache watch``: a line for each interval, of what happened in it."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from plib_cache.cache import Cache
from plib_cache.cli.options import Interval, Json, Name
from plib_cache.cli.places import attach, fail
from plib_cache.cli.show import json_line, percent, say, size
from plib_cache.stats import Stats

_HEADINGS = 20  # lines between two headings, on a terminal
_COLUMNS = (  # 79 together, for a terminal of 80
    ("time", 8), ("hits", 9), ("misses", 9), ("ratio", 8), ("stored", 9), ("deleted", 9),
    ("evicted", 9), ("in use", 11),
)  # fmt: skip
_STORED = ("sets", "adds", "replaces", "cas", "appends", "incrs")
_LEVELS = ("used", "free", "largest_free", "leased", "reserved")  # bytes now, not counts


def watch(
    name: Name,
    interval: Interval = 1.0,
    count: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="So many lines; 0: until Ctrl-C.", show_default=False
        ),
    ] = 0,
    json: Json = False,
) -> None:
    """Write a line for each interval: what happened in it.  Ctrl-C ends it.

    With --json: one JSON object in each line.
    """
    try:
        with attach(name) as cache:
            _watch(cache, interval, count, json)
    except KeyboardInterrupt:
        return


def _watch(cache: Cache, interval: float, count: int, json: bool) -> None:
    before, begun, written = cache.stats(), time.monotonic(), 0
    while not count or written < count:
        time.sleep(max(0.0, begun + interval - time.monotonic()))
        now, ended = cache.stats(), time.monotonic()
        told = _changes(before, now, ended - begun)
        if json:
            json_line(told)
        else:
            _line(told, written)
        before, begun, written = now, ended, written + 1
        if cache.removed():
            fail(f"{cache.path} was removed: programs make a new one when they need it", 1)


def _changes(before: Stats, now: Stats, seconds: float) -> dict[str, Any]:
    """What happened between two looks."""
    had, has = before.as_dict(), now.as_dict()
    counts = {name: n for name, n in has.items() if isinstance(n, int)}
    changed = {name: n if name in _LEVELS else since(had[name], n) for name, n in counts.items()}
    return {"time": time.time(), "seconds": round(seconds, 3), **changed}


def since(before: int, now: int) -> int:
    """How far a count has gone; from zero, if it was reset between the two looks."""
    return now - before if now >= before else now


def _line(told: dict[str, Any], written: int) -> None:
    if written % _HEADINGS == 0 and (written == 0 or sys.stdout.isatty()):
        say(" ".join(f"{name:>{width}}" for name, width in _COLUMNS))
    cells = (
        time.strftime("%H:%M:%S", time.localtime(told["time"])),
        f"{told['hits']:,}",
        f"{told['misses']:,}",
        percent(told["hits"], told["hits"] + told["misses"]),
        f"{sum(told[name] for name in _STORED):,}",
        f"{told['deletes']:,}",
        f"{told['evictions']:,}",
        size(told["used"]),
    )
    say(" ".join(f"{text:>{width}}" for text, (_, width) in zip(cells, _COLUMNS, strict=True)))
    sys.stdout.flush()
