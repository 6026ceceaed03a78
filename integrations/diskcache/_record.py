# SPDX-License-Identifier: BSD-3-Clause
"""What an entry is: a value's bytes, and behind them what diskcache has in columns.

::

    the value, as the default serializer of a cache encodes it
    the whole key, if it was too long for a region
    the tag, encoded in the same way
    28 bytes: type codes of value and tag, mode, lengths of tag and key, expiry, time of storing

The value comes first, so that its buffers lie where they would lie without the rest.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from plib_cache import SerializationError
from plib_cache.serialize import DefaultSerializer, Encoded

Tag = None | str | int | float | bytes

_CODE = 100  # of a record; those of the default serializer are less
_FOOTER = struct.Struct("<BBBxIIdq")
_plain = DefaultSerializer("data")


class Record(NamedTuple):
    """An entry: the value as bytes, not yet read, and the rest."""

    code: int  # of the value
    parts: Sequence[bytes | memoryview]
    nbytes: int
    mode: int
    expire_time: float | None  # seconds since 1970
    tag: Tag
    stored_ns: int
    key: bytes = b""  # as packed, if it was too long

    def loaded(self, values: DefaultSerializer) -> object:
        """The value.

        Raises:
            SerializationError: it is damaged, or may not be read.
        """
        (data,) = self.parts
        return values.loads(self.code, memoryview(data))


# What is stored, already expired, in the place of exactly one entry in order to remove it.
NOTHING = Record(0, (), 0, 0, None, None, 0)


class Records:
    """The serializer of records."""

    name = "diskcache"

    def dumps(self, value: object) -> Encoded:
        """A record as bytes."""
        if not isinstance(value, Record):
            raise SerializationError(
                f"a {type(value).__name__} is no record: store by the methods of the cache"
            )
        tag = _plain.dumps(value.tag)
        expiry = math.nan if value.expire_time is None else value.expire_time
        footer = _FOOTER.pack(
            *(value.code, value.mode, tag.type_code, tag.nbytes),
            *(len(value.key), expiry, value.stored_ns),
        )
        tail = b"".join((value.key, *tag.parts, footer))
        return Encoded(_CODE, [*value.parts, tail], value.nbytes + len(tail))

    def loads(self, type_code: int, data: memoryview) -> Record:
        """A record, whose value stays bytes over ``data``."""
        if type_code != _CODE or len(data) < _FOOTER.size:
            raise _foreign()
        code, mode, tag_code, tag_length, key_length, expiry, stored_ns = _FOOTER.unpack(
            data[-_FOOTER.size :]
        )
        tag_at = len(data) - _FOOTER.size - tag_length
        key_at = tag_at - key_length
        if key_at < 0:
            raise _foreign()
        tag = _plain.loads(tag_code, memoryview(bytes(data[tag_at : tag_at + tag_length])))
        if not isinstance(tag, Tag):
            raise _foreign()
        whole = bytes(data[key_at:tag_at])
        expire_time = None if math.isnan(expiry) else expiry
        return Record(code, [data[:key_at]], key_at, mode, expire_time, tag, stored_ns, whole)


def _foreign() -> SerializationError:
    return SerializationError(
        "an entry was not stored by plib_cache.integrations.diskcache: open this file by it alone"
    )


def check_tag(tag: object) -> Tag:
    """A tag, if it can be one.

    Raises:
        TypeError: it is none of the types that tags have.
    """
    if type(tag) is bool:
        return int(tag)
    if tag is None or type(tag) in (str, int, float, bytes):
        return tag  # type: ignore[return-value]
    raise TypeError(f"tag is a {type(tag).__name__}: give a str, int, float, bytes or None")


class _Moments:
    """The times of storing of this process; of one thread each is later than the one before."""

    last = 0

    def next(self) -> int:
        """Nanoseconds since 1970."""
        self.last = now = max(self.last + 1, time.time_ns())
        return now


next_ns = _Moments().next
