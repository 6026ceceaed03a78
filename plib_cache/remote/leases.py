# SPDX-License-Identifier: BSD-3-Clause
"""Claims between nodes that this process has: each is short, and renewed while it computes.

So the others wait for a node that computes for an hour, and for one that died only a few seconds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import NamedTuple

from plib_cache.remote.counts import Counts
from plib_cache.tiers import Tier

LEASE_S = 10.0
_RENEW_S = 3.0


class _Lease(NamedTuple):
    tier: Tier
    name: bytes
    token: int
    renew_at: float
    until: float


class Leases:
    """The claims of this process, by key."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self.after_fork()

    def after_fork(self) -> None:
        """In the child: the claims are the parent's."""
        self._lock = threading.Lock()
        self._held: dict[bytes, _Lease] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._held

    def claim(self, tier: Tier, name: bytes, key: bytes, limit: float) -> int | None:
        """Claim a key, and keep it for so many seconds at most; see ``Tier.claim``."""
        token = tier.claim(name, LEASE_S)
        if token is not None and token > 0:
            self._counts.add("claims")
            with self._lock:
                now = time.monotonic()
                self._held[key] = _Lease(tier, name, token, now + _RENEW_S, now + limit)
        return token

    def release(self, key: bytes, stored: bool) -> None:
        """Give a claim back, unless the value that ends it is on its way."""
        with self._lock:
            lease = self._held.pop(key, None)
        if lease is not None and not stored:
            lease.tier.abandon(lease.name, lease.token)

    def tend(self) -> float | None:
        """Renew what is due; seconds until that is due again, None if there is nothing."""
        now = time.monotonic()
        with self._lock:
            due = [(key, one) for key, one in self._held.items() if one.renew_at <= now]
        for key, lease in due:
            if now >= lease.until:
                self._renewed(key, lease, 0)
                continue
            token = None
            with contextlib.suppress(Exception):
                token = lease.tier.renew(lease.name, lease.token, LEASE_S)
            self._renewed(key, lease, token)
        with self._lock:
            soonest = min((one.renew_at for one in self._held.values()), default=None)
        return None if soonest is None else max(0.0, soonest - time.monotonic())

    def _renewed(self, key: bytes, lease: _Lease, token: int | None) -> None:
        given_back = False
        with self._lock:
            if self._held.get(key) is not lease:
                given_back = True
            elif token == 0:
                del self._held[key]
            else:  # the same again, where nobody could tell
                at = time.monotonic() + _RENEW_S
                self._held[key] = lease._replace(token=token or lease.token, renew_at=at)
        if given_back and token:  # meanwhile: what was given back was the old token
            lease.tier.abandon(lease.name, token)
