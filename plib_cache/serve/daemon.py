# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache serve``: the parent, which listens, starts server processes and looks after them.

It answers no client itself.  It says on its standard output where it listens and then "ready", and
everything else on standard error; the service manager is told too.  SIGTERM and SIGINT drain, a
second one ends at once; SIGHUP reads certificates and users again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable

from plib_cache.cache import Cache
from plib_cache.exceptions import PlibCacheError
from plib_cache.serve import addresses, guard, listeners, metrics, notify, tls
from plib_cache.serve.addresses import Address
from plib_cache.serve.board import Board
from plib_cache.serve.child import Child
from plib_cache.serve.listeners import Listener
from plib_cache.serve.settings import Settings
from plib_cache.serve.users import Users
from plib_cache.serve.worker import LOG, Task, columns

LOOK_S = 1.0  # how often it looks whether the region is still there
AFTER_GRACE_S = 3.0  # for processes to end in after they have cut everything off
log = logging.getLogger(__name__)


class Daemon:
    """The parent; ``close`` gives back what it opened.

    Raises:
        ConfigurationError: an option is wrong; PlibCacheError: the machine does not allow it.
    """

    def __init__(self, settings: Settings, made: Callable[[], None] | None = None) -> None:
        """Begin.

        Args:
            made: is called if there was no region, and there is one now.
        """
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._stop = asyncio.Event()
        self._keeping: list[asyncio.Task[None]] = []
        _check_files(settings)
        guard.allow_files(settings.max_connections)
        try:
            passed, wanted = self._addresses()  # before a region is made: they may be wrong
            new = not os.path.lexists(settings.region)
            self._cache = Cache(path=settings.region, size=settings.size)
            self._stack.callback(self._close_cache)
            if new and made:
                made()
            self._listeners = self._listen(passed, wanted)
            self._board = Board(settings.processes, columns())
            tasks = [self._task(row) for row in range(settings.processes)]
            self._children = [Child(task, self._board) for task in tasks]
            self._metrics = self._serve_metrics()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close sockets and the region."""
        self._stack.close()

    def _close_cache(self) -> None:
        self._cache.close()  # the one that it is by then

    def _addresses(self) -> tuple[list[Listener], list[Address]]:
        """The sockets that were passed on, and where to listen besides them."""
        told = self._settings
        passed = [listeners.adopt(sock) for sock in notify.passed_sockets()]
        texts = told.listen or (() if passed else (addresses.DEFAULT,))
        wanted = [one for text in texts for one in addresses.parse(text)]
        guard.check_reach([*wanted, *(one.address for one in passed)], told)
        return passed, wanted

    def _listen(self, passed: list[Listener], wanted: list[Address]) -> list[Listener]:
        found, several = list(passed), self._settings.processes > 1
        for address in wanted:
            found.append(listeners.open_listener(address, several=several))
            self._stack.callback(found[-1].close)
        return found

    def _task(self, row: int) -> Task:
        shared = [one.sock.fileno() for one in self._listeners if one.shared]
        own = [(one.address.host, one.address.port) for one in self._listeners if not one.shared]
        return Task(
            settings=self._settings,
            row=row,
            rows=self._settings.processes,
            board=self._board.fd,
            shared=tuple(shared),
            own=tuple(own),
        )

    def _serve_metrics(self) -> addresses.Address | None:
        if not self._settings.metrics:
            return None
        where = metrics.address(self._settings.metrics)
        guard.check_metrics_reach(where, self._settings)
        collector = metrics.Collector(self._board, lambda: self._cache, self._restarts)
        return metrics.serve(where, collector)

    def _restarts(self) -> int:
        return sum(child.restarts for child in self._children)

    async def run(self) -> None:
        """Serve until a signal ends it.

        Raises:
            PlibCacheError: the server processes do not start.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGINT, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        helping = []
        try:
            await asyncio.gather(*(child.start() for child in self._children))
            if not self._stop.is_set():
                self._announce()
            helping = [loop.create_task(self._look()), loop.create_task(self._feed_watchdog())]
            self._keeping = [loop.create_task(child.keep()) for child in self._children]
            await self._stop.wait()
        finally:
            await self._end()
            for task in helping:
                task.cancel()

    def _announce(self) -> None:
        told = self._settings
        lines = [f"listening on {one.address}" for one in self._listeners]
        if self._metrics:
            lines.append(f"metrics on http://{self._metrics}/metrics")
        many = "1 process" if told.processes == 1 else f"{told.processes} processes"
        with contextlib.suppress(OSError):  # nobody reads it any more
            print(*lines, f"ready: {many} for {told.region}", sep="\n", flush=True)
        notify.notify("READY=1", f"STATUS=serving {told.region}")

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            log.warning("asked to stop a second time: ending at once")
            for child in self._children:
                child.signal(signal.SIGKILL)
        self._stop.set()
        for child in self._children:
            child.stop()

    async def _end(self) -> None:
        notify.notify("STOPPING=1")
        self.close()
        for child in self._children:
            child.stop()
        ending = self._keeping or [asyncio.ensure_future(child.keep()) for child in self._children]
        _, late = await asyncio.wait(ending, timeout=self._settings.grace + AFTER_GRACE_S)
        if late:
            for child in self._children:
                child.kill()
            await asyncio.wait(late)

    def _reload(self) -> None:
        notify.reloading()
        try:
            _check_files(self._settings)
        except PlibCacheError as error:
            log.error("not reloaded, and nothing is changed: %s", error)
        else:
            for child in self._children:
                child.reload()
            log.info("reloaded certificates and users, for connections to come")
        notify.notify("READY=1")

    async def _look(self) -> None:
        """When the region's file was removed, make a new one, which the processes then serve."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._cache.removed():
                continue
            try:
                made = Cache(path=self._settings.region, size=self._settings.size)
            except PlibCacheError as error:
                log.error("the region was removed, and a new one cannot be made: %s", error)
                continue
            self._cache.close()
            self._cache = made

    async def _feed_watchdog(self) -> None:
        """Tell the service manager that all processes live, as often as it wants to hear it."""
        limit = notify.watchdog_s()
        while limit is not None:
            living = [child.lives() for child in self._children]
            if all(living):
                notify.notify("WATCHDOG=1")
            else:
                log.error("a server process is stuck: the service manager is not told to wait")
            await asyncio.sleep(limit / 2)


def _check_files(settings: Settings) -> None:
    """Read what a server process will read."""
    if settings.tls_cert:
        tls.context(settings.tls_cert, settings.tls_key, settings.tls_ca)
    if settings.auth_file:
        Users(settings.auth_file)


async def _run(settings: Settings, made: Callable[[], None] | None) -> None:
    await Daemon(settings, made).run()


def serve(settings: Settings, made: Callable[[], None] | None = None) -> None:
    """Serve until a signal ends it; see ``Daemon``."""
    logging.basicConfig(format=LOG, level=logging.INFO)
    asyncio.run(_run(settings, made))
