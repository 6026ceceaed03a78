# SPDX-License-Identifier: BSD-3-Clause
"""Where ``plib-cache import --diskcache`` puts entries, and what their values are there.

Pickles are not run here.  Those of plain data are read by a reader that knows nothing else; any
other is left out, or (``--pickles``) goes into the cache as it is, and is run by who reads it.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple, Protocol

from plib_cache._core import ADD, OK, SET
from plib_cache._frame import build_frame
from plib_cache._restricted import load_plain
from plib_cache.cache import Cache
from plib_cache.cli.diskcache_rows import PICKLE, Row
from plib_cache.exceptions import PlibCacheError, SerializationError
from plib_cache.integrations import diskcache as theirs
from plib_cache.integrations.diskcache._adopt import Meta, adopt, evictions, packed
from plib_cache.keys import key_bytes
from plib_cache.serialize import DefaultSerializer, Encoded, TypeCode

_plain = DefaultSerializer("code")


class NeedsCodeError(PlibCacheError):
    """A pickle is not one of plain data."""


class UnfitKeyError(PlibCacheError):
    """A key cannot be one of a cache."""


class Wanted(NamedTuple):
    """How to import."""

    pickles: bool = False
    keep: bool = False  # replace nothing that is there
    dry: bool = False


class Target(Protocol):
    """Where the entries go."""

    def key(self, row: Row, wanted: Wanted) -> bytes | str:
        """The key of an entry there; UnfitKeyError, NeedsCodeError: it has none."""

    def put(self, key: Any, row: Row, value: Encoded, wanted: Wanted) -> bool:
        """Store an entry; False if there is one already, and it is to be kept."""

    def evictions(self) -> int:
        """How many entries were evicted there so far."""


class Native:
    """A ``plib_cache.Cache``: keys are text and bytes, tags are tags."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def key(self, row: Row, wanted: Wanted) -> bytes | str:
        """Text and bytes as they are, a number by its digits."""
        if not row.raw:
            raise UnfitKeyError("it was pickled, and a key is text or bytes")
        key: bytes | str = row.key if isinstance(row.key, (str, bytes)) else str(row.key)
        try:
            key_bytes(key)
        except ValueError as error:
            raise UnfitKeyError(str(error)) from None
        return key

    def put(self, key: Any, row: Row, value: Encoded, wanted: Wanted) -> bool:
        """Store an entry with the expiry and the tag that it had."""
        raw, text = key_bytes(key)
        left = None if row.expire_time is None else row.expire_time - time.time()
        terms = self._cache._terms(text, left, None, _tags(row.tag))
        return self._cache._region.store(ADD if wanted.keep else SET, raw, value, terms) == OK

    def evictions(self) -> int:
        """See ``Target``."""
        return self._cache.stats().evictions


class DropIn:
    """A directory of ``plib_cache.integrations.diskcache.Cache``: everything as it was."""

    def __init__(self, cache: theirs.Cache) -> None:
        self._cache = cache

    def key(self, row: Row, wanted: Wanted) -> bytes | str:
        """The key as that class has it; of one that needs code, its pickle."""
        if row.raw:
            return packed(row.key, True)
        try:
            key = load_plain(row.key, [])
        except SerializationError as error:
            if not wanted.pickles:
                raise NeedsCodeError(f"its key: {_what(error)}") from None
            return packed(row.key, False)
        return packed(*self._cache.disk.put(key))

    def put(self, key: Any, row: Row, value: Encoded, wanted: Wanted) -> bool:
        """Store an entry with all that diskcache knew of it."""
        meta = Meta(row.mode, row.expire_time, row.tag, row.store_time)
        return adopt(self._cache, key, value, meta, keep=wanted.keep)

    def evictions(self) -> int:
        """See ``Target``."""
        return evictions(self._cache)


def _tags(tag: Any) -> tuple[str, ...]:
    """The tag of an entry as a name; none, if there is none that can be one."""
    if isinstance(tag, bytes):
        tag = tag.decode("utf-8", "backslashreplace")
    return () if tag is None or tag == "" else (str(tag),)


def _what(error: SerializationError) -> str:
    """Why a pickle is not read, without the advice for a cache's values: here it is --pickles."""
    what = getattr(error, "what", "")
    return f"{what} is not plain data" if what else str(error)


def encoded(row: Row, wanted: Wanted) -> Encoded:
    """The value of an entry as a cache stores it.

    Raises:
        NeedsCodeError: it is a pickle of more than plain data.
    """
    if row.mode != PICKLE:
        return _plain.dumps(row.content)
    try:
        return _plain.dumps(load_plain(row.content, []))
    except SerializationError as error:
        if not wanted.pickles:
            raise NeedsCodeError(_what(error)) from None
    return build_frame(TypeCode.PICKLE5, row.content, [])
