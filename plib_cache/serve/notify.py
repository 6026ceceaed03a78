# SPDX-License-Identifier: BSD-3-Clause
"""What systemd is told, and asks for: sd_notify, sockets that it opened, its watchdog.

Without systemd nothing of it is in the environment, and all of this does nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

from plib_cache.exceptions import ConfigurationError

FIRST_FD = 3
VARIABLES = (
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
)


def notify(*lines: str) -> None:
    """Tell the service manager, as ``READY=1``; what it does not take is lost."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if not where.startswith(("/", "@")):
        return
    address = "\0" + where[1:] if where.startswith("@") else where
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)  # a manager that hangs must not stop the server
        sock.sendto("\n".join(lines).encode(), address)


def reloading() -> None:
    """Tell it that a reload begins; READY=1 ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_s() -> float | None:
    """Seconds after which a server that was not heard of is ended; None: never."""
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if meant and usec.isdigit() and int(usec) else None


def passed_sockets() -> list[socket.socket]:
    """The listening sockets that this process was started with.

    Raises:
        ConfigurationError: one of them is not a listening stream socket.
    """
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit():
        return []
    return [_listening(fd) for fd in range(FIRST_FD, FIRST_FD + int(count))]


def _listening(fd: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
        stream = sock.type == socket.SOCK_STREAM
        stream = stream and sock.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
        listens = stream and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigurationError(
            f"descriptor {fd} that LISTEN_FDS names is no socket ({error.strerror}): see the "
            "socket unit"
        ) from error
    if not listens:
        raise ConfigurationError(
            f"descriptor {fd} that LISTEN_FDS names is not a listening stream socket: use "
            "ListenStream= with Accept=no in the socket unit"
        )
    sock.set_inheritable(False)
    return sock
