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
from plib_cache._core import OK, Encoding, Item, Terms
from plib_cache._distant import promote, value_of
from plib_cache._flight import MISSING
from plib_cache._inplace import Copy
from plib_cache.cache import Cache
from plib_cache.exceptions import (
    ConfigurationError,
    PlibCacheError,
    RemoteError,
)
from plib_cache.keys import key_bytes
from plib_cache.remote.open import open_stack
from plib_cache.remote.tied import Tied
from plib_cache.remote.verbs import RemoteVerbs
from plib_cache.signatures import go_by

_local_get = Cache.get


def _general(name: str, own: str = "") -> Any:
    """A method of ``Cache`` as it is in Python, where another one in C stands in its place."""
    return getattr(Cache, f"_general_{name}", None) or getattr(Cache, own or name)


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

    def _put(self, verb: int, raw: bytes, value: object, terms: Terms, token: int) -> int:
        encoded = self._serializer.dumps(value)
        status = self._region.store(verb, raw, encoded, terms, token)
        if status == OK:
            self._tell(raw, value, encoded, terms)
        return status

    def _put_many(self, items: list[Item], values: list[Any]) -> None:
        try:
            super()._put_many(items, values)
        except PlibCacheError:
            self._tiers.forget([item.key for item in items])  # some are stored, and others not
            raise
        for item, value in zip(items, values, strict=True):
            self._tell(item.key, value, item.value, item.terms)

    def _tell(self, raw: bytes, value: object, encoded: Encoding, terms: Terms) -> None:
        """Tell the tiers what was stored, or that they are not to have it."""
        if self._stays(terms.name, terms.tags):
            self._tiers.keep_local(raw)
        else:
            self._tiers.send(raw, value, encoded, terms)

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

    set = _general("set")  # in Python: it tells the tiers
    __setitem__ = _general("setitem", "__setitem__")

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

    def delete_many(self, keys: Iterable[Key]) -> int:
        """Remove many keys here and from the tiers; how many were here."""
        keys = keys if isinstance(keys, (str, bytes)) else list(keys)
        deleted: int = Cache.delete_many(self, keys)
        self._tiers.forget([key_bytes(key)[0] for key in keys])
        return deleted


go_by(RemoteCache, until=Cache)
