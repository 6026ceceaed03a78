# SPDX-License-Identifier: BSD-3-Clause
"""What the numbers of functions, namespaces and tags stand for, and all that is kept of an entry.

The region knows names by the hash of their text.  So that people can read them, and an export can
carry them along, the text lies beside them in a small entry of its own, a note: no walk shows it,
no count counts it, and of its loss nothing depends.  Who uses a name writes it again if it is gone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from plib_cache._core import work as _work
from plib_cache._core.entries import Entries
from plib_cache._core.handle import TOO_SMALL
from plib_cache._core.names import NameCounts, Names
from plib_cache._core.values import ADD
from plib_cache._core.walk import Walks
from plib_cache._core.work import BUFFER_BYTES, Terms
from plib_cache._native import ffi, lib
from plib_cache.exceptions import PlibCacheError

NOTES = int(lib.PLC_NOTES)
_KEY = "\0plib_cache name "
_TEXT = 1  # the type code of text
_MOST = 1024  # names that a process writes notes of
_AGAIN_S = 1.0  # whether a note is still there is looked at so often at most


class Described(NamedTuple):
    """All that is kept of an entry.  Times are milliseconds since 1970; a deadline of 0: never."""

    type_code: int
    nbytes: int
    flags: int
    deadline_ms: int
    created_ms: int
    text: bool  # the last writer gave the key as text
    immutable: bool
    cost: int
    name: int
    tags: tuple[int, ...]
    data: bytes  # empty, if it was not asked for


class Note(NamedTuple):
    """What a number stands for.

    ``text`` is the name in the region: "f:" and a digest of a function, "n:" and a namespace, "t:"
    and a tag.  ``shown`` is a function's name for people.
    """

    text: str
    shown: str


class _Text(NamedTuple):
    type_code: int
    parts: tuple[bytes]
    nbytes: int


def note_key(number: int) -> bytes:
    """The key of a number's note."""
    return f"{_KEY}{number}".encode()


class Notes(Entries, Names, Walks):
    """The operations on notes, and looks that leave no trace."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._noted: dict[int, float] = {}  # by number: when its note was looked at

    def name(self, text: str, shown: str = "") -> int:
        """The number of a name, the same for as long as the region lives; writes a note of it."""
        number = self._names.get(text)
        if number is None:
            number = super().name(text)
        self.note(number, text, shown)
        return number

    def note(self, number: int, text: str, shown: str) -> None:
        """Write what a number stands for, if that is not there; looks once a second at most."""
        now, known = time.monotonic(), self._noted.get(number)
        if known is None and len(self._noted) >= _MOST:
            return
        if known is not None and now < known + _AGAIN_S:
            return
        self._noted[number] = now
        line = shown.replace("\n", " ")  # and the text may have several
        key, raw = note_key(number), f"{text}\n{line}".encode("utf-8", "surrogatepass")
        try:
            if self.describe(key) is None:
                terms = Terms(name=NOTES, immutable=True)
                self.store(ADD, key, _Text(_TEXT, (raw,), len(raw)), terms)
        except PlibCacheError:  # full, or too busy: there is no harm in having no note
            return

    def noted(self, number: int) -> Note | None:
        """What a number stands for, if it is known."""
        found = self.describe(note_key(number), whole=True)
        if found is None or found.name != NOTES:
            return None
        text, _, shown = found.data.decode("utf-8", "replace").rpartition("\n")
        return Note(text, shown)

    def notes(self) -> dict[int, Note]:
        """What is known of all numbers; walks the whole index."""
        numbers = [int(key[len(_KEY) :]) for key, _ in self.scan(NOTES) if _is_note(key)]
        return {number: note for number in numbers if (note := self.noted(number)) is not None}

    def names_used(self) -> Iterator[tuple[int, NameCounts]]:
        """The numbers whose reads were counted, and the counts; looks at all numbers there are."""
        counts = ffi.new("plc_name_counts *")
        for number in range(1, self.info()["names"]):
            self._call(lib.plc_name_read, number, counts)
            if counts.hits or counts.misses:
                yield number, NameCounts(counts.hits, counts.misses, counts.saved_us)

    def describe(self, key: bytes, *, whole: bool = False) -> Described | None:
        """The entry of a key, which has not been read for it; nothing is counted.

        Args:
            whole: with its value, as bytes; else without.
        """
        work = _work.take()
        try:
            buffer, room, found = work.buffer, BUFFER_BYTES if whole else 0, work.found
            status = self._insist_from(lib.plc_peek, key, len(key), buffer, room, found)
            while whole and status == TOO_SMALL:  # and may grow meanwhile
                room = found.length
                buffer = ffi.new_allocator(should_clear_after_alloc=False)("char[]", room)
                status = self._insist_from(lib.plc_peek, key, len(key), buffer, room, found)
            if status != TOO_SMALL and self._absent(status, key):
                return None
            data = ffi.unpack(buffer, found.length) if whole else b""
            return _described(found, data)
        finally:
            _work.give_back(work)


def _described(f: Any, data: bytes) -> Described:
    return Described(
        f.type,
        f.length,
        f.client_flags,
        f.deadline_ms,
        f.created_ms,
        bool(f.key_is_text),
        bool(f.immutable),
        f.cost,
        f.name,
        tuple(tag for tag in f.tags if tag),
        data,
    )


def _is_note(key: bytes) -> bool:
    return key.startswith(_KEY.encode()) and key[len(_KEY) :].isdigit()
