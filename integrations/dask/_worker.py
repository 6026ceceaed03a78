# SPDX-License-Identifier: BSD-3-Clause
"""All that the plugin has set up in one worker; ``close`` leaves nothing of it behind."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.ioloop import PeriodicCallback

import plib_cache
from plib_cache.config import check_trust
from plib_cache.integrations.dask import _prometheus
from plib_cache.integrations.dask._config import Options
from plib_cache.integrations.dask._counts import Counts, logger
from plib_cache.integrations.dask._handover import HandOver
from plib_cache.integrations.dask._mapping import unwrap, wrap
from plib_cache.integrations.dask._memory import Corrected, starting, tell_nanny
from plib_cache.integrations.dask._nodes import LIMIT_S, DaskTier
from plib_cache.integrations.dask._notes import Notes
from plib_cache.integrations.dask._numbers import Told
from plib_cache.integrations.dask._placing import Placing
from plib_cache.integrations.dask._region import open_region
from plib_cache.integrations.dask._results import Results
from plib_cache.integrations.dask._store import Store, sweep

EXTENSION = "plib_cache"  # where a worker keeps this
_SWEEP_MS = 30_000
_NANNY_S = 1.0  # for which a worker waits until its nanny is told

# How many workers of this process use the default cache; more than one in clusters of threads.
_workers = 0


def annotation(annotations: Any, name: str) -> Any:
    """What ``dask.annotate(plib_cache={name: ...})`` says of a task; None if nothing."""
    meant = (annotations or {}).get("plib_cache")
    return meant.get(name) if isinstance(meant, dict) else None


class WorkerCache:
    """The cache of a worker.

    Attributes:
        cache: the region, open.
        counts: what was done with it.
    """

    def __init__(self, worker: Any, options: Options, owner: Any) -> None:
        self._worker = worker
        self.owner = owner  # the plugin
        self.options = options
        self.counts = Counts()

    @property
    def address(self) -> str:
        """The worker's; "not-running" before it has one."""
        return str(self._worker.address_safe)

    async def open(self) -> None:
        """Open the region, and set up everything.

        Raises:
            PlibCacheError: it cannot be opened; nothing was set up.
        """
        global _workers  # noqa: PLW0603 - the default cache is the process's
        worker, options = self._worker, self.options
        self.opened = await asyncio.to_thread(open_region, options)
        self.cache = self.opened.results
        await self._reach(options)
        _workers += 1
        self.store = Store(self.opened, options, self.counts)
        self.placing = Placing(worker, self.store)
        if not wrap(worker, self.placing):
            logger.warning(
                "plib_cache: values of this worker are not shared, as its data is a %s",
                type(worker.data).__name__,
            )
        self.results: Results | None = None
        if options.keep.active:
            limit = min(options.nodes_timeout, LIMIT_S)
            notes = Notes(worker, limit)  # closer to the data than the hand-over
            self.results = Results(worker, self.cache, self.store, options.keep, self.counts, notes)
        self._hand_over = HandOver(
            worker, self.placing, options.peer_timeout, options.peer_remember
        )
        self._corrected = Corrected(worker, self.opened.proof)
        self._sweep = PeriodicCallback(sweep, _SWEEP_MS)
        self._sweep.start()
        self._told = Told(worker, self)
        _prometheus.begin(self)
        self._telling = asyncio.ensure_future(tell_nanny(worker, self.opened.proof))
        if not starting(worker):
            await asyncio.wait({self._telling}, timeout=_NANNY_S)  # it may have much to do

    async def _reach(self, options: Options) -> None:
        """Have tasks use the region, and what other nodes have."""
        self.nodes: DaskTier | None = None
        if not options.nodes:
            plib_cache.configure(**options.region)
            return
        proof, limit = self.opened.proof, options.nodes_timeout
        self.nodes = DaskTier(self._worker, proof.number, self.cache, self.counts, limit)
        await self.nodes.begin()
        trust = options.region["trust"] or check_trust(None)
        given = {**options.region, "trust": "network" if trust == "code" else trust}
        plib_cache.configure(**given, remote=self.nodes)

    def transition(self, key: Any, start: str, finish: str) -> None:
        """A task goes from one state to another; called often, and so short."""
        try:
            if finish == "executing":
                self._prepare(self._worker.state.tasks[key])
            elif self.results is not None:
                if finish == "memory" and start == "released":
                    self.results.given(key)
                self.results.notes.moved(key, finish)
            if self.placing.waiting:
                self.placing.look_later()
        except Exception as error:
            self.counts.failed("a task could not be prepared", error)

    def _prepare(self, task: Any) -> None:
        """A task is about to run."""
        if task.annotations and annotation(task.annotations, "writeable"):
            for one in task.dependencies:
                self.store.make_writeable(one.key)
        if self.results is not None:
            self.results.before(task)

    def close(self) -> None:
        """Have the worker as it was; the region stays, and values that are in use."""
        global _workers  # noqa: PLW0603
        self._sweep.stop()
        self._telling.cancel()
        self._told.stop()
        _prometheus.end(self)
        if self.nodes is not None:
            self.nodes.end()
        self._corrected.undo()
        self._hand_over.close()
        if self.results is not None:
            self.results.notes.close()
        unwrap(self._worker)
        self.placing.close()
        self.store.close()
        _workers -= 1
        if not _workers:
            plib_cache.configure()
        self.opened.close()
