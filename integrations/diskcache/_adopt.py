# SPDX-License-Identifier: BSD-3-Clause
"""For ``plib-cache import --diskcache``: entries that go into a cache as they were elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

from plib_cache.integrations.diskcache._base import remaining
from plib_cache.integrations.diskcache._cache import Cache
from plib_cache.integrations.diskcache._keys import pack, shortened
from plib_cache.integrations.diskcache._record import Record, check_tag
from plib_cache.serialize import Encoded


class Meta(NamedTuple):
    """What diskcache knows of an entry besides its key and value."""

    mode: int
    expire_time: float | None  # seconds since 1970
    tag: Any
    store_time: float


def packed(db_key: Any, raw: bool) -> bytes:
    """What stands for a key in a cache, from what diskcache has in its place."""
    return pack(db_key, raw)


def adopt(cache: Cache, key: bytes, value: Encoded, meta: Meta, *, keep: bool) -> bool:
    """Store an entry; False if there is one already, and it is to be kept.

    Raises:
        PlibCacheError: it cannot be stored.
    """
    raw = shortened(key)
    whole = key if len(raw) < len(key) else b""
    record = Record(
        *(value.type_code, value.parts, value.nbytes, meta.mode, meta.expire_time),
        *(check_tag(meta.tag), int(meta.store_time * 1e9), whole),
    )
    left = remaining(meta.expire_time)
    if keep:
        return bool(cache._cache.add(raw, record, left))
    cache._cache.set(raw, record, left)
    return True


def evictions(cache: Cache) -> int:
    """How many entries were evicted so far."""
    return cache._cache.stats().evictions
