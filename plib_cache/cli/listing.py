# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache keys``: the keys of a cache, as lines, as a table or as JSON."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer
from rich.markup import escape

from plib_cache._core import Region
from plib_cache.cli import kinds
from plib_cache.cli.entries import say_value
from plib_cache.cli.options import Json, Name
from plib_cache.cli.places import attach
from plib_cache.cli.show import columns, console, errors, json_list, size


def keys(
    name: Name,
    pattern: Annotated[
        str,
        typer.Argument(metavar="PATTERN", help="Only keys such as 'user:*'.", show_default=False),
    ] = "*",
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Show kind, size and more of each.")
    ] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="At most so many; 0: all.", show_default=False)
    ] = 0,
    json: Json = False,
) -> None:
    """List the keys of a cache, in no order.

    Keys that are no text are shown in hexadecimal, behind 0x.
    """
    with attach(name) as cache:
        raws = (raw for raw, _ in cache._region.scan())
        named = (raw for raw in raws if fnmatch.fnmatchcase(kinds.key_shown(raw), pattern))
        chosen = islice(named, limit or None)
        if json:
            rows = (_row(cache._region, raw, long) for raw in chosen)
            json_list({"name": name}, "keys", (row for row in rows if row is not None))
        elif not (_table(cache._region, chosen) if long else _list(chosen)):
            begins = (
                ""
                if any(sign in pattern for sign in "*?[")
                else f"; '{pattern}*' is those that begin so"
            )
            errors.print(errors.plain(f"no keys{begins}"))


def _row(region: Region, raw: bytes, long: bool) -> dict[str, Any] | None:
    if not long:
        return kinds.key_fields(raw)
    found = region.describe(raw)
    return None if found is None else {**kinds.key_fields(raw), **kinds.fields(region, found)}


def _list(raws: Iterator[bytes]) -> int:
    """Write a line for each key; how many there were."""
    count = 0
    for count, raw in enumerate(raws, 1):  # noqa: B007 - the last one is what is wanted
        say_value(kinds.key_shown(raw))
    return count


def _table(region: Region, raws: Iterator[bytes]) -> int:
    """Write a table of the keys, if there are any; how many there were."""
    table = columns("", ("key", "kind", "size", "expires", "namespace", "tags"), right=["size"])
    for raw in raws:
        found = region.describe(raw)
        if found is not None:
            told = kinds.fields(region, found)
            tags, space = ", ".join(told["tags"]), told["namespace"] or ""
            row = (kinds.key_shown(raw), told["kind"], size(found.nbytes), kinds.expiry(found))
            table.add_row(*(escape(text) for text in (*row, space, tags)))
    if table.row_count:
        console().print(table)
    return table.row_count
