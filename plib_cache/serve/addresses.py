# SPDX-License-Identifier: BSD-3-Clause
"""Where to listen, as people write it: ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.

A name is looked up once, and stands for all of its addresses.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass

from plib_cache.exceptions import ConfigurationError, PlibCacheError

DEFAULT = "127.0.0.1:11211"
PATH_MAX = 107  # bytes of a unix socket's path, by the kernel
PORT_MAX = 65535


@dataclass(frozen=True)
class Address:
    """One place: a path, or a numeric host and a port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def family(self) -> socket.AddressFamily:
        """Of its sockets."""
        if self.path:
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def public(self) -> bool:
        """Whether others than this machine reach it."""
        host = self.host.partition("%")[0]
        return not self.path and not ipaddress.ip_address(host).is_loopback

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> list[Address]:
    """All addresses that a text stands for.

    Raises:
        ConfigurationError: it is no address; PlibCacheError: its name is unknown.
    """
    if text.startswith("unix:"):
        return [Address(path=_path(text))]
    host, port = split(text)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PlibCacheError(
            f"{host!r} of {text!r} has no address ({error.strerror}): give a name that this "
            "machine can look up, or a number as 127.0.0.1"
        ) from error
    return list(dict.fromkeys(Address(host=str(where[0]), port=port) for *_, where in found))


def split(text: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        ConfigurationError: one of them is missing or cannot be one.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # an IPv6 address of which nobody knows where it ends
    digits = port.isascii() and port.isdigit() and len(port) <= len(str(PORT_MAX))
    if not (colon and host and digits and int(port) <= PORT_MAX):
        raise ConfigurationError(
            f"{text!r:.120} is no address: give HOST:PORT, [IPv6]:PORT or unix:PATH, as "
            f"{DEFAULT}, with a port of 0 (any that is free) to {PORT_MAX}; all addresses of this "
            "machine are 0.0.0.0 and [::]"
        )
    return host, int(port)


def _path(text: str) -> str:
    path = os.path.abspath(text.removeprefix("unix:"))  # noqa: PTH100 - links stay as they are
    if text == "unix:" or "\0" in text or len(os.fsencode(path)) > PATH_MAX:
        raise ConfigurationError(
            f"{text!r:.200}: give unix:PATH with the path of a socket, of at most {PATH_MAX} bytes"
        )
    return path
