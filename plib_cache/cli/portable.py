# SPDX-License-Identifier: BSD-3-Clause
"""The file that an export writes and an import reads; version 1, described in docs/cli.md.

A file is 16 bytes that say what it is, and blocks.  A block is a header and its content:

======  ====  ===========================================================================
OFFSET  SIZE  FIELD (numbers are little-endian)
======  ====  ===========================================================================
     0     4  kind: HEAD, NAME, ENTR, DONE
     4     8  length of the content in bytes
    12    16  BLAKE2b (16 bytes) of the digest of the block before (of 16 zero bytes for the
              first), the 12 bytes above, and the content
    28        content
======  ====  ===========================================================================

HEAD is JSON and comes first: ``version``, and where the file is from.  NAME is JSON: ``number``,
``text`` (as in the region: "f:", "n:" or "t:" and the name) and ``shown``; it stands before the
entries that use the number.  ENTR is one entry: the 44 bytes of ``_ENTRY``, then key and value.
DONE is JSON, the number of entries, and comes last: without it the file was cut.

So any changed, missing, doubled or moved byte is found, and a reader needs no more memory than the
largest value takes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from plib_cache._core import Note
from plib_cache.exceptions import PlibCacheError

MAGIC = b"PLIB-CACHE-EXPOR"
VERSION = 1
_HEADER = struct.Struct("<4sQ")
_DIGEST = 16
# key length, type, cost, options, spare, flags, name, 4 tags, deadline, creation, value length
_ENTRY = struct.Struct("<HBBBxIH4HQQQ")
_TEXT, _IMMUTABLE = 1, 2
_NAMES = ("f:", "n:", "t:")
_LENGTH_MAX = 1 << 40
_JSON_MAX = 1 << 20
_PIECE = 1 << 20


class ExportError(PlibCacheError):
    """A file is no export, or is damaged."""


class Exported(NamedTuple):
    """One entry.  Times are milliseconds since 1970; a deadline of 0: never."""

    key: bytes
    value: bytes
    type_code: int
    cost: int
    text: bool
    immutable: bool
    flags: int
    name: int
    tags: tuple[int, ...]
    deadline_ms: int
    created_ms: int


class Writer:
    """Writes an export to a stream, which need not be a file."""

    def __init__(self, out: BinaryIO, head: dict[str, Any]) -> None:
        self._out, self._chain, self.entries = out, bytes(_DIGEST), 0
        out.write(MAGIC)
        self._write(b"HEAD", _dump({"version": VERSION, **head}))

    def _write(self, kind: bytes, *parts: bytes) -> None:
        header = _HEADER.pack(kind, sum(map(len, parts)))
        self._chain = _digest(self._chain, header, *parts)
        for part in (header, self._chain, *parts):
            self._out.write(part)

    def name(self, number: int, note: Note) -> None:
        """What a number stands for, before the first entry that uses it."""
        self._write(b"NAME", _dump({"number": number, **note._asdict()}))

    def entry(self, one: Exported) -> None:
        """An entry."""
        options = one.text * _TEXT | one.immutable * _IMMUTABLE
        tags = (one.tags + (0, 0, 0, 0))[:4]
        fixed = _ENTRY.pack(
            len(one.key), one.type_code, one.cost, options, one.flags, one.name, *tags,
            one.deadline_ms, one.created_ms, len(one.value),
        )  # fmt: skip
        self._write(b"ENTR", fixed, one.key, one.value)
        self.entries += 1

    def done(self) -> None:
        """That was all."""
        self._write(b"DONE", _dump({"entries": self.entries}))
        self._out.flush()


class Reader:
    """Reads an export from a stream; ``head`` is known at once, ``at`` is how much was read.

    Raises:
        ExportError: it is none, is damaged, or of a later version.
    """

    def __init__(self, source: BinaryIO, name: str) -> None:
        self._source, self._name = source, name
        self._chain, self.at, self.entries = bytes(_DIGEST), 0, 0
        self.names: dict[int, Note] = {}
        magic = self._source.read(len(MAGIC))
        self.at += len(magic)
        if magic != MAGIC:
            raise ExportError(f"{name} is no export of plib-cache: make one with plib-cache export")
        kind, content = self._block()
        self.head = self._json(content) if kind == b"HEAD" else self._damaged("it has no head")
        if self.head.get("version") != VERSION:
            raise ExportError(
                f"{name} is an export of version {self.head.get('version')}, and this plib-cache "
                f"reads version {VERSION}: use the plib-cache that wrote it, or a later one"
            )

    def __iter__(self) -> Iterator[Exported]:
        """The entries, each as soon as it is read and its digest holds."""
        while True:
            kind, content = self._block()
            if kind == b"ENTR":
                one = self._entry(content)
                if not {one.name, *one.tags} - {0} <= self.names.keys():
                    self._damaged("an entry has a name that was not told")
                self.entries += 1
                yield one
            elif kind == b"NAME":
                self._name_of(self._json(content))
            elif kind == b"DONE":
                break
            else:
                self._damaged(f"a block of kind {kind!r}")
        if self._json(content).get("entries") != self.entries:
            self._damaged("entries are missing")
        if self._source.read(1):
            self._damaged("something follows its end")

    def _name_of(self, told: dict[str, Any]) -> None:
        number, text, shown = (told.get(what) for what in ("number", "text", "shown"))
        good = isinstance(number, int) and isinstance(text, str) and isinstance(shown, str)
        if not good or str(text)[:2] not in _NAMES or len(str(text)) <= 2:
            self._damaged("a name makes no sense")
        self.names[int(number or 0)] = Note(str(text), str(shown))

    def _block(self) -> tuple[bytes, bytes]:
        header = self._read(_HEADER.size)
        kind, length = _HEADER.unpack(header)
        told = self._read(_DIGEST)
        most = _LENGTH_MAX if kind == b"ENTR" else _JSON_MAX
        if length > most:
            self._damaged(f"a block of {length} bytes")
        content = self._read(length)
        chain = _digest(self._chain, header, content)
        if chain != told:
            self._damaged("its checksum does not hold")
        self._chain = chain
        return kind, content

    def _read(self, length: int) -> bytes:
        pieces, left = [], length
        while left:  # a length that is damaged must not ask for more memory than the file has
            piece = self._source.read(min(left, _PIECE))
            if not piece:
                self._damaged("it ends too early")
            pieces.append(piece)
            left -= len(piece)
        self.at += length
        return b"".join(pieces)

    def _entry(self, content: bytes) -> Exported:
        if len(content) < _ENTRY.size:
            self._damaged("an entry is too short")
        (key_length, type_code, cost, options, flags, name, *rest) = _ENTRY.unpack_from(content)
        tags, (deadline_ms, created_ms, length) = rest[:4], rest[4:]
        value_at = _ENTRY.size + key_length
        if not key_length or value_at + length != len(content):
            self._damaged("the lengths of an entry contradict each other")
        return Exported(
            content[_ENTRY.size : value_at], content[value_at:], type_code, cost,
            bool(options & _TEXT), bool(options & _IMMUTABLE), flags, name,
            tuple(tag for tag in tags if tag), deadline_ms, created_ms,
        )  # fmt: skip

    def _json(self, content: bytes) -> dict[str, Any]:
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):  # a few bytes nest deeper than the stack goes
            told = None
        return told if isinstance(told, dict) else self._damaged("a block is no JSON")

    def _damaged(self, what: str) -> Any:
        raise ExportError(
            f"{self._name} is damaged near byte {self.at:,}: {what}; "
            "take it anew from where it was made, or export once more"
        )


def _dump(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        digest.update(part)
    return digest.digest()
