# SPDX-License-Identifier: BSD-3-Clause
"""How things look on the terminal: tables, sizes, JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())


class Errors:
    """Standard error, looked up when it is written to."""

    @staticmethod
    def print(text: str) -> None:
        """Write a line with markup."""
        Console(stderr=True, highlight=False, soft_wrap=True).print(text)

    plain = staticmethod(escape)


errors = Errors()


def console() -> Console:
    """Standard output."""
    return Console(highlight=False)


def say(text: str) -> None:
    """Write a line without markup, however long."""
    Console(highlight=False, soft_wrap=True).print(escape(text))


def say_points(points: Iterable[str]) -> None:
    """Write a list of advice, broken between words on a terminal; else a line for each."""
    out = console()
    wrapper = textwrap.TextWrapper(
        out.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    for point in points:
        say(wrapper.fill(f"- {point}") if out.is_terminal else f"- {point}")


def as_json(content: Any) -> None:
    """Write something for programs."""
    json.dump(content, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def json_line(content: Any) -> None:
    """Write one line of JSON, at once."""
    sys.stdout.write(json.dumps(content, default=str) + "\n")
    sys.stdout.flush()


def json_list(head: Mapping[str, Any], name: str, rows: Iterable[Any]) -> None:
    """Write one JSON object with a list that may be longer than memory wants to hold."""
    out = sys.stdout
    out.write("{\n")
    for key, value in head.items():
        out.write(f"  {json.dumps(key)}: {json.dumps(value, default=str)},\n")
    out.write(f"  {json.dumps(name)}: [")
    for i, row in enumerate(rows):
        out.write(("," if i else "") + "\n    " + json.dumps(row, default=str))
    out.write("\n  ]\n}\n")


@contextlib.contextmanager
def progress(title: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
    """A bar on standard error while something long runs, if that is a terminal.

    Args:
        total: what the steps add up to; None, if nobody knows.

    Yields:
        What is to be called with each step.
    """
    out = Console(stderr=True)
    with Progress(*_COLUMNS, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda step: bar.advance(task, step)


def size(nbytes: float) -> str:
    """A number of bytes as people write it."""
    unit = 0
    while nbytes >= _STEP and unit < len(_UNITS) - 1:
        nbytes, unit = nbytes / _STEP, unit + 1
    return f"{nbytes:.0f} {_UNITS[unit]}" if unit == 0 else f"{nbytes:.1f} {_UNITS[unit]}"


def many(count: int, one: str, several: str) -> str:
    """``1 entry is``, ``3 entries are``."""
    return f"{count:,} {one if count == 1 else several}"


def percent(part: float, whole: float) -> str:
    """A part of a whole."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


class _Titled(Table):
    """A table below a title that is as wide as it needs to be: rich makes it as wide as the table.

    Args:
        heading: the title; none if it is empty.
    """

    def __init__(self, heading: str, **options: Any) -> None:
        super().__init__(**options)
        self._heading = heading

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._heading:
            yield Text(self._heading, "italic")
        yield from super().__rich_console__(console, options)


def facts(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and what they are."""
    table = _Titled(title, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, escape(value))
    return table


def columns(title: str, names: Iterable[str], right: Iterable[str] = ()) -> Table:
    """An empty table with named columns, some of them aligned to the right."""
    table, aligned = _Titled(title), set(right)
    for name in names:
        table.add_column(name, justify="right" if name in aligned else "left", overflow="fold")
    return table
