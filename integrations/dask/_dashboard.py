# SPDX-License-Identifier: BSD-3-Clause
"""The page ``/plib-cache`` of a scheduler's dashboard: put there, while the scheduler runs.

The page itself is in ``_panel``, which needs bokeh.  Where that is not installed, or the dashboard
is off, a line of text is there instead.
"""

from __future__ import annotations

from typing import Any

from distributed.http.utils import RequestHandler
from tornado.ioloop import IOLoop

from plib_cache.integrations.dask._counts import logger

PAGE = "plib-cache"
_MARK = "plib_cache_dashboard"  # among the scheduler's extensions, once the page is there


class Excuse(RequestHandler):
    """Says why there is no page."""

    def get(self) -> None:
        """Say it."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(f"plib_cache has no page here: {self.extra['why']}\n")


def install(dask_scheduler: Any) -> None:
    """Put the page there, once; what goes wrong is told, and breaks nothing."""
    if _MARK in dask_scheduler.extensions:
        return
    dask_scheduler.extensions[_MARK] = PAGE
    try:
        why = _add_page(dask_scheduler)
        if why is not None:
            handlers = [(rf"(?:/.*)?/{PAGE}", Excuse, {"extra": {"why": why}})]
            dask_scheduler.http_application.add_handlers(r".*$", handlers)
    except Exception as error:
        logger.warning("plib_cache: no page in the dashboard (%s: %s)", type(error).__name__, error)


def _add_page(scheduler: Any) -> str | None:
    """Add it to the dashboard; why not, if that cannot be."""
    try:
        from distributed.dashboard.core import BokehApplication
        from distributed.dashboard.scheduler import template_variables

        from plib_cache.integrations.dask._panel import page
    except ImportError as error:
        return f"the dashboard needs bokeh, and the scheduler cannot import it ({error})"
    routes = scheduler.http_application
    theirs: list[Any] = [one for one in routes.applications if isinstance(one, _bokeh())]
    if not theirs:
        return "the dashboard is off"
    prefix = theirs[0].prefix
    shown = template_variables(scheduler)  # of all pages: it has the links of the menu "More..."
    shown["plots"].append({"url": PAGE, "name": "plib_cache"})
    make: Any = BokehApplication
    made = make({f"/{PAGE}": page}, scheduler, prefix, template_variables=shown)
    routes.add_application(made)  # from here on it ends with the scheduler
    made.initialize(IOLoop.current())
    made.start()
    return None


def _bokeh() -> Any:
    from bokeh.server.tornado import BokehTornado

    return BokehTornado


def add_dashboard(client: Any) -> Any:
    """Add a page on the workers' caches to the dashboard of a client's scheduler.

    Args:
        client: a ``distributed.Client``.

    Returns:
        Where the page is, as ``client.dashboard_link`` says it for the dashboard; of an
        asynchronous client something to be awaited. The page is there until the scheduler ends.
        A scheduler without bokeh has a line of text there.

    Raises:
        ModuleNotFoundError: plib_cache is not installed where the scheduler runs.
    """
    return client.sync(_add, client)


async def _add(client: Any) -> str | None:
    await client.run_on_scheduler(install, asynchronous=True)
    link: str | None = client.dashboard_link
    return None if link is None else link.removesuffix("status") + PAGE
