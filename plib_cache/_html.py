# SPDX-License-Identifier: BSD-3-Clause
"""How caches, their counts and decorated functions look in a notebook: small tables of HTML.

Everything that a user has named is escaped; colours are the notebook's own, light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_CELL = "text-align: left; padding: 1px 12px 1px 0"


def table(title: str, rows: Iterable[tuple[str, str]], note: str = "") -> str:
    """A title, and names beside figures."""
    lines = "".join(
        f'<tr><td style="{_CELL}">{html.escape(name)}</td>'
        f'<td style="{_CELL}">{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    told = f"<div>{html.escape(note)}</div>" if note else ""
    return f"<div><b>{html.escape(title)}</b><table>{lines}</table>{told}</div>"


def of_cache(path: str, info: Any, stats: Any) -> str:
    """What one wants to know of a cache at a glance: its ``Info`` and its ``Stats``."""
    rows = [
        ("used", f"{size(stats.used)} of {size(info.pool)} ({_share(stats.used, info.pool)})"),
        ("reads", f"{_reads(stats.hits, stats.misses)}"),
        ("stored", f"{stats.sets + stats.adds + stats.published:,}"),
        ("evicted", f"{stats.evictions:,}"),
        ("processes", f"{info.processes:,}"),
        ("protection", info.protection),
    ]
    if stats.leased:
        rows.append(("read in place", size(stats.leased)))
    return table(path, rows, info.note)


def of_stats(stats: Any) -> str:
    """The counts of a ``Stats`` that are not zero."""
    rows = [("hit rate", f"{stats.hit_rate:.1%}")]
    for name, value in stats.as_dict().items():
        if isinstance(value, int) and value:
            rows.append((name.replace("_", " "), f"{value:,}"))
    return table("all processes, since the last reset", rows)


def of_function(name: str, info: Any, saved_seconds: float) -> str:
    """Whether caching a function is worth it; ``info`` is its ``CacheInfo``."""
    rows = [
        ("calls", _reads(info.hits, info.misses)),
        ("results", f"{info.currsize:,}"),
        ("saved", f"{saved_seconds:,.3g} s of computing"),
    ]
    return table(f"{name}, cached", rows)


def size(nbytes: float) -> str:
    """Bytes in a unit that is read at a glance."""
    for unit in _UNITS[:-1]:
        if nbytes < 1024:
            return f"{nbytes:,.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:,.4g} {_UNITS[-1]}"


def _reads(hits: int, misses: int) -> str:
    return f"{hits + misses:,}, {_share(hits, hits + misses)} of them hits"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "none"
