# SPDX-License-Identifier: BSD-3-Clause
"""What is known of the computations of one memorized function: when, how long, with what arguments.

Quick functions would pay more for that than for storing their results, so notes are written in
blocks: an entry holds those of up to 64 results.  A block is written when it is full, or when its
first note is older than a fifth of a second, or before anybody looks at notes, or at the end of the
process.  Who is killed before loses some notes, never results: ``why_miss`` and ``reduce_size`` do
not know of them then.  What somebody goes by (``cache_validation_callback``, references) is written
with the result, in an entry of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from multiprocessing import util
from typing import Any, NamedTuple

from plib_cache import Cache, PlibCacheError
from plib_cache.integrations.joblib._short import short
from plib_cache.integrations.joblib._store import OWN_KEY
from plib_cache.integrations.joblib._versions import OURS

BLOCK = "n:"  # begins the names of blocks
_MOST = 64
_OLDEST_US = 200_000
_encode = json.JSONEncoder(check_circular=False).encode  # the check takes half of the time
PLAIN = frozenset({int, float, bool, type(None)})  # told by their value
_TEXT_MOST = 60


class Note(NamedTuple):
    """What is known of one computation, as plain data."""

    key: str  # hexadecimal
    took_ns: int  # whole numbers, which take a tenth of the time of others to write
    began_us: int  # since 1970
    nbytes: int
    arguments: dict[str, Any]  # plain ones by value, others as [digest, description]


class Fresh(NamedTuple):
    """The same as it is put down at once; what is left to do is done when it is written."""

    key: bytes
    seconds: float
    ended_us: int
    nbytes: int
    arguments: list[Any]

    def note(self, names: tuple[str, ...]) -> Note:
        """Put down at length."""
        took_ns = int(self.seconds * 1e9)
        began_us = self.ended_us - took_ns // 1000
        arguments = dict(zip(names, self.arguments, strict=True))
        return Note(self.key.hex(), took_ns, began_us, self.nbytes, arguments)


def argument(value: Any, digest: Callable[[Any], str]) -> Any:
    """What a note says of an argument."""
    kind = type(value)
    if kind in PLAIN or (kind is str and len(value) <= _TEXT_MOST):
        return value
    return [digest(value), short(value)]


def metadata(func_id: str, note: Note) -> dict[str, Any]:
    """What is known of a computation, in joblib's form."""
    return {
        "duration": note.took_ns / 1e9,
        "input_args": {name: shown(value) for name, value in note.arguments.items()},
        "time": note.began_us / 1e6,
        OURS: {
            "func": func_id,
            "version": note.key[:32],
            "args": OWN_KEY + note.key,
            "nbytes": note.nbytes,
        },
    }


def shown(value: Any) -> str:
    """The description of an argument of a note."""
    return str(value[1]) if isinstance(value, list) else repr(value)


class Notes:
    """The notes of a function in one region that this process has not written yet."""

    def __init__(
        self, cache: Cache, func_id: str, names: tuple[str, ...], where: dict[str, Any]
    ) -> None:
        self._cache = cache
        self._func_id = func_id
        self.names = names  # of the function's arguments
        self._where = where  # namespace and tags
        self.pending: list[Fresh] = []

    def add(self, fresh: Fresh) -> None:
        """Note a computation, soon."""
        if not _unwritten.ending:
            _unwritten.at_the_end()
        pending = self.pending  # another thread may put a new one in its place
        pending.append(fresh)
        if len(pending) >= _MOST or fresh.ended_us - pending[0].ended_us > _OLDEST_US:
            self.write()

    def write(self) -> None:
        """Write what is not written yet.

        Raises:
            PlibCacheError: it cannot be written, and is lost.
        """
        written, self.pending = self.pending, []
        if written:
            name = BLOCK + os.urandom(16).hex()
            self._cache.set(name, self._block(written), **self._where)

    def _block(self, written: list[Fresh]) -> str:
        """By columns, which takes a quarter of the time."""
        keys, seconds, ended_us, nbytes, arguments = zip(*written, strict=True)
        took_ns = [int(one * 1e9) for one in seconds]
        return _encode(
            [self._func_id, self.names, b"".join(keys).hex(), took_ns, ended_us, nbytes, arguments]
        )


class _Unwritten:
    """The notes of this process, by region and function.

    They outlive the functions' objects, of which there may be many: scikit-learn memorizes a
    function anew at each fit.
    """

    def __init__(self) -> None:
        self.notes: dict[tuple[int, str, tuple[str, ...]], Notes] = {}
        self.ending = False  # are they written at the end of the process?
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        """What a parent has not written is its own to write."""
        self.ending = False
        for notes in self.notes.values():
            notes.pending = []

    def at_the_end(self) -> None:
        """Have them written then; atexit is not run in workers."""
        self.ending = True
        util.Finalize(None, _write_last, exitpriority=0)


_unwritten = _Unwritten()


def notes_of(cache: Cache, func_id: str, names: tuple[str, ...], where: dict[str, Any]) -> Notes:
    """Those of a function with these arguments in a region."""
    place = id(cache), func_id, names
    if place not in _unwritten.notes:
        _unwritten.notes[place] = Notes(cache, func_id, names, where)
    return _unwritten.notes[place]


def pending(func_id: str, key: str) -> Note | None:
    """The note of a result that this process has not written yet, if it is one of its own."""
    for (_, name, names), notes in list(_unwritten.notes.items()):
        for fresh in notes.pending if name == func_id else ():
            if fresh.key.hex() == key:
                return fresh.note(names)
    return None


def write_all() -> None:
    """Write what this process has not written yet.

    Raises:
        PlibCacheError: something cannot be written.
    """
    for notes in list(_unwritten.notes.values()):
        notes.write()


def _write_last() -> None:
    with contextlib.suppress(PlibCacheError):  # nobody is there any more to be told
        write_all()


def read_blocks(cache: Cache) -> Iterator[tuple[str, Note]]:
    """All notes in a region, each with the name of its function."""
    blocks = [key for key in cache if isinstance(key, str) and key.startswith(BLOCK)]
    for block in cache.get_many(blocks).values():
        try:
            func_id, found = _read(block)
        except (TypeError, ValueError):
            continue  # no block of ours
        yield from ((func_id, note) for note in found)


def _read(block: str) -> tuple[str, list[Note]]:
    func_id, names, keys, took_ns, ended_us, nbytes, arguments = json.loads(block)
    length = len(keys) // len(took_ns)
    rows = zip(took_ns, ended_us, nbytes, arguments, strict=True)
    return func_id, [
        Note(
            keys[at * length : (at + 1) * length],
            took,
            ended - took // 1000,
            size,
            dict(zip(names, given, strict=True)),
        )
        for at, (took, ended, size, given) in enumerate(rows)
    ]
