# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache import``: what ``export`` has written, or diskcache has stored, into a cache."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from plib_cache._core import ADD, OK, SET, Given, Region, Terms
from plib_cache.cache import Cache
from plib_cache.cli import kinds
from plib_cache.cli.diskcache_targets import Wanted
from plib_cache.cli.from_diskcache import Import, import_diskcache
from plib_cache.cli.options import Json, Name, Size
from plib_cache.cli.places import attach_or_make, fail
from plib_cache.cli.portable import Exported, Reader
from plib_cache.cli.show import as_json, errors, many, progress, say
from plib_cache.cli.words import for_shell
from plib_cache.exceptions import BusyError, RegionFullError, ValueTooLargeError


def import_(
    name: Name,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="What was exported; - is standard input.", show_default=False
        ),
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep what is there already.")] = False,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Leave out values that need code to be read.")
    ] = False,
    size: Size = "",
    diskcache: Annotated[
        str,
        typer.Option(
            metavar="DIR", help="Store what diskcache.Cache(DIR) has stored.", show_default=False
        ),
    ] = "",
    drop_in: Annotated[
        bool,
        typer.Option("--drop-in", help="With DIR: NAME is a directory, as diskcache's."),
    ] = False,
    pickles: Annotated[
        bool,
        typer.Option(
            "--pickles", help="With DIR: take pickles along, unread; only if you trust it."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With DIR: only count.")] = False,
    json: Json = False,
) -> None:
    """Store the entries of an exported file, or of diskcache.

    A file is examined before its first entry is stored; what comes by standard input, entry by
    entry.  Import only files that you trust, or with the option --data-only: who reads a pickle
    runs code of who wrote it.  Ends with 1 if an entry was refused or evicted.

    The directory of a diskcache is only read, and no pickle of it is run.  Ends with 1 if
    anything was left out that had not expired.
    """
    if diskcache and (file or data_only):
        fail(
            "--diskcache takes neither a FILE nor --data-only (which is its way): leave them out", 2
        )
    if not diskcache and (drop_in or pickles or dry_run):
        fail("--drop-in, --pickles and --dry-run are for --diskcache DIR: name one", 2)
    if diskcache:
        wanted = Wanted(pickles=pickles, keep=keep, dry=dry_run)
        asked = Import(diskcache, name, drop_in=drop_in, size=size, wanted=wanted)
        raise typer.Exit(import_diskcache(asked, json))
    if not file:
        fail(
            "import what? name a FILE that plib-cache exported, - for standard input, or "
            "--diskcache DIR",
            2,
        )
    with _opened(file) as source:
        if stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            _examine(source, file)
        with attach_or_make(name, size) as cache:
            told = _import(cache, source, file, keep, data_only)
    if json:
        as_json({"file": file, **told})
    else:
        _say(told)
    raise typer.Exit(1 if told["refused"] or told["evicted"] else 0)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        if sys.stdin.isatty():
            fail("standard input is the terminal: name a file, or send one to it", 2)
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - it is closed below
    except OSError as error:
        fail(f"{file} cannot be read ({error.strerror}): name a file that plib-cache exported", 1)
    with source:
        yield source


def _called(file: str) -> str:
    return "standard input" if file == "-" else file


def _examine(source: BinaryIO, file: str) -> None:
    """Read a file to its end, so that a damaged one changes nothing."""
    start = source.tell()
    with _steps("examining", source) as step:
        reader = Reader(source, _called(file))
        for _ in reader:
            step(reader.at)
    source.seek(start)


@contextlib.contextmanager
def _steps(title: str, source: BinaryIO) -> Iterator[Callable[[int], None]]:
    """A bar that is told how far into a stream it is."""
    info = os.fstat(source.fileno())
    total = info.st_size if stat.S_ISREG(info.st_mode) else None
    with progress(title, total) as step:
        last = 0

        def to(at: int) -> None:
            nonlocal last
            step(at - last)
            last = at

        yield to


def _import(
    cache: Cache, source: BinaryIO, file: str, keep: bool, data_only: bool
) -> dict[str, Any]:
    counts, region, evicted = Counter[str](), cache._region, cache.stats().evictions
    first = ""
    reader = Reader(source, _called(file))
    with _steps("importing", source) as step:
        try:
            for one in reader:
                step(reader.at)
                try:
                    counts[_store(region, reader, one, keep, data_only)] += 1
                except (ValueTooLargeError, RegionFullError, BusyError) as error:
                    counts["refused"] += 1
                    first = first or for_shell(error)
        finally:
            if (stored := counts["stored"]) and sys.exc_info()[0] is not None:
                errors.print(f"{stored:,} entries were stored before that")
    names = ("stored", "there_already", "out_of_date", "left_out", "refused")
    told: dict[str, Any] = {what: counts[what] for what in names}
    return {**told, "evicted": cache.stats().evictions - evicted, "first_refusal": first or None}


def _store(region: Region, reader: Reader, one: Exported, keep: bool, data_only: bool) -> str:
    """Store one entry; what became of it."""
    if one.deadline_ms and one.deadline_ms <= time.time() * 1000:
        return "out_of_date"
    code = kinds.plain(one.type_code)
    if data_only and (code in kinds.CODE or not kinds.known(code)):
        return "left_out"
    name, *tags = (_number(region, reader, number) for number in (one.name, *one.tags))
    terms = Terms(
        one.deadline_ms, name, tuple(tags), one.cost, one.text, 0, one.immutable
    )  # fmt: skip
    given = Given(one.value, one.type_code, one.flags, terms)
    status, _ = region.put(ADD if keep else SET, one.key, given)
    return "stored" if status == OK else "there_already"


def _number(region: Region, reader: Reader, number: int) -> int:
    """The number here of a name that has another one in the file."""
    return region.name(*reader.names[number]) if number else 0


def _say(told: dict[str, Any]) -> None:
    words = {
        "there_already": "were there already",
        "out_of_date": "were out of date",
        "left_out": "were left out (--data-only)",
    }
    rest = [f"{told[what]:,} {text}" for what, text in words.items() if told[what]]
    say("; ".join([f"{many(told['stored'], 'entry is', 'entries are')} stored", *rest]))
    if told["refused"]:
        errors.print(f"{told['refused']:,} were refused, the first: {told['first_refusal']}")
    if told["evicted"]:
        errors.print(
            f"{told['evicted']:,} entries were evicted meanwhile, because the cache is full: "
            "import into a larger one (--size, of a cache that is made)"
        )
