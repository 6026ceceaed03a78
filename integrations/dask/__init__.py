# SPDX-License-Identifier: BSD-3-Clause
"""The workers of a dask cluster share the memory of their machine.

::

    from plib_cache.integrations.dask import PlibCachePlugin

    client.register_plugin(PlibCachePlugin())

Large values that workers store (arrays, tables, whatever has buffers) lie in one region of the
machine then: workers pass them on by reference, and have one copy together.  Inside tasks
``plib_cache.get_cache()`` and ``@plib_cache.cache`` use the same region.  It belongs to no worker:
it is there for the next worker and for the next cluster, until the machine restarts or
``plib-cache rm`` removes it.

Without a client: ``dask worker --preload plib_cache.integrations.dask``.  What is not given is
taken from dask's configuration (``plib-cache``); see ``plib-cache.yaml`` beside this module.

What a worker cannot open is an error when the plugin is registered, not later in the tasks.  From
then on nothing that goes wrong with the cache breaks a computation: it is done as dask would do it
without, and counted (``counts``).
"""

from __future__ import annotations

import os
from typing import Any

from plib_cache import ConfigurationError
from plib_cache.signatures import options_of

try:
    from distributed import Scheduler, Worker, WorkerPlugin

    from plib_cache.integrations.dask._config import options
    from plib_cache.integrations.dask._dashboard import add_dashboard, install
    from plib_cache.integrations.dask._local import cached
    from plib_cache.integrations.dask._numbers import seconds_saved
    from plib_cache.integrations.dask._reuse import reuse
    from plib_cache.integrations.dask._worker import EXTENSION, WorkerCache
except ImportError as error:
    raise ImportError(
        f"plib_cache.integrations.dask needs distributed ({error}): pip install 'plib-cache[dask]'"
    ) from error

__all__ = ["PlibCachePlugin", "add_dashboard", "cached", "counts", "reuse"]


class PlibCachePlugin(WorkerPlugin):
    """Has all workers of a machine share one region of its memory; for ``register_plugin``.

    Args:
        name: of the region; None is the one that ``get_cache`` would use.
        size: of the region where it does not exist yet, as for ``plib_cache.Cache``; by default a
            quarter of the machine's memory, and at most half of what is free there. A region that
            exists keeps its size.
        keep: names of tasks (``"sum"``, ``"read_csv"``; ``"*"`` is all) whose results outlive the
            cluster, besides those annotated with ``plib_cache={"keep": True}``; None: none do.
        threshold: bytes, or as "1 MiB"; smaller values are not shared.
        writeable: whether tasks may write into their inputs. Pages that they write to are copied
            for the worker alone. With False what lies in the region is read-only, and takes no
            second mapping.
        nodes: whether tasks find what other nodes of the cluster have stored, and store it there.
        path: a file on the workers' machines instead of a name.
        trust: "code" or "data", as for ``plib_cache.Cache``.
        expected_entry: typical bytes of an entry, where the region does not exist yet.

    Notes:
        What is None is taken from the configuration of dask where the worker runs.
        Registering it again changes nothing.  Several clusters on one machine, one behind the
        other or at the same time, share the region if they use the same name and are of the same
        user.
    """

    idempotent = True

    @options_of("PlibCachePlugin")
    def __init__(
        self,
        name: str | None = None,
        *,
        size: int | str | None = None,
        keep: tuple[str, ...] | None = None,
        threshold: int | str | None = None,
        writeable: bool | None = None,
        nodes: bool | None = None,
        path: str | os.PathLike[str] | None = None,
        trust: str | None = None,
        expected_entry: int | None = None,
    ) -> None:
        place = os.fspath(path) if path is not None else name
        self.name = "plib-cache" if place is None else f"plib-cache {place}"  # of the plugin
        self.given: dict[str, Any] = {
            "name": name,
            "size": size,
            "keep": keep,
            "threshold": threshold,
            "writeable": writeable,
            "nodes": nodes,
            "path": None if path is None else os.fspath(path),
            "trust": trust,
            "expected_entry": expected_entry,
        }

    async def setup(self, worker: Worker) -> None:
        """Open the region, and have everything in this worker use it.

        Raises:
            PlibCacheError: it cannot be opened, or this worker has another one.
        """
        there: Any = worker.extensions.get(EXTENSION)
        meant = options(self.given)
        if there is not None:
            if there.options.region != meant.region:
                raise ConfigurationError(
                    f"this worker shares the region {_called(there.options)} already, and cannot "
                    f"share {_called(meant)} as well: unregister the first plugin, or give both "
                    "the same name"
                )
            there.owner._let_go()  # what --preload has opened, say
            there.close()
        made: Any = WorkerCache(worker, meant, owner=self)
        worker.extensions[EXTENSION] = made
        try:
            await made.open()
        except BaseException:
            worker.extensions.pop(EXTENSION, None)
            raise
        self._made = made
        vars(self)["transition"] = made.transition  # called by the worker at each of a task

    async def teardown(self, worker: Worker) -> None:
        """Detach; the region stays."""
        made = self._let_go()
        there: Any = worker.extensions.get(EXTENSION)
        if made is not None and made is there:
            del worker.extensions[EXTENSION]
            made.close()

    def _let_go(self) -> Any:
        """Have the worker tell this plugin nothing more; what it had opened."""
        vars(self).pop("transition", None)
        return vars(self).pop("_made", None)


def _called(meant: Any) -> str:
    return repr(meant.region["path"] or meant.region["name"] or "default")


def counts(dask_worker: Any = None) -> dict[str, float]:
    """What the plugin has done in a worker; ``client.run(counts)`` gives that of all of them.

    Raises:
        ConfigurationError: the plugin is not registered there.
    """
    there = None if dask_worker is None else dask_worker.extensions.get(EXTENSION)
    if there is None:
        raise ConfigurationError("this is no worker that has a PlibCachePlugin: register one")
    numbers: dict[str, float] = there.counts.as_dict()
    numbers["seconds_saved"] = seconds_saved(there)
    return numbers


async def dask_setup(server: Any) -> None:
    """Called by ``--preload``: a worker opens its cache, a scheduler gets its page."""
    if isinstance(server, Worker):
        await server.plugin_add(PlibCachePlugin(), catch_errors=False)
    elif isinstance(server, Scheduler):
        install(server)
