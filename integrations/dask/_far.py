# SPDX-License-Identifier: BSD-3-Clause
"""What the other nodes of a cluster have stored in this one's region: its answers to them.

Nothing here raises for what goes wrong with the region: it is counted, and the other node is told
that it has nothing, or that nothing was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from distributed.protocol.serialize import Serialize

from plib_cache import Cache, PlibCacheError
from plib_cache.integrations.dask._counts import Counts
from plib_cache.keys import key_bytes
from plib_cache.tiers import Parcel

_PREFIX = b"plib_cache far "  # begins the names of what others stored here
_NAMESPACE = "plib_cache far"  # removed as one


def apart(payload: bytes) -> Any:
    """Bytes that are sent beside the message, not copied into it."""
    return Serialize(payload)  # type: ignore[no-untyped-call]


class Far:
    """What others have stored here.

    Args:
        cache: the worker's own.
    """

    def __init__(self, cache: Cache, counts: Counts) -> None:
        self._cache = cache
        self._counts = counts

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """What a worker is to answer the others, by the name of what they ask."""
        return {
            "plib_cache_get": self._get,
            "plib_cache_set": self._set,
            "plib_cache_delete": self.drop,
            "plib_cache_clear": self.clear,
        }

    def _get(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        return {key: apart(value) for key, value in self.look(keys).items()}

    def _set(self, parcels: Sequence[tuple[bytes, Any, float | None]]) -> list[bytes]:
        return self.keep(Parcel(*parcel) for parcel in parcels)

    def look(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The payloads of those keys that are here."""
        try:
            found = self._cache.get_many([_PREFIX + key for key in keys])
        except PlibCacheError as error:
            self._counts.failed("another node's look was not answered", error)
            return {}
        cut = len(_PREFIX)
        return {key_bytes(name)[0][cut:]: value for name, value in found.items()}

    def keep(self, parcels: Iterable[Parcel]) -> list[bytes]:
        """Store; the keys of what was not."""
        failed = []
        for key, payload, seconds in parcels:
            try:
                self._cache.set(_PREFIX + key, bytes(payload), seconds, namespace=_NAMESPACE)
            except PlibCacheError as error:
                self._counts.failed("a value of another node was not stored", error)
                failed.append(key)
        return failed

    def drop(self, keys: Sequence[bytes]) -> list[bytes]:
        """Remove; the keys of which that failed."""
        try:
            self._cache.delete_many([_PREFIX + key for key in keys])
        except PlibCacheError as error:
            self._counts.failed("a value of another node was not removed", error)
            return list(keys)
        return []

    def clear(self) -> bool:
        """Remove all of it, in one step."""
        try:
            self._cache.invalidate_namespace(_NAMESPACE)
        except PlibCacheError as error:
            self._counts.failed("the values of other nodes were not removed", error)
            return False
        return True
