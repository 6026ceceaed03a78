# SPDX-License-Identifier: BSD-3-Clause
"""What ``remote=`` means: tiers in order, each an URL or a ``Tier``.

::

    memcached://host1:11211,host2:11211?timeout=0.1     several servers, spread by their keys
    memcached:///run/memcached.sock                      a unix socket
    memcacheds://host?ca=/etc/ca.pem                     the same over TLS
    redis://:password@host:6379/0   rediss://...   unix:///run/redis.sock   (valkey:// valkeys://)
    memcached://rack;redis://room                        two tiers, asked in this order

README and docs/network.md list what may stand behind the question mark.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from plib_cache import config
from plib_cache.exceptions import ConfigurationError
from plib_cache.remote.sockets import Address, Limits
from plib_cache.tiers import Tier

if TYPE_CHECKING:
    import ssl

Remote = str | Tier | Sequence[str | Tier]

# Scheme: which client, whether by TLS, the usual port.
_SCHEMES = {
    "memcached": ("memcached", False, 11211),
    "memcacheds": ("memcached", True, 11211),
    "redis": ("redis", False, 6379),
    "rediss": ("redis", True, 6379),
    "valkey": ("redis", False, 6379),
    "valkeys": ("redis", True, 6379),
    "unix": ("redis", False, 6379),
}
_NEVER = ("never", "none")


@dataclasses.dataclass(frozen=True)
class Place:
    """One tier of servers, as its URL says."""

    kind: str
    addresses: tuple[Address, ...]
    tls: bool = False
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    database: int = 0
    # ---- what stands behind the question mark
    connect: float = Limits().connect  # seconds to make a connection
    timeout: float = Limits().whole  # seconds for a whole operation
    item_max: int = 1 << 20  # bytes that a server takes
    value_max: int = 64 << 20  # larger values stay on the node
    large: str = "split"  # or "local": values over item_max stay on the node
    write: str = "queue"  # or "sync": a write waits for the servers
    max_age: float | None = 86400.0  # seconds that a value lives there; immutable ones: no limit
    promote: float = math.inf  # seconds that a copy from there lives on the node
    prefix: str = ""  # of all names
    ca: str | None = None  # files of PEM
    cert: str | None = None
    key: str | None = None
    insecure: bool = False  # TLS without a look at who answers

    def context(self) -> ssl.SSLContext | None:
        """What TLS needs; None without TLS.

        Raises:
            ConfigurationError: a file cannot be used.
        """
        if not self.tls:
            return None
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:  # also what ssl raises
            raise ConfigurationError(
                f"TLS: ca={self.ca}, cert={self.cert}, key={self.key} cannot be used: {error}: "
                "give PEM files that this user can read"
            ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def parse(remote: object) -> tuple[Place | Tier, ...]:
    """The tiers that ``remote=`` names, in order.

    Raises:
        ConfigurationError: it makes no sense.
    """
    if isinstance(remote, (str, Tier)):
        remote = [remote]
    if not isinstance(remote, Sequence) or not remote:
        raise ConfigurationError(
            f"remote={remote!r:.100}: give an URL such as 'memcached://host:11211', a Tier, or a "
            "list of them"
        )
    tiers: list[Place | Tier] = []
    for one in remote:
        if isinstance(one, Tier):
            tiers.append(one)
        elif isinstance(one, str):
            tiers += [_place(url.strip()) for url in one.split(";")]
        else:
            raise ConfigurationError(f"remote={one!r:.100}: give URLs, or objects of class Tier")
    return tuple(tiers)


def _place(url: str) -> Place:
    scheme, found, rest = url.partition("://")
    if not found or scheme not in _SCHEMES:
        raise ConfigurationError(
            f"remote={_public(url)!r}: give an URL that begins with one of "
            + ", ".join(f"{known}://" for known in _SCHEMES)
        )
    kind, tls, port = _SCHEMES[scheme]
    where, _, query = rest.partition("?")
    login, _, hosts = where.rpartition("@")
    given: dict[str, Any] = {"kind": kind, "tls": tls}
    if hosts.startswith("/"):
        hosts = "unix:" + hosts
    *others, last = hosts.split(",")
    if not last.startswith("unix:"):
        last, _, path = last.partition("/")
        given["database"] = _number(path or "0", "database", url)
    given["addresses"] = tuple(_address(host, port, url) for host in [*others, last])
    if kind == "memcached" and (login or given.get("database")):
        raise ConfigurationError(f"remote={_public(url)!r}: leave user and path out for memcached")
    username, _, password = login.partition(":")
    given |= {"username": unquote(username) or None, "password": unquote(password) or None}
    return Place(**given, **_queried(query, url))


def _public(url: str) -> str:
    """An URL without what is secret in it, not too long."""
    scheme, found, rest = url.partition("://")
    return f"{scheme}{found}{rest.rpartition('@')[2]}"[:100]


def _address(text: str, port: int, url: str) -> Address:
    text = unquote(text)
    if text.startswith("unix:"):
        return Address(text[len("unix:") :], 0)
    host, colon, number = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, number = text, str(port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    found = _number(number, "port", url)
    if not host or not 0 < found < 1 << 16:
        raise ConfigurationError(
            f"remote={_public(url)!r}: {text!r} is no server: give host:port, [IPv6]:port or "
            "unix:/path"
        )
    return Address(host, found)


def _number(text: str, what: str, url: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ConfigurationError(f"remote={_public(url)!r}: {text!r} is no {what}: give one")
    return int(text)


# ---- what stands behind the question mark


def _queried(query: str, url: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        read = _READERS.get(name)
        if read is None:
            raise ConfigurationError(
                f"remote={_public(url)!r}: there is no option {name!r}: use some of "
                + ", ".join(sorted(_READERS))
            )
        try:
            given[name] = read(text)
        except (ValueError, OverflowError) as error:
            raise ConfigurationError(
                f"remote={_public(url)!r}: {name}={text!r}: {error} (see docs/network.md)"
            ) from None
    return given


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e9:
        raise ValueError("give seconds, more than 0")
    return seconds


def _age(text: str) -> float | None:
    return None if text in _NEVER else _seconds(text)


def _promote(text: str) -> float:
    return 0.0 if float(text) == 0 else _seconds(text)


def _size(text: str) -> int:
    nbytes = config.bytes_of(text if not text.isdigit() else int(text))
    if nbytes < 4096:
        raise ValueError("give at least 4096 bytes")
    return nbytes


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"give one of {', '.join(words)}")
        return text

    return read


def _prefix(text: str) -> str:
    if len(text) > 100 or not text.isascii() or any(not "!" <= char <= "~" for char in text):
        raise ValueError("give at most 100 characters of ASCII without blanks")
    return text


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("give a file that is there")
    return text


def _yes(text: str) -> bool:
    return _one_of("0", "1")(text) == "1"


_READERS: dict[str, Callable[[str], Any]] = {
    "connect": _seconds,
    "timeout": _seconds,
    "item_max": _size,
    "value_max": _size,
    "large": _one_of("split", "local"),
    "write": _one_of("queue", "sync"),
    "max_age": _age,
    "promote": _promote,
    "prefix": _prefix,
    "ca": _file,
    "cert": _file,
    "key": _file,
    "insecure": _yes,
}
