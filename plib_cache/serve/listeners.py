# SPDX-License-Identifier: BSD-3-Clause
"""Sockets that listen: opened by the parent, one for all server processes or one for each.

A unix socket, one that the service manager opened, and that of a server of one process is shared:
the processes inherit it, and who comes while they are restarted waits.  On TCP each of several
processes has a socket of its own (SO_REUSEPORT), between which the kernel distributes who comes,
and with a process its socket goes; the parent only holds the address.

Connections inherit their options from the listening socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from plib_cache.exceptions import ConfigurationError, PlibCacheError
from plib_cache.serve.addresses import Address

BACKLOG = 1024
PATH_MODE = 0o600
GONE_S = 120  # a peer that acknowledges nothing, or takes nothing, for so long is gone
_TCP = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_S * 1000),
)


@dataclass
class Listener:
    """One address: its socket, and whether the server processes share it."""

    address: Address
    sock: socket.socket
    shared: bool
    made: tuple[int, int] | None = None  # device and inode of a unix socket that is ours to remove

    def close(self) -> None:
        """Close it, and remove the file of a unix socket if it is still the one that we made."""
        self.sock.close()
        if self.made:
            with contextlib.suppress(OSError):
                found = os.lstat(self.address.path)
                if (found.st_dev, found.st_ino) == self.made:
                    os.unlink(self.address.path)  # noqa: PTH108


def open_listener(address: Address, several: bool) -> Listener:
    """A listener at an address; ``several``: each of several processes opens its own behind it.

    Raises:
        PlibCacheError: somebody else listens there, or it is not this machine's.
    """
    try:
        if address.path:
            return _unix(address)
        sock = _bound(address, alone=True)
        sock.listen(BACKLOG)
        bound = Address(host=address.host, port=sock.getsockname()[1])
        if not several:
            return Listener(bound, sock, shared=True)
        sock.close()  # nobody else was there; from now on others of this user may come to it
        return Listener(bound, _bound(bound, alone=False), shared=False)
    except OSError as error:
        raise PlibCacheError(_why_not(address, error)) from error


def open_own(address: Address) -> socket.socket:
    """A process's own socket at a TCP address that its parent holds."""
    sock = _bound(address, alone=False)
    sock.listen(BACKLOG)
    return sock


def adopt(sock: socket.socket) -> Listener:
    """A listener of a socket that the service manager opened."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        name = sock.getsockname()
        path = os.fsdecode(name) if isinstance(name, bytes) else str(name)
        return Listener(Address(path=path or "(unnamed)"), sock, shared=True)
    set_options(sock)
    host, port = sock.getsockname()[:2]
    return Listener(Address(host=host, port=port), sock, shared=True)


def set_options(sock: socket.socket) -> None:
    """Have connections answer at once, and notice who is gone."""
    for level, option, value in _TCP:
        sock.setsockopt(level, option, value)


def _bound(address: Address, alone: bool) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not alone:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_options(sock)
        sock.bind((address.host, address.port))
    except BaseException:
        sock.close()
        raise
    return sock


def _unix(address: Address) -> Listener:
    _remove_stale(address.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        before = os.umask(0o777 & ~PATH_MODE)
        try:
            sock.bind(address.path)
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        found = os.lstat(address.path)
    except BaseException:
        sock.close()
        raise
    return Listener(address, sock, shared=True, made=(found.st_dev, found.st_ino))


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on any more, and nothing else."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigurationError(
            f"unix:{path}: there is a file that is no socket: remove it, or give another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.setblocking(False)
        refused = tried.connect_ex(path)
    if refused == errno.ECONNREFUSED:
        os.unlink(path)  # noqa: PTH108


def _why_not(address: Address, error: OSError) -> str:
    advice = f"look whether {Path(address.path).parent} is there and may be written to"
    if error.errno == errno.EADDRINUSE:
        advice = "another server listens there: end it, or give another address"
    elif error.errno == errno.EADDRNOTAVAIL:
        advice = "it is no address of this machine: `ip address` shows those that are"
    elif error.errno == errno.EACCES and not address.path:
        advice = "ports below 1024 are root's: give a higher one, or have systemd open the socket"
    return f"cannot listen on {address} ({error.strerror}): {advice}"
