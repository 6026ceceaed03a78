# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache export``: a cache to a file (``portable`` is the format)."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from plib_cache import __version__
from plib_cache._core import Described, Note, Region
from plib_cache.cache import Cache
from plib_cache.cli.options import Json, Name
from plib_cache.cli.places import attach, fail
from plib_cache.cli.portable import Exported, Writer
from plib_cache.cli.show import as_json, errors, many, progress, say
from plib_cache.exceptions import PlibCacheError

_PREFIX = 16  # bytes of a decorated function in the keys of its results
_RESULT_KEY = 32


def export(
    name: Name,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Where to; - is standard output.", show_default=False),
    ],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Replace FILE if it is there already.")
    ] = False,
    json: Json = False,
) -> None:
    """Write all entries of a cache to a file.

    Any machine can import it.  Others may go on using the cache.  FILE is there when it is
    complete, or not at all.
    """
    if file == "-" and (json or sys.stdout.isatty()):
        fail("the export itself goes to standard output: send it to a file or a command", 2)
    if file != "-" and os.path.lexists(file) and (Path(file).is_dir() or not yes):
        fail(f"{file} is there already: --yes replaces a file; else name another one", 2)
    with attach(name) as cache, _written(file) as out:
        told = _export(cache, out)
    if json:
        as_json({"file": file, **told})
    elif file != "-":
        say(f"{many(told['entries'], 'entry is', 'entries are')} in {file}")
    if told["left_out"]:
        errors.print(
            f"{many(told['left_out'], 'entry was', 'entries were')} left out: names of tags or "
            "namespaces are not known any more, and nothing could invalidate them"
        )


@contextlib.contextmanager
def _written(file: str) -> Iterator[BinaryIO]:
    """A file that takes its name when it is complete; ends the command if it cannot be written."""
    if file == "-":
        yield sys.stdout.buffer
        return
    part = Path(f"{file}.part-{os.getpid()}")
    try:
        with part.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except PlibCacheError:  # BusyError is an OSError, too
        raise
    except OSError as error:
        fail(f"{file} cannot be written ({error.strerror}): name a file in a folder with room", 1)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _export(cache: Cache, out: BinaryIO) -> dict[str, int]:
    region, names, left_out = cache._region, _Names(cache._region), 0
    head = {"by": f"plib_cache {__version__}", "at": time.time(), "from": cache.path}
    writer = Writer(out, head)
    with progress("exporting", region.count()) as step:
        for raw, _ in region.scan():
            step(1)
            found = region.describe(raw, whole=True)
            if found is None:
                continue
            numbers = {found.name, *found.tags} - {0}
            if not all(names.tell(number, raw, writer) for number in numbers):
                left_out += 1
                continue
            writer.entry(_exported(raw, found))
    writer.done()
    return {"entries": writer.entries, "left_out": left_out}


class _Names:
    """What numbers stand for, told to the file before they are used."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._known: dict[int, Note | None] = {}

    def tell(self, number: int, raw: bytes, writer: Writer) -> bool:
        """Whether it is known; then the file is told it, once."""
        if self._known.get(number) is None:
            note = self._region.noted(number) or self._from_key(number, raw)
            self._known[number] = note
            if note is not None:
                writer.name(number, note)
        return self._known[number] is not None

    def _from_key(self, number: int, raw: bytes) -> Note | None:
        """The name of a decorated function stands in the keys of its results."""
        if len(raw) != _RESULT_KEY:
            return None
        text = "f:" + raw[:_PREFIX].hex()
        return Note(text, "") if self._region.name(text) == number else None


def _exported(raw: bytes, found: Described) -> Exported:
    return Exported(
        raw, found.data, found.type_code, found.cost, found.text, found.immutable, found.flags,
        found.name, found.tags, found.deadline_ms, found.created_ms,
    )  # fmt: skip
