# SPDX-License-Identifier: BSD-3-Clause
"""Reading what diskcache has stored in a directory: its SQLite database, and its files of values.

Nothing of it is changed, and no code of it is run.  Where SQLite has left a log of what is not in
the database yet, both are copied first, because reading that would write.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from plib_cache.exceptions import PlibCacheError

DATABASE = "cache.db"
_LOGS = ("-wal", "-journal")
_RAW, _BINARY, _TEXT, PICKLE = 1, 2, 3, 4
_COLUMNS = "key, raw, store_time, expire_time, tag, size, mode, filename, value"


class DiskcacheError(PlibCacheError):
    """A directory holds no database of diskcache that can be read."""


class DamagedRowError(PlibCacheError):
    """A row, or the file of its value, makes no sense."""


class Row(NamedTuple):
    """An entry as it is stored."""

    key: Any  # str, bytes, int or float; of one that is not ``raw`` its pickle
    raw: bool
    store_time: float
    expire_time: float | None  # seconds since 1970
    tag: Any
    mode: int
    content: Any  # the value; of ``PICKLE`` its pickle


class Rows:
    """The entries of a directory, in the order in which they were stored first."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder, self._connection = folder, connection
        self._ids = [int(one) for (one,) in connection.execute("SELECT rowid FROM Cache")]
        self._ids.sort()

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Row | DamagedRowError]:
        """The entries; in the place of a damaged one, what is wrong with it."""
        for number in self._ids:
            try:
                row = self._read(number)
            except (sqlite3.DatabaseError, OSError, ValueError, TypeError) as error:
                yield DamagedRowError(f"row {number}: {error}")
            else:
                if row is not None:
                    yield row

    def setting(self, name: str) -> Any:
        """A setting of the cache, or None."""
        try:
            query = "SELECT value FROM Settings WHERE key = ?"
            found = self._connection.execute(query, (name,)).fetchone()
        except sqlite3.DatabaseError:
            return None
        return found[0] if found else None

    def _read(self, number: int) -> Row | None:
        """An entry; None if somebody has removed it meanwhile."""
        query = f"SELECT {_COLUMNS} FROM Cache WHERE rowid = ?"
        found = self._connection.execute(query, (number,)).fetchone()
        if found is None:
            return None
        key, raw, stored, expires, tag, size, mode, filename, value = found
        if not isinstance(key, (str, bytes, int, float)) or not (raw or isinstance(key, bytes)):
            raise ValueError("its key is none")
        stored = float(stored)
        expires = None if expires is None else float(expires)
        content = value if filename is None else self._file(filename, int(size))
        if mode == _TEXT and filename is not None:
            content = content.decode("utf-8")
        elif mode == PICKLE and not isinstance(content, bytes):
            raise ValueError("its value is no pickle")
        elif mode not in (_RAW, _BINARY, PICKLE) or content is None:
            raise ValueError(f"mode {mode!r} with a value of {type(value).__name__} is unknown")
        return Row(key, bool(raw), stored, expires, tag, mode, content)

    def _file(self, filename: Any, size: int) -> bytes:
        """The content of a file of the directory, and of no other."""
        path = PurePath(str(filename))
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"its file {filename!r} is outside of the directory")
        opened = os.open(self._folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise ValueError(f"{filename!r} is no file")
            content = file.read()
        if len(content) != size:
            raise ValueError(f"its file {filename!r} has {len(content)} bytes, and not {size}")
        return content


@contextlib.contextmanager
def opened(directory: str) -> Iterator[Rows]:
    """The entries of a directory of ``diskcache.Cache``.

    Raises:
        DiskcacheError: there are none that can be read.
    """
    folder = Path(directory)
    if not (folder / DATABASE).is_file():
        shards = sorted(path.parent.name for path in folder.glob(f"[0-9][0-9][0-9]/{DATABASE}"))
        fanout = f"; of a FanoutCache import {', '.join(shards)}, one after the other"
        raise DiskcacheError(
            f"{directory} holds no {DATABASE}: give the directory that diskcache.Cache was given"
            f"{fanout if shards else ''}"
        )
    with contextlib.ExitStack() as stack:
        try:
            where = _readable(folder, stack)
            connection = stack.enter_context(contextlib.closing(sqlite3.connect(where, uri=True)))
            rows = Rows(folder, connection)
        except (sqlite3.Error, OSError) as error:
            raise DiskcacheError(
                f"{folder / DATABASE} cannot be read ({error}): is it a database of diskcache? "
                "`sqlite3 cache.db .recover` may mend a copy of a damaged one"
            ) from error
        yield rows


def _readable(folder: Path, stack: contextlib.ExitStack) -> str:
    """The URI of a database that is only read, and has no log."""
    database = folder / DATABASE
    logs = [Path(f"{database}{ending}") for ending in _LOGS]
    logs = [log for log in logs if log.is_file() and log.stat().st_size]
    if not logs:
        return f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plib-cache-")))
    for path in (database, *logs):
        shutil.copyfile(path, copies / path.name)
    return (copies / DATABASE).as_uri()
