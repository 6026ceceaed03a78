# SPDX-License-Identifier: BSD-3-Clause
"""How ``plib-cache top`` looks: lines of text for a terminal of any size, 80 columns being usual.

What matters is said in words and figures; colour and weight only help, so that nothing is lost on
a terminal without them.
"""

from __future__ import annotations

import time

from rich.text import Text

from plib_cache.cli import attached
from plib_cache.cli.show import percent, size
from plib_cache.cli.top import pages
from plib_cache.cli.top.feed import GETS, OTHERS, STORES, Named, Picture
from plib_cache.cli.top.view import View

_PAGE = 4096
_KEYS = {
    "main": "q quit  s sort  Enter details  k kinds  p processes  e events  c clear  ? help",
    "details": "q quit  Esc back  c clear",
}
_OTHER_KEYS = "q quit  Esc back  ? help"
_WARNINGS = 2  # lines; the page of events has them all
_COLUMNS = (("hits", 9), ("misses", 9), ("ratio", 6), ("saved", 8), ("hits/s", 8), ("entries", 8),
            ("bytes", 10))  # fmt: skip
_NARROW = 80  # below, the columns that matter least are left out
_LEAST_NAME = 16
_WHAT = "function, namespace or tag"
_ROWS = 6  # of the table, for which lines above it are left out on a low screen
_LESS = ("in the pool", "leases", "kinds", "evictions", "processes", "memory")


def draw(picture: Picture, view: View, width: int, height: int) -> list[Text]:
    """The lines of the screen, as many as are high, each as long as it is wide at most."""
    body = {
        "details": pages.details,
        "kinds": pages.kinds,
        "processes": pages.processes,
        "counters": pages.counters,
        "help": pages.help_,
    }
    head, foot = _head(picture, width, height), _foot(view, width)
    room = height - len(head) - 1
    if view.page == "main":
        lines = _table(picture, view, width, room)
    else:
        lines = body[view.page](picture, view, width)
    lines = (head + lines)[: height - 1]
    lines += [Text()] * (height - 1 - len(lines))
    drawn = [*lines, foot][-height:]
    for line in drawn:
        line.truncate(width, overflow="ellipsis")
        line.no_wrap = True
    return drawn


