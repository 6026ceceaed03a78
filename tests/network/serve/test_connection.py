# SPDX-License-Identifier: BSD-3-Clause
"""Connections in a loop of the test's own, with a conversation and a clock that the test plays."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from waiting import HANG_S

from plib_cache.serve import connection, listeners
from plib_cache.serve.addresses import Address
from plib_cache.serve.board import BEAT, CONNECTIONS, PID, Board
from plib_cache.serve.connection import TOO_MANY, Connections, Talk
from plib_cache.serve.counts import Counts
from plib_cache.serve.tls import context
from plib_cache.serve.worker import columns, new_loop

from .certificates import Authority


class Parrot:
    """Answers each line by itself; of ``lines`` that came together, one at a time."""

    def __init__(self, spoken: list[bytes]) -> None:
        self._spoken = spoken
        self._input = b""
        self.closing = False

    @property
    def held(self) -> int:
        return len(self._input)

    @property
    def more(self) -> bool:
        return b"\n" in self._input

    def received(self, data: bytes) -> bytes:
        self._input += data
        return self.resume() if self.more else b""

    def resume(self) -> bytes:
        line, _, self._input = self._input.partition(b"\n")
        self._spoken.append(line)
        self.closing = line == b"quit"
        return line + b"\n"


class Stage:
    """Connections that are served by a loop, over socket pairs."""

    def __init__(self, most: int = 10) -> None:
        self.spoken: list[bytes] = []
        self.clients: list[socket.socket] = []
        self.welcomed: list[asyncio.Future[None]] = []
        self.counts = Counts(max_connections=most)
        self.board = Board(2, columns())
        begin: Callable[[], Talk] = lambda: Parrot(self.spoken)  # noqa: E731
        self.all = Connections(begin, self.counts, self.board, 0)

    async def connect(self, tls: ssl.SSLContext | None = None) -> socket.socket:
        """The client's end of a new connection."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self.clients.append(ours)
        if tls is not None:
            self.welcomed.append(asyncio.ensure_future(self.all.welcome(theirs, tls)))
            await asyncio.sleep(0)
            return ours
        await asyncio.get_running_loop().connect_accepted_socket(self.all.make, theirs)
        return ours

    async def act(self, play: Callable[[], Awaitable[None]]) -> None:
        """Let a test play, and leave nothing open, however that ends."""
        try:
            await asyncio.wait_for(play(), HANG_S)
        finally:
            self.all.abort()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            while self.all.open:
                await asyncio.sleep(0.001)
            for client in self.clients:
                client.close()


