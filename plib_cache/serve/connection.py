# SPDX-License-Identifier: BSD-3-Clause
"""Connections of one server process: bytes between a socket and its conversation.

What one connection may hold is bounded.  A client that does not read its answers is not read from
either, beyond what fits between the marks; one that sends many commands at once is answered a part
at a time, in turn with the others.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import socket
import ssl
import termios
from collections.abc import Callable
from typing import Protocol, cast

from plib_cache.serve.board import CONNECTIONS, Board
from plib_cache.serve.counts import Counts

HIGH, LOW = 64 << 10, 16 << 10  # bytes that wait for a client: at which reading pauses, goes on
HANDSHAKE_S = 10.0
TOO_MANY = b"ERROR Too many open connections\r\n"


class Talk(Protocol):
    """What a connection needs of a ``Conversation``."""

    @property
    def more(self) -> bool:
        """Whether there is more to answer of what was taken."""

    @property
    def closing(self) -> bool:
        """Whether to hang up when the answers are written."""

    @property
    def held(self) -> int:
        """Bytes of what is not answered yet."""

    def received(self, data: bytes) -> bytes:
        """Take bytes, and give answers."""

    def resume(self) -> bytes:
        """Answer more of what was taken."""


class Connections:
    """All connections of this process, and what holds for each of them.

    Args:
        begin: makes the conversation of a new connection.
        counts: ``max_connections`` is of all processes together; the rest is of this one.
        board: where the processes say how many connections they have; this one in ``row``.
    """

    def __init__(self, begin: Callable[[], Talk], counts: Counts, board: Board, row: int) -> None:
        self.begin = begin
        self.counts = counts
        self.open: set[Connection] = set()
        self.now = 0.0  # when the clock was last looked at, seconds
        self.draining = False
        self._shaking: set[asyncio.Task[None] | None] = set()
        self._board, self._row = board, row

    def admit(self, one: Connection) -> bool:
        """Count a connection, unless it is one too many."""
        self.counts.total_connections += 1
        self.open.add(one)
        self._tell()
        if self._board.total(CONNECTIONS) <= self.counts.max_connections:
            return True
        self.leave(one)
        self.counts.rejected_connections += 1
        return False

    def leave(self, one: Connection) -> None:
        """A connection is gone."""
        self.open.discard(one)
        self._tell()

    def _tell(self) -> None:
        self.counts.curr_connections = len(self.open)
        self._board.put(self._row, {CONNECTIONS: len(self.open)})

    def make(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self)

    async def welcome(self, client: socket.socket, context: ssl.SSLContext) -> None:
        """Make a connection of a client that is to begin with a handshake, which counts already."""
        one = TlsConnection(self)
        if not self.admit(one):
            with contextlib.suppress(OSError):
                client.send(TOO_MANY)
            client.close()
            return
        self._shaking.add(task := asyncio.current_task())
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: one, client, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (OSError, asyncio.CancelledError):  # also of TLS, which has told the client
            self.leave(one)
        finally:
            self._shaking.discard(task)

    def hang_up_idle(self, now: float, limit: float) -> None:
        """Close those of which nothing was heard for ``limit`` seconds; 0 is for ever."""
        self.now = now
        if limit:
            for one in [one for one in self.open if one.heard < now - limit]:
                self.counts.idle_kicks += 1
                one.abort()

    def drain(self) -> None:
        """Close those that have been answered, and each other one when it has."""
        self.draining = True
        for task in self._shaking:
            if task is not None:
                task.cancel()
        for one in list(self.open):
            one.close_if_answered()

    def abort(self) -> None:
        """Close all, whatever they wait for."""
        for one in list(self.open):
            one.abort()


class Connection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_all", "_ended", "_full", "_going_on", "_paused", "_talk", "_transport", "heard",
    )  # fmt: skip

    _talk: Talk

    def __init__(self, all_: Connections) -> None:
        self._all = all_
        self._transport: asyncio.Transport | None = None
        self._full = False  # so many answers wait for the client that no more are made
        self._paused = False  # nothing is read from it
        self._going_on = False  # the rest of what was taken is answered in a moment
        self._ended = False  # the client sends nothing more
        self.heard = all_.now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's have other bases
        if self._admitted(transport):
            self._begin(transport)

    def _admitted(self, transport: asyncio.Transport) -> bool:
        if self._all.admit(self):
            return True
        transport.write(TOO_MANY)
        transport.close()
        return False

    def _begin(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(HIGH, LOW)
        self._talk = self._all.begin()
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.leave(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._transport is None:  # it was refused
            return
        everyone = self._all
        self.heard = everyone.now
        everyone.counts.bytes_read += len(data)
        self._say(self._talk.received(data))

    def eof_received(self) -> bool:
        """What was asked before is answered."""
        self._ended = True
        return self._transport is not None and self._talk.more

    def _say(self, answers: bytes) -> None:
        transport, talk = self._transport, self._talk
        assert transport is not None
        if answers:
            self._all.counts.bytes_written += len(answers)
            transport.write(answers)
        if talk.more or talk.closing or self._full or self._paused or self._ended:
            self._arrange(transport)
        elif self._all.draining:
            self.close_if_answered()

    def _arrange(self, transport: asyncio.Transport) -> None:
        """Go on reading, or answering, or neither."""
        talk = self._talk
        if talk.closing or (self._ended and not talk.more):
            transport.close()
        elif talk.more or self._full:
            self._pause(transport)
            self._soon()
        else:
            self._paused = False
            transport.resume_reading()
            if self._all.draining:
                self.close_if_answered()

    def _pause(self, transport: asyncio.Transport) -> None:
        self._paused = True
        transport.pause_reading()

    def _soon(self) -> None:
        """Go on when all others have had their turn, and when the client has read enough."""
        if not (self._going_on or self._full):
            self._going_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        transport = self._transport
        if transport is None or transport.is_closing() or self._full:
            return
        self.heard = self._all.now
        self._say(self._talk.resume() if self._talk.more else b"")

    def pause_writing(self) -> None:
        self._full = True
        if self._transport is not None:
            self._pause(self._transport)

    def resume_writing(self) -> None:
        self._full = False
        self._soon()

    def close_if_answered(self) -> None:
        """Close it unless a command of it was begun and is not answered yet."""
        transport = self._transport
        if transport is None:
            return
        if not (self._talk.more or self._talk.held or self._full or _unread(transport)):
            transport.close()

    def abort(self) -> None:
        """Close it without regard to what waits to be sent."""
        if self._transport is not None:
            self._transport.abort()


class TlsConnection(Connection):
    """One client that speaks TLS; it was admitted before the handshake."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._begin(cast("asyncio.Transport", transport))

    def eof_received(self) -> bool:
        """TLS has no half-closed connections."""
        return False


def _unread(transport: asyncio.Transport) -> int:
    """Bytes that the client has sent, and that still lie in the kernel."""
    sock = transport.get_extra_info("socket")
    found = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, found)
    except OSError:
        return 0
    return found[0]
