# SPDX-License-Identifier: BSD-3-Clause
"""The operations of a cache with tiers that look before they change, and what it says of itself.

Each first has in the region what the tiers have of its key, and then is what it is without tiers:
one step for all processes of the node.  What the tiers have then is replaced, or removed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from plib_cache._attached import Key
from plib_cache._core import EXISTS, OK, Claim, Terms
from plib_cache._distant import promote, value_of
from plib_cache._flight import MISSING, Missing
from plib_cache._moments import Expire
from plib_cache._reserve import Reservation
from plib_cache.cache import Cache
from plib_cache.exceptions import BusyError, RegionFullError
from plib_cache.keys import key_bytes
from plib_cache.remote.tied import Tied
from plib_cache.stats import Stats

T = TypeVar("T")
_CLAIM_MS = 5000  # for a look in the tiers, and storing what they have
_CLOSE_S = 1.0  # what is on its way has so long when the cache is closed


class RemoteVerbs(Cache):
    """See ``RemoteCache``."""

    _tiers: Tied

    def _pull(self, raw: bytes, text: bool) -> Any | Missing:
        """The value that the tiers have of a key, which is stored in the region."""
        terms = self._no_terms[text]
        claim = self._claimed(raw, terms)
        if claim is not None and claim.status == EXISTS:
            return self._load(self._find(raw))
        token = claim.token if claim is not None and claim.status == OK else 0
        try:
            arrived = self._tiers.fetch(raw)
            if arrived is None:
                return MISSING
            value = value_of(arrived, self._serializer, self._tiers)
            if value is not MISSING and token and claim is not None:
                if promote(self._region, self._tiers, raw, arrived, claim, terms):
                    token = 0
            return value
        finally:
            if token:
                self._region.abandon(raw, token)

    def _claimed(self, raw: bytes, terms: Terms) -> Claim | None:
        """A claim, so that a delete that comes between is not undone; None: there is no room."""
        try:
            return self._region.claim(raw, terms, _CLAIM_MS)
        except (RegionFullError, BusyError):
            return None

    def _ensure(self, key: Key) -> bytes:
        """Have in the region what there is of a key; its bytes."""
        raw, text = key_bytes(key)
        if self._find(raw) is None:
            self._pull(raw, text)
        return raw

    def _stays(self, namespace: object, tags: object) -> bool:
        """Whether an entry is kept from the tiers, where no invalidation would reach it."""
        return not self._immutable and bool(namespace or tags)

    # ---- look, and store

    def add(self, key: Key, value: Any, expire: Expire = None, **terms: Any) -> bool:
        """See ``Cache.add``; also a value that a tier has is one."""
        self._ensure(key)
        return super().add(key, value, expire, **terms)

    def replace(self, key: Key, value: Any, expire: Expire = None, **terms: Any) -> bool:
        """See ``Cache.replace``."""
        self._ensure(key)
        return super().replace(key, value, expire, **terms)

    def gets(self, key: Key) -> tuple[Any, int] | None:
        """See ``Cache.gets``; the token is one of this node."""
        self._ensure(key)
        return super().gets(key)

    # ---- look, and change what is there

    def append(self, key: Key, suffix: bytes) -> bool:
        """See ``Cache.append``."""
        return self._changed(key, super().append(self._known(key), suffix))

    def prepend(self, key: Key, prefix: bytes) -> bool:
        """See ``Cache.prepend``."""
        return self._changed(key, super().prepend(self._known(key), prefix))

    def incr(self, key: Key, delta: int = 1) -> int | None:
        """See ``Cache.incr``; a count of this node."""
        return self._changed(key, super().incr(self._known(key), delta))

    def decr(self, key: Key, delta: int = 1) -> int | None:
        """See ``Cache.decr``; a count of this node."""
        return self._changed(key, super().decr(self._known(key), delta))

    def touch(self, key: Key, expire: Expire) -> bool:
        """See ``Cache.touch``."""
        return self._changed(key, super().touch(self._known(key), expire))

    def gat(self, key: Key, expire: Expire, default: Any = None) -> Any:
        """See ``Cache.gat``."""
        return self._changed(key, super().gat(self._known(key), expire, default), always=True)

    def _known(self, key: Key) -> Key:
        self._ensure(key)
        return key

    def _changed(self, key: Key, answer: T, *, always: bool = False) -> T:
        """The answer of an operation that has changed a value, if it is not None or False."""
        if always or (answer is not None and answer is not False):
            self._tiers.forget([key_bytes(key)[0]])
        return answer

    # ---- in place

    def view(self, key: Key) -> memoryview:
        """See ``Cache.view``."""
        self._ensure(key)
        return super().view(key)

    def _reserve(self, key: Key, *args: Any) -> Reservation:
        made = super()._reserve(key, *args)
        made.sealed = lambda: self._tiers.forget([key_bytes(key)[0]])
        return made

    # ---- single flight

    def get_or_compute(
        self,
        key: Key,
        fn: Callable[[], T],
        expire: Expire = None,
        *,
        limit: float = 300,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> T:
        """See ``Cache.get_or_compute``; the tiers are asked before anything is computed.

        Where a tier is of memcached servers, one of all nodes computes and the others wait.
        """
        tags = tags if isinstance(tags, (str, bytes)) else tuple(tags)
        if self._stays(namespace, tags):
            self._tiers.forget([key_bytes(key)[0]])
        return super().get_or_compute(key, fn, expire, limit=limit, namespace=namespace, tags=tags)

    # ---- upkeep

    def wait_remote(self, limit: float = 5.0) -> bool:
        """See ``Cache.wait_remote``."""
        return self._tiers.wait(limit)

    def stats(self) -> Stats:
        """See ``Cache.stats``; ``remote`` is what this process counted of the tiers."""
        return dataclasses.replace(super().stats(), remote=self._tiers.stats())

    def reset_stats(self) -> None:
        """See ``Cache.reset_stats``."""
        super().reset_stats()
        self._tiers.reset_stats()

    def close(self) -> None:
        """See ``Cache.close``; what is on its way to the tiers has a second to get there."""
        if not self.closed:
            self._tiers.wait(_CLOSE_S, tried=True)
        super().close()
