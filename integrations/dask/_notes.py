# SPDX-License-Identifier: BSD-3-Clause
"""What a worker knows of its data: the fingerprints of what has computed them (``_codes``).

A note belongs to one worker's copy of a value, not to a key: while code is being changed two
workers may have computed one key differently.  So it goes the way of the data.  Before a worker
answers ``get_data`` it tells who asks, in this node or in another one, what it has noted of those
keys; only then the data are sent.  Who asks takes a note for data that are on their way to it
alone, and forgets it if they are asked for again, or let go.  So a note that is there is that of
the copy that is there, and where the giver has none, or could not be heard, there is none.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from plib_cache.integrations.dask._handlers import Handlers

_HANDLER = "plib_cache_notes"
_DEAF_S = 60.0  # for which a worker that takes no notes is not told any
_DEAF_MOST = 10_000


class Notes:
    """The notes of one worker.

    Args:
        limit: seconds that another worker may take to hear what is noted.
    """

    def __init__(self, worker: Any, limit: float) -> None:
        self._worker = worker
        self._limit = limit
        self._known: dict[Any, bytes] = {}
        self._gathering: list[dict[Any, set[str]]] = []  # keys, and who they may come from
        self._deaf: dict[str, float] = {}
        ours: dict[str, Any] = {
            "get_data": self.get_data,
            "gather": self.gather,
            _HANDLER: self.hear,
        }
        self._handlers = Handlers(worker, ours)
        self._get_data, self._gather = (self._handlers.own[name] for name in ("get_data", "gather"))

    def close(self) -> None:
        """The worker tells nobody any more."""
        self._handlers.take_back()

    def get(self, key: Any) -> bytes | None:
        """What is known of a key's data here."""
        return self._known.get(key)

    def set(self, key: Any, name: bytes | None) -> None:
        """Note it; None is that nothing is known."""
        if name is None:
            self._known.pop(key, None)
        else:
            self._known[key] = name

    def is_gathered(self, key: Any) -> bool:
        """Whether data of that key are being brought here by ``gather``."""
        return any(key in one for one in self._gathering)

    def moved(self, key: Any, finish: str) -> None:
        """A task goes to another state: its data are asked for, or let go."""
        if finish in ("flight", "released", "forgotten"):
            self._known.pop(key, None)

    def hear(self, notes: list[Any], giver: str) -> None:
        """Another worker tells what it is about to send."""
        tasks = self._worker.state.tasks
        for key, name in notes:
            task = tasks.get(key)
            flying = task is not None and task.state == "flight" and task.coming_from == giver
            if flying or any(giver in one.get(key, ()) for one in self._gathering):
                self.set(key, name)

    async def get_data(self, comm: Any, keys: Any, who: str | None = None, **others: Any) -> Any:
        """``get_data``, of which who asks is told first what is noted."""
        notes = [(key, self._known.get(key)) for key in keys]
        if who and any(name is not None for _, name in notes):
            await self._tell(who, notes)
            if notes != [(key, self._known.get(key)) for key in keys]:
                return {"status": "busy"}  # other data by now: who asks will ask again
        return await self._get_data(comm, keys=keys, who=who, **others)  # begins with the data

    async def gather(self, who_has: dict[Any, list[str]]) -> Any:
        """``gather``, of which it is known that the data come from other workers."""
        missing = {key: set(who) for key, who in who_has.items() if key not in self._worker.data}
        for key in missing:
            self.set(key, None)
        self._gathering.append(missing)
        try:
            return await self._gather(who_has=who_has)
        finally:
            self._gathering = [one for one in self._gathering if one is not missing]

    async def _tell(self, who: str, notes: list[Any]) -> None:
        if time.monotonic() < self._deaf.get(who, 0.0):
            return
        try:
            told = self._worker.rpc(who).plib_cache_notes(notes=notes, giver=self._worker.address)
            await asyncio.wait_for(told, self._limit)
        except Exception:  # it has no such handler, it is gone, or too slow
            if len(self._deaf) >= _DEAF_MOST:
                self._deaf.clear()
            self._deaf[who] = time.monotonic() + _DEAF_S
