# SPDX-License-Identifier: BSD-3-Clause
"""Tiers as one cache, or one decorated function, uses them: with its serializer and its trust."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

from plib_cache import config
from plib_cache._core import Encoding, Terms
from plib_cache._distant import Arrived as Arriving
from plib_cache.exceptions import ConfigurationError, SerializationError
from plib_cache.remote.open import open_stack
from plib_cache.remote.signing import DATA, Arrived
from plib_cache.remote.stack import Stack
from plib_cache.serialize import DefaultSerializer, Encoded, Serializer, TypeCode
from plib_cache.stats import RemoteStats


class Tied:
    """See ``_distant.Distant``.

    Args:
        lasting: whoever stores a key stores the same value.
    """

    def __init__(self, stack: Stack, serializer: Serializer, lasting: bool) -> None:
        self._stack = stack
        stack.users.add(self)
        self._lasting = lasting
        if isinstance(serializer, DefaultSerializer):
            code = stack.takes_code and serializer.trust == "code"
            self._allowed = frozenset(map(int, TypeCode)) if code else DATA
        elif stack.takes_code:
            self._allowed = frozenset(range(256))
        else:
            raise ConfigurationError(
                f"{type(serializer).__name__} reads what comes from the network, and nothing says "
                "that this is safe: set PLIB_CACHE_KEY to a key that all nodes share, so that "
                "values are signed, or give trust='network'"
            )
        self._plain = DefaultSerializer("data")

    def fetch(self, key: bytes) -> Arrived | None:
        """What a tier has of a key."""
        return self._stack.find(key, self._allowed)

    def fetch_many(self, keys: Sequence[bytes]) -> dict[bytes, Arriving]:
        """What the tiers have of several keys."""
        return dict(self._stack.find_many(keys, self._allowed))

    def terms(self, arrived: Arriving, terms: Terms, total: int) -> Terms | None:
        """How it is stored on the node, with what is left of its lifetime; None: not at all."""
        promote = self._stack.rules.promote
        if not promote or not getattr(arrived, "promotable", True):
            return None
        deadline = arrived.deadline_ms
        if promote != math.inf:
            soonest = int((time.time() + promote) * 1000)
            deadline = min(deadline, soonest) if deadline else soonest
        _, name, tags, _, text, _, immutable = terms
        return Terms(deadline, name, tags, arrived.cost, text, total, immutable)

    def count(self, name: str) -> None:
        """Count something."""
        self._stack.counts.add(name)

    def send(self, key: bytes, value: object, encoded: Encoding, terms: Terms) -> None:
        """A value was stored under a key on the node."""
        lasting = self._lasting or terms.immutable
        if encoded.type_code not in self._allowed:
            plain = self._as_data(value)
            if plain is None:
                self._stack.keep_local(key, lasting)
                return
            encoded = plain
        parts = encoded.parts
        one = bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
        head = Arrived(encoded.type_code, memoryview(one), terms.cost, terms.deadline_ms)
        self._stack.send(key, head, lasting)

    def keep_local(self, key: bytes) -> None:
        """A value is stored on the node only."""
        self._stack.keep_local(key)

    def _as_data(self, value: object) -> Encoded | None:
        """The value as plain data, which needs no code to be read; None if it is not."""
        try:
            return self._plain.dumps(value)
        except SerializationError:
            return None

    def forget(self, keys: Iterable[bytes]) -> None:
        """What was under the keys is so no more."""
        self._stack.forget(keys)

    def claim(self, key: bytes, limit: float) -> int | None:
        """Claim a computation between nodes, for so many seconds at most."""
        return self._stack.claim(key, limit)

    def release(self, key: bytes, stored: bool) -> None:
        """Give such a claim back."""
        self._stack.release(key, stored)

    def clear(self) -> bool:
        """Remove everything from the tiers."""
        return self._stack.clear()

    def wait(self, limit: float, tried: bool = False) -> bool:
        """Wait until everything is delivered, or was tried."""
        return self._stack.wait(limit, tried)

    def stats(self) -> RemoteStats:
        """What was counted."""
        return self._stack.stats()

    def reset_stats(self) -> None:
        """Begin the counts anew."""
        self._stack.counts.reset()


def tied_to(cache: Any, remote: Any, trust: str | None) -> Tied:
    """The tiers of a function whose results are in a cache.

    Args:
        remote: its own; None: those of the cache, with another trust.
        trust: its own; None: that of the cache.

    Raises:
        ConfigurationError: it makes no sense, or a client library is missing.
    """
    asked = trust if trust is not None else cache._options["trust"]
    serializer = cache._serializer
    if trust is not None:
        serializer = DefaultSerializer(config.check_trust(trust))
    own = cache._options.get("remote") if remote is None else remote
    stack = open_stack(own, config.trusts_network(asked))
    return Tied(stack, serializer, cache._immutable)
