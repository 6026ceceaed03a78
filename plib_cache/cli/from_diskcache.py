# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache import --diskcache DIR``: what diskcache has stored, into a cache.

Of those who call it, the command of that name is one; ``import_diskcache`` is all there is to call.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from plib_cache import config
from plib_cache.cache import Cache
from plib_cache.cli.diskcache_rows import DamagedRowError, Row, Rows, opened
from plib_cache.cli.diskcache_targets import (
    DropIn,
    Native,
    NeedsCodeError,
    Target,
    UnfitKeyError,
    Wanted,
    encoded,
)
from plib_cache.cli.places import made, place
from plib_cache.cli.show import as_json, errors, say
from plib_cache.cli.words import for_shell
from plib_cache.exceptions import (
    BusyError,
    ConfigurationError,
    PlibCacheError,
    RegionFullError,
    ValueTooLargeError,
)
from plib_cache.integrations import diskcache as drop_in_class

_COUNTS = {
    "stored": "are stored",
    "there_already": "were there already",
    "expired": "had expired",
    "left_out": "need code to be read, and were left out (--pickles brings them along, unread)",
    "keys_left_out": "have keys that a cache cannot have, and were left out (--drop-in takes them)",
    "merged": "have the same key here as another, such as 1 and '1', and replaced it",
    "damaged": "are damaged, and were left out",
    "refused": "were refused",
    "evicted": "entries were evicted meanwhile, because the cache is full: give a larger --size",
}
_FIRST = {
    "left_out": "the first that needs code",
    "keys_left_out": "the first whose key a cache cannot have",
    "damaged": "the first that is damaged",
    "refused": "the first that was refused",
}
_FINE = ("stored", "there_already", "expired")
_SMALLEST = 4 << 20


class Import(NamedTuple):
    """What is to be imported, and how."""

    directory: str  # of diskcache.Cache
    name: str  # of a cache, or the path of its file; with ``drop_in`` a directory
    drop_in: bool = False  # for plib_cache.integrations.diskcache.Cache
    size: str = ""  # of a cache that is made
    wanted: Wanted = Wanted()


def import_diskcache(asked: Import, json: bool = False) -> int:
    """Import what diskcache has stored in a directory, and say what became of it.

    Returns:
        The exit code: 0 if everything is there that had not expired, else 1.

    Raises:
        PlibCacheError: there is nothing that can be read, or no cache to put it into.
    """
    with contextlib.ExitStack() as stack:
        rows = stack.enter_context(opened(asked.directory))
        target = stack.enter_context(_target(asked, rows))
        step = stack.enter_context(_progress(len(rows), shown=not json))
        told = import_rows(rows, target, asked.wanted, step)
    if json:
        as_json({"directory": asked.directory, "dry_run": asked.wanted.dry, **told})
    else:
        _say(told, asked.wanted.dry)
    return 1 if any(told[name] for name in _COUNTS if name not in _FINE) else 0


@contextlib.contextmanager
def _target(asked: Import, rows: Rows) -> Iterator[Target]:
    """Where the entries go; for a dry run a place that is gone afterwards."""
    with contextlib.ExitStack() as stack:
        name, size = asked.name, asked.size
        if asked.wanted.dry:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=_memory()))
            name, size = str(Path(folder) / "dry"), str(_SMALLEST)
        if asked.drop_in:
            settings: dict[str, Any] = {"size_limit": config.parse_size(size)} if size else {}
            if not size and isinstance(limit := rows.setting("size_limit"), (int, float)):
                settings["size_limit"] = limit
            yield DropIn(stack.enter_context(drop_in_class.Cache(name, **settings)))
        else:
            yield Native(stack.enter_context(_cache(name, size, asked.wanted.dry)))


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _cache(name: str, size: str, dry: bool) -> Cache:
    """The cache of that name or path, made if there is none, which is said."""
    path = place(name)
    if Path(path).is_dir():
        raise ConfigurationError(
            f"{name} is a directory: name a cache or a file, or say --drop-in for a directory of "
            "plib_cache.integrations.diskcache.Cache"
        )
    return Cache(path=path, size=size) if dry else made(name, path, size or None)


@contextlib.contextmanager
def _progress(total: int, shown: bool) -> Iterator[Callable[[], object]]:
    """A bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


# ---- the entries ---------------------------------------------------------------------------------


def import_rows(
    rows: Rows, target: Target, wanted: Wanted, step: Callable[[], object]
) -> dict[str, Any]:
    """Store the entries of a directory; what became of them, and the first trouble of each kind.

    Args:
        step: is called for each of them.
    """
    counts, seen, first = Counter[str](), set[bytes](), dict[str, str]()
    evicted = target.evictions()
    for row in rows:
        counts[_import(row, target, wanted, seen, first)] += 1
        step()
    counts["stored"] += counts["merged"]
    counts["evicted"] = target.evictions() - evicted
    return {"entries": len(rows), **{name: counts[name] for name in _COUNTS}, "first": first}


def _import(
    row: Row | DamagedRowError,
    target: Target,
    wanted: Wanted,
    seen: set[bytes],
    first: dict[str, str],
) -> str:
    """Store an entry; what became of it."""
    try:
        if isinstance(row, DamagedRowError):
            raise row
        return _store(row, target, wanted, seen)
    except PlibCacheError as error:
        kinds = {NeedsCodeError: "left_out", UnfitKeyError: "keys_left_out"}
        refused = (ValueTooLargeError, RegionFullError, BusyError)
        what = "refused" if isinstance(error, refused) else kinds.get(type(error), "damaged")
        key = f"{row.key!r:.60}: " if isinstance(row, Row) else ""
        first.setdefault(what, f"{key}{for_shell(error)}")
        return what


def _store(row: Row, target: Target, wanted: Wanted, seen: set[bytes]) -> str:
    if row.expire_time is not None and row.expire_time <= time.time():
        return "expired"
    key, value = target.key(row, wanted), encoded(row, wanted)
    if not wanted.dry and not target.put(key, row, value, wanted):
        return "there_already"
    raw = key.encode() if isinstance(key, str) else key
    merged = raw in seen
    seen.add(raw)
    return "merged" if merged else "stored"


def _say(told: dict[str, Any], dry: bool) -> None:
    say(f"{told['entries']:,} entries are in the directory; of them")
    for name, text in _COUNTS.items():
        if told[name]:
            would = "would be stored" if dry and name == "stored" else text
            say(f"  {told[name]:,} {would}")
    for name, text in told["first"].items():
        errors.print(errors.plain(f"{_FIRST[name]}: {text}"))
