# SPDX-License-Identifier: BSD-3-Clause
"""One server process: listens, answers, drains when told to, reloads when told to.

Its parent writes one line to its standard input, which says everything that it needs, and holds the
pipe open: when that ends the parent is gone, and the process drains.  It says "ready" on its
standard output when it listens.  All values are in the region, so its death loses nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass

from plib_cache.cache import Cache
from plib_cache.exceptions import PlibCacheError
from plib_cache.serve import listeners, tls
from plib_cache.serve.addresses import Address
from plib_cache.serve.board import BEAT, Board
from plib_cache.serve.connection import Connections
from plib_cache.serve.conversation import Conversation
from plib_cache.serve.counts import Counts
from plib_cache.serve.limits import Limits
from plib_cache.serve.settings import Settings
from plib_cache.serve.store import Store
from plib_cache.serve.users import Users

TICK_S = 0.25  # how often it says that it lives, and what it counted
READY = "ready"
LOG = "plib-cache serve[%(process)d]: %(message)s"
log = logging.getLogger(__name__)

# A process finds what its parent found, and nothing of the folder that it was started in.
BOOT = "import sys; sys.path[:] = sys.argv[1:]; from plib_cache.serve.worker import main; main()"


@dataclass(frozen=True)
class Task:
    """What a parent tells one of its server processes."""

    settings: Settings
    row: int  # of the board
    rows: int
    board: int  # descriptor
    shared: tuple[int, ...]  # descriptors of sockets that listen
    own: tuple[tuple[str, int], ...]  # host and port of addresses to open a socket at

    def as_json(self) -> str:
        """One line of text."""
        rest = {**vars(self), "settings": self.settings.as_json()}
        return json.dumps(rest)

    @classmethod
    def from_json(cls, text: str) -> Task:
        """What ``as_json`` wrote."""
        told = json.loads(text)
        told["settings"] = Settings.from_json(told["settings"])
        told["own"] = tuple((host, port) for host, port in told["own"])
        return cls(**{**told, "shared": tuple(told["shared"])})


_NO_COUNTS = ("max_connections", "threads", "started", "others")


def columns() -> list[str]:
    """What is counted, by the names that memcached's ``stats`` uses."""
    fields = dataclasses.fields(Counts)
    return [field.name for field in fields if field.name not in _NO_COUNTS]


class Worker:
    """The server process."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._settings = settings = task.settings
        self._board = Board(task.rows, columns(), task.board)
        self._counts = Counts(max_connections=settings.max_connections, threads=task.rows)
        if task.rows > 1:
            self._counts.others = lambda: self._board.totals(but=task.row)
        self._store = Store(Cache(path=settings.region, create=False))
        self._users = Users(settings.auth_file) if settings.auth_file else None
        self._limits = Limits(item=settings.max_item)
        self._connections = Connections(self._begin, self._counts, self._board, task.row)
        self._context = self._certificates()
        self._stopping = asyncio.Event()

    def _begin(self) -> Conversation:
        settings = self._settings
        return Conversation(
            self._store, self._limits, self._counts, auth=self._users, read_only=settings.read_only
        )

    def _certificates(self) -> ssl.SSLContext | None:
        told = self._settings
        return tls.context(told.tls_cert, told.tls_key, told.tls_ca) if told.tls_cert else None

    async def run(self) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_reader(sys.stdin.fileno(), self._stopping.set)  # the parent has ended
        ticking = loop.create_task(self._tick())
        socks = [socket.socket(fileno=fd) for fd in self._task.shared]
        socks += [
            listeners.open_own(Address(host=host, port=port)) for host, port in self._task.own
        ]
        accepting = [await self._accept(sock) for sock in socks]
        print(READY, flush=True)
        await self._stopping.wait()
        loop.remove_reader(sys.stdin.fileno())
        for stop_accepting in accepting:
            stop_accepting()
        for sock in socks:
            sock.close()
        await self._drain()
        ticking.cancel()
        self._publish()

    async def _accept(self, sock: socket.socket) -> Callable[[], object]:
        """Take who comes to a socket; what is returned ends it."""
        loop = asyncio.get_running_loop()
        if self._context is not None:
            return loop.create_task(self._accept_tls(sock)).cancel
        server = await loop.create_server(
            self._connections.make, sock=sock, backlog=listeners.BACKLOG
        )
        return server.close

    async def _accept_tls(self, sock: socket.socket) -> None:
        """Take who comes to a socket, each with the certificate of that moment."""
        loop = asyncio.get_running_loop()
        welcomed: set[asyncio.Task[None]] = set()
        while True:
            try:
                client, _ = await loop.sock_accept(sock)
            except OSError as error:  # too many files, or the client has gone already
                log.warning("a client cannot be taken (%s)", error.strerror)
                await asyncio.sleep(TICK_S)
                continue
            assert self._context is not None
            task = loop.create_task(self._connections.welcome(client, self._context))
            welcomed.add(task)
            task.add_done_callback(welcomed.discard)

    async def _drain(self) -> None:
        """Answer what was asked, and close; what is left when the grace is over is cut off."""
        self._connections.drain()
        deadline = asyncio.get_running_loop().time() + self._settings.grace
        while self._connections.open and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        if self._connections.open:
            log.warning("cut off %d connections that took too long", len(self._connections.open))
            self._connections.abort()
        await asyncio.sleep(0)

    async def _tick(self) -> None:
        loop, beat = asyncio.get_running_loop(), 0
        while True:
            beat += 1
            self._connections.hang_up_idle(loop.time(), self._settings.idle_timeout)
            self._publish()
            self._board.put(self._task.row, {BEAT: beat})
            if self._store.cache.removed():
                self._open_anew()
            await asyncio.sleep(TICK_S)

    def _publish(self) -> None:
        counted = {name: getattr(self._counts, name) for name in columns()}
        self._board.put(self._task.row, counted)

    def _open_anew(self) -> None:
        """The region's file was removed: serve the one that is there by now."""
        try:
            self._store.cache = Cache(path=self._settings.region, create=False)
        except PlibCacheError:
            return  # the parent makes it in a moment
        log.warning("%s was removed: serving the new one", self._settings.region)

    def _reload(self) -> None:
        """Read certificates and users again; the parent has tried them already."""
        try:
            self._context = self._certificates()
            if self._users is not None:
                self._users.reload()
        except PlibCacheError as error:
            log.error("went on with what was read before: %s", error)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's if it is there."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(task: Task) -> None:
    await Worker(task).run()


def main() -> None:
    """Serve as the first line of standard input says; end with 1 if that cannot be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's, which is for the parent
    logging.basicConfig(format=LOG, level=logging.INFO)
    task = Task.from_json(sys.stdin.readline())
    loop = new_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_serve(task))
    except (PlibCacheError, OSError) as error:
        log.error("cannot serve: %s", error)
        sys.exit(1)
