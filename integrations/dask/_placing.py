# SPDX-License-Identifier: BSD-3-Clause
"""When the values of a worker come into the region.

Putting a value there takes a copy of it, and of most results nobody but the next task of the same
worker ever wants to know.  So a value is stored as dask stores it, and waits; it is put there in a
thread, beside the worker's event loop,

- when a worker of the same region asks for it, or
- when one of the worker's threads has nothing to do, if it is large, for whoever asks would wait
  for the copy; or when it has had nothing to do for a moment, as between computations, and not
  between the tasks of one, where copies of many values would take a processor from them, or
- at once, when what waits would take too much of the memory that dask allows the worker.

A value that is forgotten, replaced or spilled meanwhile is not put there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from plib_cache import Held, PlibCacheError
from plib_cache.integrations.dask._mapping import in_memory, share
from plib_cache.integrations.dask._store import Store

_WAITING_MOST = 0.1  # of the worker's memory limit
_IDLE_S = 0.2
_LARGE = 16 << 20  # bytes; copied in some milliseconds


class Placing:
    """The values of one worker that are on their way; what its mapping knows of the region."""

    def __init__(self, worker: Any, store: Store) -> None:
        self._worker = worker
        self._loop = worker.loop.asyncio_loop
        self._thread = ThreadPoolExecutor(1, "plib_cache values")
        self._coming: dict[Any, asyncio.Task[None]] = {}
        self._nbytes = 0
        self._idle = -1  # how many tasks had been run when it was found to be idle
        self._timer: asyncio.TimerHandle | None = None
        limit = worker.memory_manager.memory_limit
        self._most = limit * _WAITING_MOST if limit else float("inf")
        self.store = store
        self.held = store.held
        self.waiting: dict[Any, int] = {}  # their bytes, in the order in which they came

    @property
    def pending(self) -> int:
        """How many values wait, or are being put into the region."""
        return len(self.waiting) + len(self._coming)

    def close(self) -> None:
        """Values stay where they are."""
        self.waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        for coming in self._coming.values():
            coming.cancel()
        self._coming.clear()
        self._thread.shutdown(cancel_futures=True)

    # ---- from the mapping

    def arrived(self, value: Any) -> Held | None:
        """What is known of a value that came by reference, once."""
        return self.store.arrived(value)

    def stored(self, key: Any, value: Any) -> None:
        """The mapping has a value that it had not before."""
        nbytes = self.store.shareable(value)
        if not nbytes:
            return
        self.waiting[key] = nbytes
        self._nbytes += nbytes
        while self._nbytes > self._most:
            self._place_now(next(iter(self.waiting)))
        self.look_later()

    def forget(self, key: Any) -> None:
        """The mapping has another value under that key, or none."""
        if key in self.waiting:
            self._nbytes -= self.waiting.pop(key)
        elif key in self._coming:
            del self._coming[key]

    # ---- in the worker's event loop

    def look_later(self) -> None:
        """See whether there is time for a value, when the worker has begun what it can."""
        if self.waiting:
            self._loop.call_soon_threadsafe(self._look)

    def may_share(self, keys: Iterable[Any]) -> bool:
        """Whether one of these values is in the region, or could be."""
        return any(key in self.held or key in self.waiting or key in self._coming for key in keys)

    async def ready(self, keys: Collection[Any]) -> bool:
        """Have values in the region, if they can be there; whether one of them is."""
        coming = {self._begin(key) for key in keys if key in self.waiting or key in self._coming}
        if coming:
            await asyncio.wait(coming)
        return any(key in self.held for key in keys)

    def _look(self) -> None:
        state = self._worker.state
        if not self.waiting or self._coming:
            return
        if len(state.executing) >= state.nthreads or state.ready:
            return  # a task that ends has it look again
        large = (key for key, nbytes in self.waiting.items() if nbytes >= _LARGE)
        if (key := next(large, None)) is not None:
            self._begin(key)
        elif self._timer is not None:
            return  # the moment is not over
        elif self._idle == state.executed_count:
            self._begin(next(iter(self.waiting)))
        else:
            self._idle = state.executed_count
            self._timer = self._loop.call_later(_IDLE_S, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._look()

    def _begin(self, key: Any) -> asyncio.Task[None]:
        if key not in self._coming:
            self._nbytes -= self.waiting.pop(key)
            self._coming[key] = asyncio.ensure_future(self._place(key))
        return self._coming[key]

    async def _place(self, key: Any) -> None:
        data = self._worker.data
        try:
            if in_memory(data, key):
                placed = self._loop.run_in_executor(self._thread, self.store.place, data[key])
                self._arrive(key, await placed, asyncio.current_task())
        except Exception as error:
            self._failed(error)
        finally:
            if self._coming.get(key) is asyncio.current_task():
                del self._coming[key]
            self.look_later()

    def _place_now(self, key: Any) -> None:
        self._nbytes -= self.waiting.pop(key)
        data = self._worker.data
        try:
            if in_memory(data, key):
                self._arrive(key, self.store.place(data[key]), None)
        except PlibCacheError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.store.counts.refused += 1
        self.store.counts.failed("a value could not be put into the region", error)

    def _arrive(self, key: Any, held: Held | None, task: Any) -> None:
        counts = self.store.counts
        if held is None:
            counts.refused += 1
            return
        counts.placed += 1
        counts.placed_bytes += held.nbytes
        if self._coming.get(key) is task:
            share(self._worker.data, key, held)
