# SPDX-License-Identifier: BSD-3-Clause
"""What a flight works on for ``Cache.get_or_compute``: a key of a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plib_cache._core import OK, PUBLISH, SET, Claim, Terms
from plib_cache._costs import cost_code
from plib_cache._distant import Fetching
from plib_cache._flight import MISSING, Fetched
from plib_cache._moments import Expire, deadline_ms
from plib_cache.exceptions import (
    BusyError,
    RegionFullError,
    SerializationError,
    ValueTooLargeError,
)

if TYPE_CHECKING:
    from plib_cache._attached import Attached


def limit_ms(limit: object) -> int:
    """The limit of a claim in milliseconds.

    Raises:
        TypeError, ValueError: it is no positive number of seconds.
    """
    if not isinstance(limit, (int, float)) or isinstance(limit, bool):
        raise TypeError(f"limit is a {type(limit).__name__}: give seconds")
    if not 0 < limit <= 10**9:
        raise ValueError(f"limit={limit}: give seconds, more than 0 and at most 10**9")
    return max(1, int(limit * 1000))


class ComputeJob(Fetching):
    """See ``_flight.Job``.  The expiry counts from when the value is stored."""

    fresh = False
    value: Any = None
    expire: Expire = None

    def __init__(self, cache: Attached, key: bytes, terms: Terms, limit: int) -> None:
        self._cache = cache
        self._region = cache._region
        self._key = key
        self._terms = terms
        self._limit_ms = limit
        if cache._tiers is not None and (cache._immutable or not (terms.name or terms.tags)):
            self._look_in(cache._tiers, limit)

    def look(self) -> bool:
        """Look again; True: ``value`` is there."""
        self.value = self._cache._load(self._cache._find(self._key))
        return self.value is not MISSING

    def claim(self) -> Claim:
        """Claim the computation; ``unclaimed`` where there is no room for claims."""
        try:
            return self._region.claim(self._key, self._terms, self._limit_ms)
        except (RegionFullError, BusyError):
            return self.unclaimed()

    def unclaimed(self) -> Claim:
        """No claim, and the generations before computing."""
        return Claim(OK, 0, self._region.total(self._terms.name, self._terms.tags))

    def pause(self, region_wait_ms: int) -> None:
        """Wait until something may have happened to the key."""
        self._region.wait(self._key, region_wait_ms)

    def keep(self, value: Any, seconds: float, claim: Claim) -> bool:
        """Store what was computed; False if it was not stored."""
        terms = self._terms._replace(
            deadline_ms=deadline_ms(self.expire), cost=cost_code(seconds), total=claim.total
        )
        verb = PUBLISH if claim.token else SET
        try:
            encoded = self._cache._serializer.dumps(value)
            stored = self._region.store(verb, self._key, encoded, terms, claim.token) == OK
        except (RegionFullError, BusyError):
            return False
        except (SerializationError, ValueTooLargeError) as error:
            self._cache._doubt(error)
            return False
        if stored and self._tiers is not None:
            self._tiers.send(self._key, value, encoded, terms)
        return stored

    def abandon(self, claim: Claim) -> None:
        """Give the claim back."""
        self._region.abandon(self._key, claim.token)

    def fetch(self) -> Fetched:
        """Look in the tiers."""
        return self._fetch(self._cache._serializer)

    def promote(self, claim: Claim) -> bool:
        """Store what was fetched."""
        return self._promote(self._region, claim, self._terms)
