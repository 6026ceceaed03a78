# SPDX-License-Identifier: BSD-3-Clause
"""Connections of which no operation waits past its deadline, whatever the server does.

The time-out of a socket is for each call of it, so a server that sends a byte now and then could
hold up an operation for ever.  Here a thread has one deadline for all that it does until the next
one (``begin``), and each call of a socket waits at most for what is left of it.  The same goes for
how many bytes may come.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ssl

_CHUNK = 1 << 16
_SLACK = 1 << 16  # for lines and names around the values of an answer
_clock = time.monotonic


class _Operation(threading.local):
    """What the operation of this thread may still take."""

    until: float = 0.0
    room: int = 0
    first: bool = True


_mine = _Operation()


class Address(NamedTuple):
    """Where a server is: host and port, or the path of a unix socket (its port is 0)."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Limits(NamedTuple):
    """Seconds: to make a connection, and for a whole operation with it."""

    connect: float = 0.05
    whole: float = 0.2


def begin(limits: Limits, room: int) -> None:
    """An operation begins, in this thread; so many bytes of values are expected at most."""
    _mine.until = _clock() + limits.whole
    _mine.room = room + _SLACK
    _mine.first = True


def _left() -> float:
    left = _mine.until - _clock()
    if left <= 0:
        raise TimeoutError("the operation took too long")
    return left


def _came(nbytes: int) -> None:
    _mine.room -= nbytes
    if _mine.room < 0:
        raise ConnectionError("the server sends more than was asked for")


class TimedSocket:
    """A socket, as far as clients use one, that keeps to the deadline of the operation."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def recv(self, nbytes: int) -> bytes:
        """What has come, up to so much; and 64 KiB of a long answer, of which pymemcache would ask
        for 4 KiB at a time."""
        sock = self._sock
        sock.settimeout(_left())
        data = sock.recv(nbytes if _mine.first else _CHUNK)
        _mine.first = False
        _came(len(data))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As ``socket.recv_into``."""
        self._sock.settimeout(_left())
        came = self._sock.recv_into(buffer, nbytes, flags)
        _came(came)
        return came

    def sendall(self, data: bytes) -> None:
        """As ``socket.sendall``."""
        self._sock.settimeout(_left())
        self._sock.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """Nothing: the deadline of the operation holds."""

    def gettimeout(self) -> float:
        """What is left of the operation."""
        return max(0.0, _mine.until - _clock())

    def shutdown(self, how: int) -> None:
        """As ``socket.shutdown``."""
        self._sock.shutdown(how)

    def fileno(self) -> int:
        """As ``socket.fileno``."""
        return self._sock.fileno()

    def close(self) -> None:
        """As ``socket.close``."""
        self._sock.close()


def dial(address: Address, limits: Limits, tls: ssl.SSLContext | None = None) -> TimedSocket:
    """A connection to a server, made within both limits.

    Raises:
        OSError: there is none to be had, or not so soon.
    """
    until = min(_clock() + limits.connect, _mine.until)
    if not address.port:
        return TimedSocket(_connected(socket.AF_UNIX, address.host, until))
    error: OSError = OSError(f"{address} has no address")
    for family, _, _, _, place in _resolved(address, until):
        try:
            sock = _connected(family, place, until)
            break
        except OSError as failed:
            error = failed
    else:
        raise error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        try:
            sock.settimeout(_left())  # the handshake has as long as the operation
            sock = tls.wrap_socket(sock, server_hostname=address.host)
        except BaseException:
            sock.close()
            raise
    return TimedSocket(sock)


def _connected(family: int, place: Any, until: float) -> socket.socket:
    left = until - _clock()
    if left <= 0:
        raise TimeoutError("connecting took too long")
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(left)
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


# ---- names of hosts: the resolver of the system has no time-out, so it gets a thread


class _Lookup(threading.Thread):
    """Asks for the addresses of a host; ``found`` is what came, or the error."""

    found: list[Any] | OSError

    def __init__(self, address: Address) -> None:
        super().__init__(name=f"plib_cache looks up {address.host}", daemon=True)
        self._address = address

    def run(self) -> None:
        try:
            self.found = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
        except OSError as error:
            self.found = error
        _lookups.pop(self._address, None)


_lookups: dict[Address, _Lookup] = {}  # those that are under way


def forget_lookups() -> None:
    """After a fork: what was under way is so in the parent."""
    _lookups.clear()


def _resolved(address: Address, until: float) -> list[Any]:
    try:
        return socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    lookup = _lookups.get(address)
    try:
        if lookup is None:
            lookup = _lookups[address] = _Lookup(address)
            lookup.start()
        lookup.join(max(0.0, until - _clock()))
    except RuntimeError as error:  # no more threads; or who asked first has not come to it
        _lookups.pop(address, None)
        raise OSError(f"looking up {address.host}: {error}") from error
    if lookup.is_alive():
        raise TimeoutError(f"looking up {address.host} took too long")
    if isinstance(lookup.found, OSError):
        raise lookup.found
    return lookup.found