def count(number: float) -> str:
    """A number that may be large, in at most 7 characters."""
    for unit, step in (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if number < 99_950 * step or unit == "G":
            text = (
                f"{number / step:,.0f}" if step == 1 and number >= 10 else f"{number / step:,.1f}"
            )
            return text.removesuffix(".0") + unit
    return ""


def duration(seconds: float) -> str:
    """A time in at most 7 characters."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, step, most in (("s", 1, 600), ("min", 60, 5990), ("h", 3600, 359_000)):
        if seconds < most:
            return f"{seconds / step:.1f} {unit}"
    return f"{seconds / 86_400:,.0f} d"


def _head(picture: Picture, width: int, height: int) -> list[Text]:
    stats, info, rate = picture.stats, picture.info, picture.rate
    clock = time.strftime("%H:%M:%S", time.localtime(picture.at))
    title = Text(picture.path, "bold")
    title.truncate(width - len(clock) - 1, overflow="ellipsis")
    title.append(" " * (width - title.cell_len - len(clock)) + clock)
    reads = rate(*GETS)
    now = percent(rate("hits"), reads) if reads else "no reads"
    hit = percent(stats.hits, stats.hits + stats.misses)
    every = rate(*GETS, *STORES, *OTHERS)
    rest = f"gets {count(reads)}  sets {count(rate(*STORES))}  deletes {count(rate('deletes'))}"
    places = attached.places(info["processes"], info["processes_max"])
    lines = [
        title,
        _line("hit ratio", f"{now} now, {hit} since the last reset"),
        _line("per second", f"{count(every)} operations: {rest}"),
        _memory(picture, width),
        _line("in the pool", _pool(picture)),
        _line("kinds", pages.kinds_line(picture)),
        _line("processes", f"{places}; {stats.reaps:,} found dead"),
        _line("leases", f"{stats.leases:,} given, {size(stats.leased)} held in place, "
              f"{size(stats.reserved)} reserved"),
        _line("evictions", f"{count(rate('evictions'))}/s, {stats.evictions:,} in all, "
              f"{stats.evicted_visited_dropped:,} of them in use; "
              f"{stats.expired_unlinked:,} expired"),
    ]  # fmt: skip
    for name in _LESS:
        if height - len(lines) - len(picture.warnings) - 3 < _ROWS:
            lines = [line for line in lines if not line.plain.startswith(name)]
    warnings = [Text(f"! {text}", "bold red") for text in picture.warnings]
    if len(warnings) > _WARNINGS:
        more = Text(f"! and {len(warnings) - _WARNINGS + 1} more warnings: e", "bold red")
        warnings = [*warnings[: _WARNINGS - 1], more]
    return [*lines, *warnings, Text()]


def _line(name: str, value: str) -> Text:
    return Text.assemble((f"{name:<12}", "bold"), value)


def _memory(picture: Picture, width: int) -> Text:
    used, pool = picture.stats.used, picture.info["pool_bytes"]
    text = f" {percent(used, pool)}: {size(used)} of {size(pool)}"
    long = max(4, min(40, width - 12 - len(text) - 2))
    full = min(long, round(long * used / pool)) if pool else 0
    return _line("memory", f"[{'#' * full}{'.' * (long - full)}]{text}")


def _pool(picture: Picture) -> str:
    usage = picture.usage
    parts = [
        ("live", usage["entry_bytes"]),
        ("replaced", usage["dead_bytes"]),
        ("still read", usage["limbo_pages"] * _PAGE),
        ("free", picture.stats.free),
    ]
    return ", ".join(f"{size(nbytes)} {what}" for what, nbytes in parts)


def _foot(view: View, width: int) -> Text:
    if view.clearing is not None:
        what = "everything in this cache" if view.clearing == "all" else _called(view.clearing)
        return Text(f"Forget {_end_of(what, width - 12)}? y/n", "bold reverse")
    if view.message:
        return Text(view.message, "bold")
    return Text(_KEYS.get(view.page, _OTHER_KEYS), "reverse")


def _end_of(text: str, most: int) -> str:
    """Its end tells more of a function than its module does."""
    return text if len(text) <= most else "\u2026" + text[len(text) - max(0, most - 1) :]


def _called(one: Named | str) -> str:
    assert not isinstance(one, str)
    what = {"function": "the results of ", "tag": "what is tagged "}.get(one.kind, "namespace ")
    return what + one.name


# ---- the table -----------------------------------------------------------------------------------


def _table(picture: Picture, view: View, width: int, room: int) -> list[Text]:
    columns = list(_COLUMNS)
    while len(columns) > 1 and width - sum(long for _, long in columns) - 2 < _LEAST_NAME:
        columns.pop(4 if len(columns) > 4 else -1)
    name_width = max(4, width - sum(long for _, long in columns) - 2)
    rows, current = view.rows(picture), view.current(picture)
    head = Text(f"  {_WHAT if len(_WHAT) < name_width else 'name':<{name_width}}", "bold underline")
    for name, long in columns:
        mark = "*" if name == view.order else ""
        head.append(f"{mark + name:>{long}}")
    shown = max(1, room - 1)
    first = max(0, min(view.row(rows) - shown // 2, len(rows) - shown))
    lines = [head]
    for one in rows[first : first + shown]:
        lines.append(_row(one, one is current, name_width, [name for name, _ in columns]))
    if not rows:
        lines.append(Text("  no decorated function, namespace or tag was used in this cache yet"))
    return lines


def _row(one: Named, current: bool, name_width: int, names: list[str]) -> Text:
    called = one.kind == "function"
    cells = {
        "hits": count(one.hits) if called else "-",
        "misses": count(one.misses) if called else "-",
        "ratio": f"{100 * one.ratio:.0f} %" if one.ratio >= 0 else "-",
        "saved": duration(one.saved_s) if called else "-",
        "hits/s": count(one.hits_per_s) if called else "-",
        "entries": count(one.entries),
        "bytes": size(one.nbytes),
    }
    widths = dict(_COLUMNS)
    name = Text(_end_of(one.name, name_width - 1) if called else f"{one.kind} {one.name}")
    name.truncate(name_width - 1, overflow="ellipsis", pad=True)
    line = Text("> " if current else "  ")
    line.append_text(name).append(" ")
    for column in names:
        line.append(f"{cells[column]:>{widths[column]}}")
    if current:
        line.stylize("reverse")
    return line