Played = Callable[[Stage, Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["uvloop", "asyncio"])
def played(request: pytest.FixtureRequest) -> Played:
    """``played(stage, play)`` runs a coroutine in each of the two kinds of loops."""

    def run(stage: Stage, play: Callable[[], Awaitable[None]]) -> None:
        loop = new_loop() if request.param == "uvloop" else asyncio.new_event_loop()
        assert request.param in type(loop).__module__
        try:
            loop.run_until_complete(stage.act(play))
        finally:
            loop.close()

    return run


async def heard(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer if the other side hangs up."""
    got, loop = b"", asyncio.get_running_loop()
    with contextlib.suppress(ConnectionResetError):
        while len(got) < size and (piece := await loop.sock_recv(sock, size - len(got))):
            got += piece
    return got


def test_turns(played: Played) -> None:
    """Who asks much at once does not keep others from being answered."""
    stage = Stage()

    async def play() -> None:
        one, other = await stage.connect(), await stage.connect()
        one.send(b"one\n" * 50)
        other.send(b"other\n" * 50)
        await asyncio.gather(heard(one, 200), heard(other, 300))

    played(stage, play)
    last = stage.spoken.index(b"one"), stage.spoken.index(b"other")
    assert max(last) < 5
    assert sorted(set(stage.spoken[10:20])) == [b"one", b"other"]


def test_answers_wait_for_slow_readers(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is answered, and nothing more is read, while what was answered is not taken."""
    monkeypatch.setattr(connection, "HIGH", 4 << 10)
    monkeypatch.setattr(connection, "LOW", 1 << 10)
    stage = Stage()
    line, count = b"x" * 10_000 + b"\n", 400

    async def play() -> None:
        loop = asyncio.get_running_loop()
        slow, other = await stage.connect(), await stage.connect()
        sending = loop.create_task(loop.sock_sendall(slow, line * count))
        for _ in range(200):  # the server has had every occasion
            await loop.sock_sendall(other, b"hello\n")
            assert await heard(other, 6) == b"hello\n"
        taken = sum(said != b"hello" for said in stage.spoken)
        assert taken < count / 2, taken
        assert not sending.done()
        assert await heard(slow, len(line) * count) == line * count
        await sending

    played(stage, play)


def test_too_many(played: Played) -> None:
    """One more than there may be, of all processes, is told so; when one leaves, another may."""
    stage = Stage(most=3)
    stage.board.put(1, {CONNECTIONS: 1})

    async def play() -> None:
        first, second, third = [await stage.connect() for _ in range(3)]
        assert await heard(third, 100) == TOO_MANY
        await asyncio.get_running_loop().sock_sendall(second, b"here\n")
        assert await heard(second, 5) == b"here\n"
        first.close()
        while stage.board.total(CONNECTIONS) > 2:
            await asyncio.sleep(0.001)
        fourth = await stage.connect()
        await asyncio.get_running_loop().sock_sendall(fourth, b"me too\n")
        assert await heard(fourth, 7) == b"me too\n"

    played(stage, play)
    assert (stage.counts.total_connections, stage.counts.rejected_connections) == (4, 1)


def test_idle_ones(played: Played) -> None:
    """Those of which nothing was heard for so long are hung up on, and no others."""
    stage = Stage()

    async def play() -> None:
        loop = asyncio.get_running_loop()
        quiet, busy = await stage.connect(), await stage.connect()
        stage.all.hang_up_idle(9.0, 10.0)
        await loop.sock_sendall(busy, b"hello\n")
        assert await heard(busy, 6) == b"hello\n"
        stage.all.hang_up_idle(10.0, 10.0)
        stage.all.hang_up_idle(11.0, 0)
        assert len(stage.all.open) == 2
        stage.all.hang_up_idle(11.0, 10.0)
        assert await heard(quiet, 1) == b""
        await loop.sock_sendall(busy, b"still\n")
        assert await heard(busy, 6) == b"still\n"

    played(stage, play)
    assert stage.counts.idle_kicks == 1


def test_drain(played: Played) -> None:
    """Idle ones are closed at once; what has come is answered, also what lies in the kernel."""
    stage = Stage()

    async def play() -> None:
        loop = asyncio.get_running_loop()
        idle, asking, half = [await stage.connect() for _ in range(3)]
        await loop.sock_sendall(half, b"half a ")
        while not any(one._talk.held for one in stage.all.open):
            await asyncio.sleep(0.001)
        asking.send(b"lies in the kernel\n")
        stage.all.drain()
        assert await heard(idle, 1) == b""
        assert await heard(asking, 100) == b"lies in the kernel\n"
        assert len(stage.all.open) == 1
        await loop.sock_sendall(half, b"line\n")
        assert await heard(half, 100) == b"half a line\n"
        while stage.all.open:
            await asyncio.sleep(0.001)

    played(stage, play)


@pytest.mark.parametrize("end", [b"quit\n", b""])
def test_the_end_of_a_client(played: Played, end: bytes) -> None:
    """What was asked before ``quit``, or before the client's side was closed, is answered."""
    stage = Stage()

    async def play() -> None:
        client = await stage.connect()
        client.send(b"line\n" * 30 + end)
        if not end:
            client.shutdown(socket.SHUT_WR)
        assert await heard(client, 1000) == b"line\n" * 30 + end
        while stage.all.open:
            await asyncio.sleep(0.001)

    played(stage, play)


def test_no_handshake(played: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who begins no TLS, or something else, counts as a connection and is hung up on."""
    monkeypatch.setattr(connection, "HANDSHAKE_S", 0.2)
    stage, pair = Stage(most=2), Authority(tmp_path).sign("server")
    tls = context(str(pair.cert), str(pair.key), "")

    async def play() -> None:
        silent, plain = await stage.connect(tls), await stage.connect(tls)
        await asyncio.get_running_loop().sock_sendall(plain, b"get k\r\n" * 3)
        assert stage.counts.curr_connections == 2
        refused = await stage.connect(tls)
        assert await heard(refused, 100) == TOO_MANY
        assert await heard(silent, 1) == b""
        await heard(plain, 100)  # TLS says what is wrong
        while stage.all.open:
            await asyncio.sleep(0.001)

    played(stage, play)
    assert stage.counts.curr_connections == 0


def test_options_of_connections() -> None:
    """Answers are sent at once, and the kernel notices who is gone."""
    listener = listeners.open_listener(Address(host="127.0.0.1"), several=False)
    with socket.create_connection(("127.0.0.1", listener.address.port)):
        listener.sock.setblocking(True)
        taken, _ = listener.sock.accept()
        with taken:
            for level, option, value in listeners._TCP:
                assert taken.getsockopt(level, option) == value
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in listeners._TCP
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in listeners._TCP
    listener.close()


def test_the_board() -> None:
    """What an ended process had counted stays in the totals, its connections do not."""
    board = Board(2, ["gets"])
    other = Board(2, ["gets"], board.fd)
    other.put(0, {PID: 7, BEAT: 1, CONNECTIONS: 2, "gets": 10})
    board.put(1, {PID: 8, CONNECTIONS: 3, "gets": 5})
    assert board.totals() == {CONNECTIONS: 5, "gets": 15}
    assert board.totals(but=1) == {CONNECTIONS: 2, "gets": 10}
    board.retire(0)
    assert other.pids() == [8]
    assert board.totals() == {CONNECTIONS: 3, "gets": 15}
    assert board.totals(but=0) == {CONNECTIONS: 3, "gets": 15}
