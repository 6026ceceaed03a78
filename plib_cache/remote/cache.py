# SPDX-License-Identifier: BSD-3-Clause
"""``RemoteCache``: what ``Cache(..., remote=...)`` gives, a cache with tiers behind its region.

Reads ask the region, then the tiers; what a tier has is stored in the region first, where that can
be.  Operations that look at what is there before they change it (``add``, ``incr``, ``cas``, ...)
are one step for all processes of this node, not between nodes.  What counts, appends or touches
removes the key from the tiers, for they are not told each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plib_cache import config
from plib_cache._attached import Key
from plib_cache._core import EXISTS, OK, SET, Claim, Item, Terms
from plib_cache._distant import promote, value_of
from plib_cache._flight import MISSING, Missing
from plib_cache._inplace import Copy
from plib_cache._moments import Expire
from plib_cache.cache import Cache
from plib_cache.exceptions import (
    BusyError,
    ConfigurationError,
    PlibCacheError,
    RegionFullError,
    RemoteError,
)
from plib_cache.keys import key_bytes
from plib_cache.remote.open import open_stack
from plib_cache.remote.tied import Tied
from plib_cache.remote.verbs import RemoteVerbs

_CLAIM_MS = 5000  # for a look in the tiers, and storing what they have
_local_get = Cache.get


class RemoteCache(RemoteVerbs):
    """A cache with tiers behind its region; see ``Cache``."""

    def __init__(
        self, name: str | None = None, *, remote: Any, write: str | None = None, **options: Any
    ) -> None:
        if write not in (None, "queue", "sync"):
            raise ConfigurationError(f"write={write!r}: give 'queue' or 'sync'")
        trust = options.get("trust")
        stack = open_stack(remote, config.trusts_network(trust), write)
        super().__init__(name, **options)
        self._tiers = Tied(stack, self._serializer, self._immutable)
        self._options |= {"remote": remote, "write": write}
        if config.trusts_network(trust):
            self._options["trust"] = "network"

    # ---- between the region and the tiers

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

    def _store(
        self,
        verb: int,
        key: Key,
        value: object,
        expire: Expire = None,
        namespace: str | None = None,
        tags: Iterable[str] = (),
        token: int = 0,
    ) -> int:
        raw, text = key_bytes(key)
        tags = tags if isinstance(tags, (str, bytes)) else tuple(tags)
        terms = self._terms(text, expire, namespace, tags)
        encoded = self._serializer.dumps(value)
        status = self._region.store(verb, raw, encoded, terms, token)
        if status == OK and self._stays(namespace, tags):
            self._tiers.keep_local(raw)
        elif status == OK:
            self._tiers.send(raw, value, encoded, terms)
        return status

    # ---- the mapping

    def get(self, key: Key, default: Any = None, *, copy: Copy = True) -> Any:
        """See ``Cache.get``."""
        if copy is True:
            value = _local_get(self, key, MISSING)
            if value is MISSING:
                value = self._pull(*key_bytes(key))
            return default if value is MISSING else value
        value = _local_get(self, key, MISSING, copy=copy)
        if value is MISSING:
            pulled = self._pull(*key_bytes(key))
            value = pulled if pulled is MISSING else _local_get(self, key, pulled, copy=copy)
        return default if value is MISSING else value

    def __getitem__(self, key: Key) -> Any:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return self.get(key, MISSING, copy=False) is not MISSING  # type: ignore[arg-type]

    def set(
        self,
        key: Key,
        value: Any,
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        """See ``Cache.set``; the tiers are told."""
        self._store(SET, key, value, expire, namespace, tags)

    def __setitem__(self, key: Key, value: Any) -> None:
        self._store(SET, key, value)

    def delete(self, key: Key) -> bool:
        """Remove ``key`` here and from the tiers; False if it was not here."""
        raw = key_bytes(key)[0]
        deleted = self._region.delete(raw)
        self._tiers.forget([raw])
        return deleted

    def __delitem__(self, key: Key) -> None:
        raw = self._ensure(key)
        deleted = self._region.delete(raw)
        self._tiers.forget([raw])
        if not deleted:
            raise KeyError(key)

    def setdefault(self, key: Key, default: Any = None) -> Any:
        """See ``Cache.setdefault``; one step for all of this node."""
        self._ensure(key)
        return super().setdefault(key, default)

    def _take(self, raw: bytes) -> Any:
        value = super()._take(raw)
        self._tiers.forget([raw])
        return value

    def pop(self, key: Key, default: Any = MISSING) -> Any:
        """See ``Cache.pop``; one gets it, of all of this node."""
        self._ensure(key)
        return super().pop(key, default)

    def clear(self, *, remote: bool = False) -> None:
        """See ``Cache.clear``."""
        self._region.flush()
        if remote and not self._tiers.clear():
            raise RemoteError(
                "some server could not be emptied: see stats().remote, and clear it again when it "
                "is back"
            )

    # ---- many at once

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """See ``Cache.get_many``; the tiers get one request for each of their servers."""
        keys = keys if isinstance(keys, (str, bytes)) else list(keys)
        found: dict[Key, Any] = Cache.get_many(self, keys)
        missing = {key_bytes(key)[0]: isinstance(key, str) for key in keys if key not in found}
        if missing:
            pulled = self._pull_many(missing)
            raws = ((key, key_bytes(key)[0]) for key in keys)
            found |= {key: pulled[raw] for key, raw in raws if raw in pulled}
        return found

    def _pull_many(self, missing: Mapping[bytes, bool]) -> dict[bytes, Any]:
        """As ``_pull``, of keys that are text or not."""
        claims = {raw: self._claimed(raw, self._no_terms[text]) for raw, text in missing.items()}
        held = {raw: one for raw, one in claims.items() if one is not None and one.status == OK}
        values: dict[bytes, Any] = {}
        try:
            for raw, arrived in self._tiers.fetch_many(list(missing)).items():
                value = value_of(arrived, self._serializer, self._tiers)
                if value is MISSING:
                    continue
                values[raw] = value
                claim, terms = held.get(raw), self._no_terms[missing[raw]]
                if claim and promote(self._region, self._tiers, raw, arrived, claim, terms):
                    del held[raw]
            return values
        finally:
            for raw, claim in held.items():
                self._region.abandon(raw, claim.token)

    def set_many(
        self,
        mapping: Mapping[Key, Any] | Iterable[tuple[Key, Any]],
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        """See ``Cache.set_many``; the tiers are told."""
        pairs = mapping.items() if isinstance(mapping, Mapping) else mapping
        tags = tags if isinstance(tags, (str, bytes)) else tuple(tags)
        both = {text: self._terms(text, expire, namespace, tags) for text in (False, True)}
        items, values = [], []
        for key, value in pairs:
            raw, text = key_bytes(key)
            items.append(Item(raw, self._serializer.dumps(value), both[text]))
            values.append(value)
        try:
            self._region.store_many(items)
        except PlibCacheError:
            self._tiers.forget([item.key for item in items])  # some are stored, and others not
            raise
        for item, value in zip(items, values, strict=True):
            if self._stays(namespace, tags):
                self._tiers.keep_local(item.key)
            else:
                self._tiers.send(item.key, value, item.value, item.terms)

    def delete_many(self, keys: Iterable[Key]) -> int:
        """Remove many keys here and from the tiers; how many were here."""
        keys = keys if isinstance(keys, (str, bytes)) else list(keys)
        deleted: int = Cache.delete_many(self, keys)
        self._tiers.forget([key_bytes(key)[0] for key in keys])
        return deleted
