# SPDX-License-Identifier: BSD-3-Clause
"""What a flight works on for the decorator: a call of a decorated function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from plib_cache._core import OK, PUBLISH, SET, Claim, Terms
from plib_cache._costs import cost_code
from plib_cache._distant import Fetching
from plib_cache._flight import MISSING, Fetched
from plib_cache._identity import number_in
from plib_cache._moments import deadline_ms
from plib_cache._options import Computed
from plib_cache.exceptions import BusyError, PlibCacheError

if TYPE_CHECKING:
    from plib_cache._memo import Home, Memo

T = TypeVar("T")


class CallJob(Fetching):
    """A call of a decorated function: no failure of the cache gets out, unless it is strict."""

    fresh = False
    value: Any = None

    def __init__(
        self, memo: Memo, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._memo = memo
        self._key = key
        self._arguments = args, kwargs
        self._nbytes: int | None = None
        self._home = home = memo.fresh_home()
        if home is None:
            self._terms = Terms()
            return
        self._terms = home.terms
        if home.tags is None:
            tags = self._attempt(memo.tags, home, args, kwargs) or ()
            self._terms = Terms(name=home.name, tags=tags, immutable=True)
        if home.tiers is not None and (home.sends_all or not self._terms.tags):
            self._look_in(home.tiers, memo.options.limit_ms)

    def look(self) -> bool:
        """Look again; True: ``value`` is there."""
        if self._home is None:
            return False
        self.value = self._memo.find_again(self._home, self._key)
        return self.value is not MISSING

    def claim(self) -> Claim:
        """Claim the computation, if that is wanted and possible."""
        if (
            self._home is None
            or self._key in self._memo.alone
            or not self._memo.options.single_flight
        ):
            return self.unclaimed()
        limit = self._memo.options.limit_ms
        claim = self._attempt(self._home.region.claim, self._key, self._terms, limit)
        return self.unclaimed() if claim is None else claim

    def unclaimed(self) -> Claim:
        """No claim, and the generations before computing."""
        total = None
        if self._home is not None:
            terms = self._terms
            total = self._attempt(self._home.region.total, terms.name, terms.tags)
        return Claim(OK, 0, total or 0)

    def pause(self, region_wait_ms: int) -> None:
        """Wait until something may have happened to the key."""
        if self._home is not None:
            self._attempt(self._home.region.wait, self._key, region_wait_ms)

    def keep(self, value: Any, seconds: float, claim: Claim) -> bool:
        """Store a result that is worth it; False if it was not stored."""
        kept = None
        if self._home is not None:
            kept = self._attempt(self._store, self._home, value, seconds, claim)
            self._memo.remember_alone(self._key, kept is None)
        observer = self._memo.options.observer
        if observer is not None:
            call = Computed(self._key, *self._arguments, value, seconds, self._nbytes)
            self.value = observer.computed(call)
        return kept is True

    def _store(self, home: Home, value: Any, seconds: float, claim: Claim) -> bool | None:
        """None: it cannot or shall not be stored; False: the claim was gone."""
        options = self._memo.options
        if seconds < options.min_duration:
            return None
        encoded = home.serializer.dumps(value)
        if options.max_bytes is not None and encoded.nbytes > options.max_bytes:
            return None
        expire, cost = deadline_ms(options.expire), cost_code(seconds)
        terms = Terms(expire, home.name, self._terms.tags, cost, False, claim.total, True)
        number_in(home.region, self._memo.prefix, self._memo.function)  # its note may be gone
        verb = PUBLISH if claim.token else SET
        stored = home.region.store(verb, self._key, encoded, terms, claim.token) == OK
        if stored and self._tiers is not None:
            self._tiers.send(self._key, value, encoded, terms._replace(tags=()))
        self._nbytes = encoded.nbytes if stored else None
        return stored

    def abandon(self, claim: Claim) -> None:
        """Give the claim back."""
        if self._home is not None:
            self._attempt(self._home.region.abandon, self._key, claim.token)

    def fetch(self) -> Fetched:
        """Look in the tiers."""
        assert self._home is not None
        return self._fetch(self._home.serializer, self._memo.options.single_flight)

    def promote(self, claim: Claim) -> bool:
        """Store what was fetched."""
        assert self._home is not None
        stored = self._attempt(self._promote, self._home.region, claim, self._terms) is True
        fetched = self.value
        if stored and not self.look():  # which counts a hit, and reads as it was asked for
            self.value = fetched
        return stored

    def _attempt(self, operation: Callable[..., T], *args: Any) -> T | None:
        """What the operation returns; None if the cache failed or was too busy."""
        try:
            return operation(*args)
        except BusyError:
            return None
        except PlibCacheError as error:
            self._memo.trouble(error)
            return None
