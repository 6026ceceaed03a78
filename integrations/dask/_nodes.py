# SPDX-License-Identifier: BSD-3-Clause
"""The way to the other nodes of a cluster: a tier over dask's own connections.

Each worker tells the scheduler, with its heartbeat, which region it shares; and asks it, every
second or less often in a large cluster, for those of the others.  A key's home is one of the
regions, the same for all who ask: rendezvous hashing chooses it, so when a node comes or goes only
its own share of the keys moves.  A look is answered by any worker of the home; what is stored goes
there too.

Connections, addresses, encryption and authentication are dask's (``worker.rpc``).  Whoever can
reach a worker's port can have it run code already, so what comes from there is taken as it is.

Nothing here waits for longer than ``limit`` seconds, one at most.  A node that does not answer in
time is left alone after that one wait, and tried in the background until it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tornado.ioloop import PeriodicCallback

from plib_cache import Cache, ConfigurationError
from plib_cache.integrations.dask._counts import Counts
from plib_cache.integrations.dask._far import Far, apart
from plib_cache.integrations.dask._handlers import Handlers
from plib_cache.integrations.dask._ring import Home, Ring
from plib_cache.keys import key_bytes
from plib_cache.remote.naming import name_of
from plib_cache.remote.open import close_tier
from plib_cache.tiers import Parcel, Tier

LIMIT_S = 1.0
_REFRESH_S = 1.0
_SCHEDULER_S = 5.0  # for the scheduler to answer, which may have much to do; nobody waits for it
_WORKERS_PER_S = 100  # so many in a cluster make the next look at its list a second later
_ITEM_MAX = 32 << 20
_METRIC = "plib_cache_region"


class DaskTier(Tier):
    """The regions of a cluster's other nodes, as one tier.

    Args:
        worker: whose connections it uses.
        region: the worker's own, by its random number.
        cache: the worker's own.
        limit: seconds that an operation may take, at most 1.
    """

    name = "dask"
    item_max = _ITEM_MAX

    def __init__(
        self, worker: Any, region: str, cache: Cache, counts: Counts, limit: float = LIMIT_S
    ) -> None:
        self._worker = worker
        self._loop = worker.loop.asyncio_loop
        self.region = region
        self._here = Far(cache, counts)
        self._counts = counts
        self._limit = min(limit, LIMIT_S)
        self._ring = Ring(region, {})
        self._changed: Callable[[], None] = lambda: None
        self._refreshing = PeriodicCallback(self.refresh, _REFRESH_S * 1000)

    @property
    def others(self) -> tuple[str, ...]:
        """The regions of the other nodes that are known."""
        return tuple(self._ring.others)

    def is_home(self, key: str | bytes) -> bool:
        """Whether a key is at home here."""
        return bool(self._ring.by_home([name_of(key_bytes(key)[0])])[0])

    # ---- in the worker's event loop

    async def begin(self) -> None:
        """Answer the others, and learn who they are."""
        self._worker.metrics[_METRIC] = self._told
        self._answering = Handlers(self._worker, self._here.handlers())
        await self.refresh()
        self._refreshing.start()

    def end(self) -> None:
        """Leave the worker as it was."""
        self._refreshing.stop()
        self._worker.metrics.pop(_METRIC, None)
        self._answering.take_back()
        self._ring = Ring(self.region, {})
        close_tier(self)

    def _told(self, _: Any) -> str:
        """What the scheduler is told of this worker."""
        return self.region

    async def refresh(self) -> None:
        """Ask the scheduler who shares which region."""
        try:
            found = await asyncio.wait_for(self._worker.scheduler.identity(), _SCHEDULER_S)
        except asyncio.TimeoutError:
            return  # what is known stays
        except (OSError, RuntimeError) as error:
            self._counts.failed("the scheduler did not say which nodes there are", error)
            return
        regions: dict[str, list[str]] = {}
        for address, described in found["workers"].items():
            region = described.get("metrics", {}).get(_METRIC)
            if region and region != self.region:
                regions.setdefault(region, []).append(address)
        self._refreshing.callback_time = 1000 * max(
            _REFRESH_S, len(found["workers"]) / _WORKERS_PER_S
        )
        self._know(regions)

    def _know(self, regions: Mapping[str, Sequence[str]]) -> None:
        """Take note of the regions that there are, and of their workers."""
        known, others = self._ring.others, {}
        for region, addresses in regions.items():
            others[region] = known.get(region) or Home(lambda: self._changed())  # noqa: PLW0108 - it is set later
            others[region].addresses = tuple(addresses)
        self._ring = Ring(self.region, others)

    # ---- the tier: in threads

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The payloads of those keys that their homes have."""
        found: dict[bytes, bytes] = {}
        if not self._ring.others:
            return found
        own, homes = self._ring.by_home(keys)
        found |= self._here.look(own)
        asked = {home: {"keys": theirs} for home, theirs in homes.items()}
        for answer in self._ask("plib_cache_get", asked).values():
            found |= {bytes(key): bytes(value) for key, value in (answer or {}).items()}
        return found

    def set_many(self, parcels: Sequence[Parcel]) -> Collection[bytes]:
        """Store at the keys' homes; the keys of those that were not."""
        if not self._ring.others:
            return []  # nobody is there who would look for it
        by_key = {parcel.key: parcel for parcel in parcels}
        own, homes = self._ring.by_home(by_key)
        failed = self._here.keep(by_key[key] for key in own)
        asked = {}
        for home, theirs in homes.items():
            chosen = (by_key[key] for key in theirs)
            sent = [(key, apart(payload), seconds) for key, payload, seconds in chosen]
            asked[home] = {"parcels": sent}
        for home, answer in self._ask("plib_cache_set", asked).items():
            failed += homes[home] if answer is None else map(bytes, answer)
        return failed

    def delete_many(self, keys: Sequence[bytes]) -> Collection[bytes]:
        """Remove from the keys' homes; the keys of which that is not known."""
        own, homes = self._ring.by_home(keys)
        failed = self._here.drop(own)
        asked = {home: {"keys": theirs} for home, theirs in homes.items()}
        for home, answer in self._ask("plib_cache_delete", asked).items():
            failed += homes[home] if answer is None else map(bytes, answer)
        return failed

    def clear(self) -> bool:
        """Remove what nodes have stored for each other; False if some node could not be told."""
        told = self._ask("plib_cache_clear", {home: {} for home in self._ring.others.values()})
        return self._here.clear() and all(told.values())

    def tend(self) -> float | None:
        """Try the nodes that did not answer, if that is due; seconds until it is again."""
        homes = self._ring.others.values()
        probed: dict[Home, Any] = {home: {"keys": []} for home in homes if home.breaker.may_probe()}
        for home, answer in self._answers("plib_cache_get", probed).items():
            if answer is None:
                home.breaker.failed()
        dues = [home.breaker.due() for home in homes]
        return min((due for due in dues if due is not None), default=None)

    def watch(self, changed: Callable[[], None]) -> None:
        """Take what is to be called when a node goes or comes back."""
        self._changed = changed

    def _ask(self, operation: str, asked: Mapping[Home, Mapping[str, Any]]) -> dict[Home, Any]:
        """What nodes answer that are asked at once; None of one that did not, or not the last
        time."""
        closed = {home: given for home, given in asked.items() if home.breaker.closed}
        self._counts.nodes_asked += len(closed)
        answers = self._answers(operation, closed)
        for home, answer in answers.items():
            if answer is None and home.breaker.failed():
                self._counts.nodes_lost += 1
        return {**dict.fromkeys(asked), **answers}

    def _answers(self, operation: str, asked: Mapping[Home, Mapping[str, Any]]) -> dict[Home, Any]:
        """What nodes answer, all within one limit; None of those that do not."""
        if self._in_loop():
            return dict.fromkeys(asked)  # it would wait for itself
        until, answers = time.monotonic() + self._limit, dict[Home, Any]()
        calls = {
            home: asyncio.run_coroutine_threadsafe(self._call(home, operation, given), self._loop)
            for home, given in asked.items()
        }
        for home, calling in calls.items():
            answers[home] = None
            try:
                answers[home] = calling.result(max(0.0, until - time.monotonic()))
            except Exception as error:  # whatever dask's connections raise
                calling.cancel()
                self._counts.failed(f"a node did not answer ({home.addresses})", error)
            else:
                home.breaker.succeeded()
        return answers

    async def _call(self, home: Home, operation: str, given: Mapping[str, Any]) -> Any:
        """Ask the workers of a home in turn, until one answers."""
        until, error = time.monotonic() + self._limit, None
        for address in home.addresses:
            left = until - time.monotonic()
            try:
                asked = getattr(self._worker.rpc(address), operation)(**given)
                return await asyncio.wait_for(asked, max(left, 0.001))
            except OSError as refused:  # also of what is no longer there
                error = refused
        raise error or OSError("it has no worker any more")

    def _in_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def __reduce__(self) -> Any:
        """In another worker, a cache that is sent there has that worker's own tier."""
        return _tier_here, ()


def _tier_here() -> DaskTier:
    """The tier of the worker that this is called in.

    Raises:
        ConfigurationError: it is called elsewhere, or the worker has no plugin.
    """
    from distributed import get_worker

    tier: DaskTier | None = None
    with contextlib.suppress(ValueError, KeyError):
        tier = get_worker().extensions["plib_cache"].nodes
    if tier is None:
        raise ConfigurationError(
            "this cache reaches the other nodes of a dask cluster, and can be sent to its workers "
            "only: register a PlibCachePlugin with nodes=True where it is received"
        )
    return tier
