# SPDX-License-Identifier: BSD-3-Clause
"""What the commands say about regions: one, or all in the region folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from plib_cache._core import remove_region
from plib_cache._functions import FunctionStats
from plib_cache.cache import Cache
from plib_cache.cli import attached, places
from plib_cache.cli.show import as_json, columns, console, facts, percent, say, size
from plib_cache.cli.words import for_shell
from plib_cache.exceptions import CorruptRegionError, LayoutMismatchError, PlibCacheError
from plib_cache.stats import Info, Stats

_COUNTS = (
    ("sets", "values stored"),
    ("deletes", "values deleted"),
    ("evictions", "evicted to make room"),
    ("evicted_small", "of them unused since they came"),
    ("evicted_main", "of them not used lately"),
    ("evicted_hand", "of them in the way of a large value"),
    ("evicted_visited_dropped", "of them in use, but there was no room"),
    ("displaced", "evicted because the places of their hash were taken"),
    ("expired_unlinked", "expired"),
    ("invalidated_unlinked", "invalidated"),
    ("claims", "computations claimed (single flight)"),
    ("claims_taken_over", "claims taken over from processes that died or took too long"),
    ("waits", "waits for another's result or lock"),
    ("reaps", "processes found dead"),
    ("stores_refused_full", "refused: full"),
    ("stores_refused_busy", "refused: busy"),
    ("corrupt_seen", "damaged entries met"),
)


def stat(cache: Cache, json: bool) -> None:
    """Show one cache."""
    info, stats, entries = cache.info(), cache.stats(), len(cache)
    functions = cache.functions()
    if json:
        told = {"entries": entries, "info": info.as_dict(), "stats": stats.as_dict()}
        as_json({**told, "functions": [one.as_dict() for one in functions]})
        return
    out = console()
    out.print(facts("Cache", _described(info, entries)))
    out.print(facts("Counted by all processes, since it was made or reset", _counted(stats)))
    if functions:
        out.print(_functions(functions))


def _described(info: Info, entries: int) -> list[tuple[str, str]]:
    rows = [
        ("file", info.path),
        ("entries", f"{entries:,}"),
        ("in use", f"{size(info.used)} of {size(info.pool)} ({percent(info.used, info.pool)})"),
        ("live data", size(info.live)),
        ("replaced or deleted", size(info.dead)),
        ("memory taken", f"{size(info.taken)} of at most {size(info.size)}"),
        ("mapped by huge pages", size(info.huge)),
        ("largest value possible", size(info.value_max)),
        ("processes", attached.places(info.processes, info.processes_max)),
        ("protection", ": ".join(filter(None, [info.protection, info.unprotected]))),
        ("made", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.created))),
    ]
    return rows + ([("note", info.note)] if info.note else [])


def _counted(stats: Stats) -> list[tuple[str, str]]:
    counts = stats.as_dict()
    rows = [("hits", f"{stats.hits:,} ({percent(stats.hits, stats.hits + stats.misses)})")]
    rows += [("misses", f"{stats.misses:,}")]
    return rows + [(text, f"{counts[name]:,}") for name, text in _COUNTS if counts[name]]


def _functions(functions: list[FunctionStats]) -> Table:
    numbers = ("hits", "misses", "ratio", "saved")
    table = columns("Decorated functions", ("function", *numbers), right=numbers)
    for one in functions:
        name, ratio = one.name or f"#{one.number}", percent(one.hits, one.hits + one.misses)
        saved = f"{one.saved_seconds:,.1f} s"
        table.add_row(escape(name), f"{one.hits:,}", f"{one.misses:,}", ratio, saved)
    return table


def listing(json: bool) -> None:
    """Show all caches in the region folder, also those that cannot be read."""
    folder = places.folder_to_read()
    found = [_row(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []
    if json:
        as_json({"folder": str(folder), "caches": found})
    elif not found:
        say(f"no caches in {folder}")
    else:
        _show_rows(folder, found)


def _row(path: Path) -> dict[str, Any]:
    try:
        with Cache(path=path, create=False) as cache:
            return {"name": path.name, "entries": len(cache), **cache.info().as_dict()}
    except PlibCacheError as error:
        return {"name": path.name, "path": str(path), "unreadable": for_shell(error)}


def _show_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    numbers = ("entries", "in use", "taken", "at most", "processes")
    table = columns(f"Caches in {folder}", ("name", *numbers), right=numbers)
    for row in rows:
        if "unreadable" not in row:
            sizes = [size(row[name]) for name in ("used", "taken", "size")]
            table.add_row(row["name"], f"{row['entries']:,}", *sizes, str(row["processes"] - 1))
    if table.row_count:
        out = console()
        if not out.is_terminal and "COLUMNS" not in os.environ:  # grep finds a name in one piece
            room = out.options.update(max_width=1000)
            out.width = max(out.width, out.measure(table, options=room).maximum)
        out.print(table)
    for row in rows:
        if "unreadable" in row:
            say(f"{row['name']}: unreadable: {row['unreadable']}")


def problems(path: Path, drain: bool = False) -> list[str]:
    """What is wrong with a region, or why it cannot even be opened.

    ``drain`` also evicts everything, and looks whether all room is given back.
    """
    try:
        with Cache(path=path, create=False) as cache:
            found: list[str] = cache.check()
            return found + cache._drain() + cache.check() if drain else found
    except (CorruptRegionError, LayoutMismatchError) as error:
        return [for_shell(error)]


def remove(path: Path) -> None:
    """Remove a region's file.

    Raises:
        PlibCacheError: it is none, or must not be removed.
    """
    remove_region(str(path))
