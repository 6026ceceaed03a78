# SPDX-License-Identifier: BSD-3-Clause
"""What a cache knows of its tiers, and a value that comes from there on its way into the region.

A value is stored on the node under a claim of its key.  Whoever deletes or stores the key meanwhile
takes the claim away, so that what a tier had never comes back after a delete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from plib_cache._core import OK, PUBLISH, SET, Claim, Encoding, Terms
from plib_cache._flight import MISSING, Fetched, Missing
from plib_cache._frame import Encoded
from plib_cache.exceptions import BusyError, RegionFullError, SerializationError, ValueTooLargeError
from plib_cache.serialize import FIRST_OWNED_TYPE

TAKEN, THERE = 0, -1  # of ``claim``; see ``tiers.Tier.claim``

if TYPE_CHECKING:
    from plib_cache._core import Region
    from plib_cache.serialize import Serializer


# What opens tiers, which stands above the cache: ``plib_cache.remote`` puts itself in here.
openers: dict[str, Callable[..., Any]] = {}


class Arrived(Protocol):
    """A value that came from a tier, and may be used."""

    @property
    def type_code(self) -> int: ...
    @property
    def payload(self) -> memoryview: ...
    @property
    def cost(self) -> int: ...
    @property
    def deadline_ms(self) -> int: ...


class Distant(Protocol):
    """The tiers of a cache, as one: none of these raises for what happens there."""

    def fetch(self, key: bytes) -> Arrived | None:
        """What a tier has of a key."""

    def fetch_many(self, keys: Sequence[bytes]) -> dict[bytes, Arrived]:
        """What the tiers have of several keys."""

    def terms(self, arrived: Arrived, terms: Terms, total: int) -> Terms | None:
        """How it is stored on the node, with a generation sum; None: not at all."""

    def count(self, name: str) -> None:
        """Count something; see ``RemoteStats``."""

    def send(self, key: bytes, value: object, encoded: Encoding, terms: Terms) -> None:
        """A value was stored under a key on the node."""

    def forget(self, keys: Iterable[bytes]) -> None:
        """What was under the keys is so no more."""

    def claim(self, key: bytes, limit: float) -> int | None:
        """Claim a computation between nodes, for so many seconds at most; see ``tiers.Tier``."""

    def release(self, key: bytes, stored: bool) -> None:
        """Give such a claim back."""


def value_of(arrived: Arrived, serializer: Serializer, distant: Distant) -> Any | Missing:
    """The value that came, as a read of the region gives it; MISSING if it cannot be made."""
    payload = arrived.payload
    owned = arrived.type_code >= FIRST_OWNED_TYPE  # may be kept and written to
    try:
        return serializer.loads(
            arrived.type_code, memoryview(bytearray(payload)) if owned else payload
        )
    except SerializationError:
        distant.count("damaged")
        return MISSING


def promote(
    region: Region, distant: Distant, key: bytes, arrived: Arrived, claim: Claim, terms: Terms
) -> bool:
    """Store on the node what came from a tier; False if it was not stored."""
    kept = distant.terms(arrived, terms, claim.total)
    if kept is None:
        return False
    payload = arrived.payload
    encoded = Encoded(arrived.type_code, [payload], len(payload))
    verb = PUBLISH if claim.token else SET
    try:
        stored = region.store(verb, key, encoded, kept, claim.token) == OK
    except (RegionFullError, BusyError, ValueTooLargeError):
        return False
    if stored:
        distant.count("promoted")
    return stored


class Fetching:
    """The part of a flight's job that looks in the tiers, under the claim of the key on the node.

    A job without tiers has only what is written here first, and none of the rest is called.
    """

    distant = False
    holds = False
    value: Any = None
    _tiers: Distant | None = None
    _key: bytes
    _arrived: Arrived | None = None
    _claimed = False
    _ended = False
    _until = 0.0

    def _look_in(self, tiers: Distant, limit_ms: int) -> None:
        """There are tiers; a computation of another node is waited for at most so long."""
        self.distant, self._tiers = True, tiers
        self._until = time.monotonic() + limit_ms / 1000

    def _fetch(self, serializer: Serializer, waits: bool = True) -> Fetched:
        """Look in the tiers.

        Nobody waits for another node without a claim of its own here, which the others see.
        """
        tiers = self._tiers
        assert tiers is not None
        if self._found(tiers, serializer):
            return Fetched.FOUND
        if not waits or not self.holds:
            return Fetched.ABSENT
        left = self._until - time.monotonic()
        token = tiers.claim(self._key, left) if left > 0 else None
        if token is None:
            return Fetched.ABSENT
        if token == TAKEN:
            tiers.count("waits")
            return Fetched.ELSEWHERE
        self._claimed = token > 0
        if self._ended:  # a coroutine was cancelled while its thread was here
            self.release(stored=False)
        there = token == THERE and self._found(tiers, serializer)  # it came between the two looks
        return Fetched.FOUND if there else Fetched.ABSENT

    def _found(self, tiers: Distant, serializer: Serializer) -> bool:
        self._arrived = tiers.fetch(self._key)
        if self._arrived is None:
            return False
        value = value_of(self._arrived, serializer, tiers)
        if value is not MISSING:
            self.value = value
        return value is not MISSING

    def _promote(self, region: Region, claim: Claim, terms: Terms) -> bool:
        """Store on the node what was found."""
        tiers, arrived = self._tiers, self._arrived
        assert tiers is not None
        assert arrived is not None
        return promote(region, tiers, self._key, arrived, claim, terms)

    def release(self, stored: bool) -> None:
        """The flight ends: no other node need wait any more."""
        self._ended = True
        if self._claimed and self._tiers is not None:
            self._claimed = False
            self._tiers.release(self._key, stored)
