# SPDX-License-Identifier: BSD-3-Clause
"""The memory that one call of the core needs, and how it is filled.

Allocating a buffer and a few structures for each call would cost more than the call.  So they are
kept and used again: a call takes a ``Work`` and gives it back.  A call inside a call (a signal
handler, a ``__del__`` run by the garbage collector, another thread) finds it taken and gets
another one; nothing is ever shared by two calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from plib_cache._native import ffi, lib

BUFFER_BYTES = 65536
FIRST_OWNED_TYPE = 7  # values of type codes from here on may be kept and written to
_KEY_IS_TEXT = int(lib.PLC_KEY_IS_TEXT)
_IMMUTABLE = int(lib.PLC_IMMUTABLE)
_PARTS = 16
_NO_TAGS = (0, 0, 0, 0)

# Type code, value, cost code, token.  A value of type code 0 to 6 comes as bytes; any other as a
# bytearray of its own, which may be kept and written to.
Found = tuple[int, "bytes | bytearray | memoryview", int, int]


class Encoding(Protocol):
    """A value as the core stores it."""

    @property
    def type_code(self) -> int: ...
    @property
    def parts(self) -> Sequence[bytes | memoryview]: ...
    @property
    def nbytes(self) -> int: ...


class Terms(NamedTuple):
    """How a value is stored.

    ``deadline_ms`` is in milliseconds since 1970, 0 for never.  ``name`` and ``tags`` are numbers
    of namespaces.  ``total`` is a generation sum that was captured before; 0 captures it now.
    """

    deadline_ms: int = 0
    name: int = 0
    tags: tuple[int, ...] = ()
    cost: int = 0
    text: bool = False
    total: int = 0
    immutable: bool = False


class Item(NamedTuple):
    """One entry of many that are stored together."""

    key: bytes
    value: Encoding
    terms: Terms


class Work:
    """One call's buffer and structures."""

    __slots__ = ("buffer", "entry", "flight", "found", "parts")

    def __init__(self) -> None:
        self.buffer: Any = ffi.new("char[]", BUFFER_BYTES)
        self.found: Any = ffi.new("plc_found *")
        self.entry: Any = ffi.new("plc_entry *")
        self.parts: Any = ffi.new("plc_part[]", _PARTS)
        self.flight: Any = ffi.new("plc_flight *")


_free: list[Work] = []
_unpack = ffi.unpack


def take() -> Work:
    """A work that nobody else uses until it is given back."""
    try:
        return _free.pop()
    except IndexError:
        return Work()


give_back = _free.append


def copy_out(buffer: Any, length: int, type_code: int) -> bytes | bytearray:
    """The first ``length`` bytes of a buffer, as a value of that type code comes."""
    if type_code < FIRST_OWNED_TYPE:
        data: bytes = _unpack(buffer, length)
        return data
    return bytearray(ffi.buffer(buffer, length))


def fill(
    entry: Any, parts: Any, key: bytes, value: Encoding, terms: Terms, token: int = 0
) -> list[Any]:
    """Describe an entry; what it points to lives as long as the list that is returned."""
    pieces = value.parts
    if len(pieces) > _PARTS:
        parts = ffi.new("plc_part[]", len(pieces))
    alive = [parts, key_pointer := ffi.from_buffer(key)]
    for i, piece in enumerate(pieces):
        pointer = ffi.from_buffer(piece)
        alive.append(pointer)
        part = parts[i]
        part.bytes, part.length = pointer, len(pointer)
    entry.key, entry.key_length = key_pointer, len(key)
    entry.parts, entry.part_count = parts, len(pieces)
    entry.type, entry.token = value.type_code, token
    _fill_terms(entry, terms)
    return alive


def _fill_terms(entry: Any, terms: Terms) -> None:
    deadline_ms, name, tags, cost, text, total, immutable = terms
    entry.deadline_ms, entry.name, entry.cost, entry.sum = deadline_ms, name, cost, total
    entry.options = (_KEY_IS_TEXT if text else 0) | (_IMMUTABLE if immutable else 0)
    entry.tags = (tags + _NO_TAGS)[:4] if tags else _NO_TAGS


def fill_many(items: Sequence[Item]) -> tuple[Any, list[Any]]:
    """An array of entries, and what they point to."""
    entries = ffi.new("plc_entry[]", len(items))
    alive: list[Any] = []
    for i, (key, value, terms) in enumerate(items):
        parts = ffi.new("plc_part[]", len(value.parts))
        alive += fill(entries + i, parts, key, value, terms)
    return entries, alive


class Keys:
    """Many keys as the core takes them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.alive = [ffi.from_buffer(key) for key in keys]
        self.pointers: Any = ffi.new("const void *[]", self.alive)
        self.lengths: Any = ffi.new("size_t[]", [len(key) for key in keys])


def counters(stats: Any) -> Mapping[str, int]:
    """The counters of the core by their names, and what the pool holds, in bytes."""
    named: dict[str, int] = {}
    for i, count in enumerate(stats.counters):
        name = lib.plc_counter_name(i)
        if name == ffi.NULL:
            break
        named[ffi.string(name).decode()] = count
    for gauge in ("used", "free", "largest_free", "leased", "reserved"):
        named[gauge] = getattr(stats, f"{gauge}_bytes")
    return named
