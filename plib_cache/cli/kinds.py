# SPDX-License-Identifier: BSD-3-Clause
"""What values are, for people: their kinds, and those that can be shown without running code."""

from __future__ import annotations

import time
from typing import Any

from plib_cache._core import Described, Region
from plib_cache._frame import parse_frame
from plib_cache._marked import STALE, STALE_WON, VACANT, VALUES, WON
from plib_cache._restricted import NotPlainError, load_nameless
from plib_cache.cli.show import size
from plib_cache.exceptions import SerializationError
from plib_cache.serialize import DefaultSerializer, TypeCode

_NAMES = {
    TypeCode.NONE: "None",
    TypeCode.NDARRAY: "array",
    TypeCode.PICKLE5: "pickle",
    TypeCode.CLOUDPICKLE: "cloudpickle",
}
_MARKED = {STALE: "stale", STALE_WON: "stale", VACANT: "vacant"}
_CODES = frozenset(int(code) for code in TypeCode)
CODE = frozenset({TypeCode.PICKLE5, TypeCode.CLOUDPICKLE})  # what runs code to be read


def plain(type_code: int) -> int:
    """The type code without the mark of a client of the network."""
    return type_code - WON if WON <= type_code < WON + VALUES else type_code


def known(code: int) -> bool:
    """Whether a type code is one of the default serializer."""
    return code in _CODES


def kind(type_code: int) -> str:
    """The kind of a value, as a word."""
    code = plain(type_code)
    if code in _MARKED:
        return _MARKED[code]
    try:
        return _NAMES.get(TypeCode(code), TypeCode(code).name.lower())
    except ValueError:
        return f"type {code}"  # of a serializer of one's own


def value_of(described: Described) -> Any:
    """The value, read without running code: of a pickle only builtin containers and scalars.

    Raises:
        SerializationError: it cannot be read so.
    """
    code, data = plain(described.type_code), memoryview(described.data)
    if code in CODE:
        return load_nameless(*parse_frame(data))
    if not known(code):
        raise SerializationError(f"{kind(code)}, {described.nbytes} bytes: read it with --load")
    return DefaultSerializer("data").loads(code, data)


def what_of(described: Described, error: Exception) -> str:
    """What a value is that cannot be read so, and why, in a few words."""
    named = error.what if isinstance(error, NotPlainError) else ""
    needs = f" that needs {printable(named):.100}" if named else ""
    return f"{kind(described.type_code)}{needs}, {size(described.nbytes)}"


def printable(text: str) -> str:
    """A text that does nothing to a terminal."""
    return text if text.isprintable() else repr(text)


def key_text(raw: bytes) -> str | None:
    """A key as text that a terminal can show; None for others."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def key_shown(raw: bytes) -> str:
    """A key in one line: text, or hexadecimal behind 0x."""
    text = key_text(raw)
    return "0x" + raw.hex() if text is None else text


def key_fields(raw: bytes) -> dict[str, Any]:
    """A key in JSON: as text, null if it is none; and in hexadecimal."""
    return {"key": key_text(raw), "hex": raw.hex()}


def fields(region: Region, described: Described) -> dict[str, Any]:
    """What is kept of an entry, in JSON; times are seconds since 1970, an expiry of null never."""
    return {
        "kind": kind(described.type_code),
        "bytes": described.nbytes,
        "created": described.created_ms / 1000,
        "expires": described.deadline_ms / 1000 or None,
        "flags": described.flags,
        "namespace": name_shown(region, described.name) if described.name else None,
        "tags": [name_shown(region, tag) for tag in described.tags],
    }


def name_shown(region: Region, number: int) -> str:
    """What a number stands for, for people; "#" and the number, if that is not known."""
    note = region.noted(number)
    if note is None:
        return f"#{number}"
    return note.shown or note.text[2:]


def expiry(described: Described) -> str:
    """When an entry expires, seen from now."""
    if not described.deadline_ms:
        return "never"
    left = described.deadline_ms / 1000 - time.time()
    return f"in {left:.0f} s" if left > 0 else "now"
