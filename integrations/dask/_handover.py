# SPDX-License-Identifier: BSD-3-Clause
"""Values from worker to worker by reference, where both have the same region.

::

    taker                                   giver
    get_data(keys, who) ------------------> asks ``who`` for its region, once in a while
                                            the same: descriptors instead of bytes
    leases what they describe   <---------- (the giver holds it all the while)
    "OK" ---------------------------------> lets go

This is dask's own exchange of ``get_data``; whoever is not proved to have the same region (other
nodes, clients, the scheduler, workers without the plugin) gets what dask always sends.

**Failures.**  Whatever goes wrong at the taker (the value is lost, the region is gone, a class
cannot be rebuilt) is an ``OSError`` there, which dask takes for a broken connection: it asks again.
The giver sees the connection end without the "OK", and sends bytes to that worker from then on, for
as long as ``plib-cache.peers.remember`` says.  So a task waits for one repetition at most.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from distributed.protocol.serialize import dask_deserialize, dask_serialize

from plib_cache.integrations.dask._handlers import Handlers
from plib_cache.integrations.dask._mapping import Handed, handing
from plib_cache.integrations.dask._placing import Placing
from plib_cache.integrations.dask._region import Proof
from plib_cache.integrations.dask._store import store_of

_PEERS_MOST = 10_000
_STRANGER_TIMES = 5  # as long is remembered that a worker has another region


class HandOverError(OSError):
    """A value that was sent by reference cannot be had; dask asks for it again."""


def _describe(handed: Handed) -> tuple[dict[str, Any], list[bytes]]:
    where, store = handed.held.where, handed.store
    assert where is not None
    store.counts.handed += 1
    store.counts.handed_bytes += handed.held.nbytes
    return {"region": tuple(store.proof), "where": where}, []


def _take(header: dict[str, Any], frames: list[Any]) -> Any:
    store = store_of(Proof(*header["region"]))
    try:
        if store is None:
            raise LookupError("this worker has that region no more")
        return store.take(tuple(header["where"]))
    except Exception as error:
        if store is not None:
            store.counts.take_failed += 1
            store.counts.failed("a value came by reference and cannot be had", error)
        raise HandOverError(f"plib_cache: {type(error).__name__}: {error}") from error


_registries: Any = (dask_serialize, dask_deserialize)
_registries[0].register(Handed, _describe)
_registries[1].register(Handed, _take)


class HandOver:
    """The giver's side, and the answers to who asks which region a worker has."""

    def __init__(self, worker: Any, placing: Placing, timeout_s: float, remember_s: float) -> None:
        self._worker = worker
        self._placing = placing
        self._store = placing.store
        self._timeout_s = timeout_s
        self._remember_s = remember_s
        self._peers: dict[str, tuple[float, bool]] = {}
        self._asking: dict[str, asyncio.Future[bool]] = {}
        ours: dict[str, Any] = {
            "get_data": self.get_data,
            "gather": self.gather,
            "plib_cache_region": self.region,
        }
        self._handlers = Handlers(worker, ours)
        self._get_data, self._gather = (self._handlers.own[name] for name in ("get_data", "gather"))

    def close(self) -> None:
        """The worker sends bytes only, and asks for nothing else."""
        self._handlers.take_back()

    def region(self) -> list[Any]:
        """The answer to ``plib_cache_region``."""
        return list(self._store.proof)

    async def get_data(
        self,
        comm: Any,
        keys: Any,
        who: str | None = None,
        serializers: list[str] | None = None,
        **others: Any,
    ) -> Any:
        """dask's ``get_data``, with descriptors for who can use them."""
        if (
            not who
            or comm.peer_address.startswith("inproc://")  # gets the very objects
            or (serializers is not None and "dask" not in serializers)
            or not self._placing.may_share(keys)
            or not await self._is_same(who)
            or not await self._placing.ready(keys)
        ):
            return await self._get_data(comm, keys=keys, who=who, serializers=serializers, **others)
        token = handing.set(True)
        try:
            return await self._get_data(comm, keys=keys, who=who, serializers=serializers, **others)
        except OSError:
            self._store.counts.hand_over_failed += 1
            self._remember(who, False, self._remember_s)
            raise
        finally:
            handing.reset(token)

    async def gather(self, who_has: dict[Any, list[str]]) -> Any:
        """dask's ``gather``, again if a hand-over failed: by now its giver sends bytes."""
        before = self._store.counts.take_failed
        answer = await self._gather(who_has=who_has)
        if answer["status"] != "OK" and self._store.counts.take_failed != before:
            missing = set(answer.get("keys", ()))
            answer = await self._gather(
                who_has={key: who for key, who in who_has.items() if key in missing}
            )
        return answer

    # ---- which region others have

    async def _is_same(self, who: str) -> bool:
        until, same = self._peers.get(who, (0.0, False))
        if time.monotonic() < until:
            return same
        asking = self._asking.get(who)
        if asking is None:
            asking = self._asking[who] = asyncio.ensure_future(self._ask(who))
            asking.add_done_callback(lambda _: self._asking.pop(who, None))
        return await asyncio.shield(asking)

    async def _ask(self, who: str) -> bool:
        try:
            answer = await asyncio.wait_for(
                self._worker.rpc(who).plib_cache_region(), self._timeout_s
            )
            same = Proof(*answer) == self._store.proof
        except Exception:  # it has no such handler, it is gone, or too slow
            same = False
        self._store.counts.strangers += not same
        self._remember(who, same, self._remember_s * (1 if same else _STRANGER_TIMES))
        return same

    def _remember(self, who: str, same: bool, seconds: float) -> None:
        if len(self._peers) >= _PEERS_MOST:
            self._peers.clear()
        self._peers[who] = (time.monotonic() + seconds, same)
