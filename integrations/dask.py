# SPDX-License-Identifier: BSD-3-Clause
"""The workers of a dask cluster share the cache of their machine.

::

    from plib_cache.integrations.dask import PlibCachePlugin

    client.register_plugin(PlibCachePlugin())

Inside tasks ``plib_cache.get_cache()`` and ``@plib_cache.cache`` then use one region of each
machine, on all workers, also on those that join later.  The region belongs to no worker: results
are there for the next worker and for the next cluster, until the machine restarts or
``plib-cache rm`` removes it.

Without a client: ``dask worker --preload plib_cache.integrations.dask``; name and size are then
taken from dask's configuration (``plib-cache.name`` and ``plib-cache.size``).

What a worker cannot open is an error when the plugin is registered, not later in the tasks.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import plib_cache
from plib_cache.integrations._regions import attach_or_create

try:
    import dask
    from distributed import Worker, WorkerPlugin
except ImportError as error:
    raise ImportError(
        f"plib_cache.integrations.dask needs distributed ({error}): pip install 'plib-cache[dask]'"
    ) from error

__all__ = ["PlibCachePlugin"]

_EXTENSION = "plib_cache"  # where a worker keeps what the plugin opened

# How many workers of this process use the default cache; more than one in clusters of threads.
_workers = 0


class PlibCachePlugin(WorkerPlugin):
    """Opens the machine's cache in every worker; for ``client.register_plugin``.

    Args:
        cache_name: the name of the region; None is the one that ``get_cache`` would use.
        size: of the region where it does not exist yet, as for ``plib_cache.Cache``; a region
            that exists keeps its size.
        path: a file on the workers' machines instead of a name.
        trust: "code" or "data", as for ``plib_cache.Cache``.
        expected_entry: typical bytes of an entry, where the region does not exist yet.

    Notes:
        Registering it again changes nothing.  Several clusters on one machine, one behind the
        other or at the same time, share the region if they use the same name and are of the same
        user.
    """

    name = "plib-cache"
    idempotent = True

    def __init__(
        self,
        cache_name: str | None = None,
        *,
        size: int | str | None = None,
        path: str | os.PathLike[str] | None = None,
        trust: str | None = None,
        expected_entry: int | None = None,
    ) -> None:
        self.size = size
        self.options: dict[str, Any] = {
            "name": cache_name,
            "path": None if path is None else os.fspath(path),
            "trust": trust,
            "expected_entry": expected_entry,
        }

    async def setup(self, worker: Worker) -> None:
        """Open the region, and let everything in this process use it by default.

        Raises:
            PlibCacheError: it cannot be opened.
        """
        global _workers  # noqa: PLW0603 - the default cache is the process's
        await self.teardown(worker)  # of what a --preload opened
        cache = await asyncio.to_thread(attach_or_create, self.size, **self.options)
        plib_cache.configure(**self.options)
        _workers += 1
        worker.extensions[_EXTENSION] = cache

    async def teardown(self, worker: Worker) -> None:
        """Detach; the region stays."""
        global _workers  # noqa: PLW0603
        cache = worker.extensions.pop(_EXTENSION, None)
        if cache is None:
            return
        _workers -= 1
        if not _workers:
            plib_cache.configure()
        cache.close()


def _configured() -> PlibCachePlugin:
    return PlibCachePlugin(
        dask.config.get("plib-cache.name", None), size=dask.config.get("plib-cache.size", None)
    )


async def dask_setup(worker: Any) -> None:
    """Called by ``--preload``; only workers have a cache to open."""
    if isinstance(worker, Worker):
        await _configured().setup(worker)


async def dask_teardown(worker: Any) -> None:
    """Called by ``--preload`` when the worker ends."""
    if isinstance(worker, Worker):
        await _configured().teardown(worker)
