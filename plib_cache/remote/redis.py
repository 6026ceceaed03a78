# SPDX-License-Identifier: BSD-3-Clause
"""A tier of redis or valkey servers, by redis-py's connections.

Of redis-py only its connections are used, not its client, which would retry and wait by rules of
its own.  Connections speak RESP2, which every version of both servers does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from plib_cache.exceptions import ConfigurationError
from plib_cache.remote.counts import Counts
from plib_cache.remote.servers import Refused, ServerTier
from plib_cache.remote.sockets import Address, Limits, TimedSocket, dial
from plib_cache.tiers import Parcel

if TYPE_CHECKING:
    import ssl

try:
    from redis.connection import UnixDomainSocketConnection
    from redis.exceptions import ResponseError
except ImportError as error:
    raise ConfigurationError(
        f"redis:// needs redis-py ({error}): pip install 'plib-cache[redis]'"
    ) from error

_SCANNED = 1000  # names that one step of a scan looks at


class Login(NamedTuple):
    """Who asks, and for which database."""

    username: str | None = None
    password: str | None = None
    database: int = 0


class _Link(UnixDomainSocketConnection):  # type: ignore[misc]
    """A connection, to any address, that keeps to the deadline of the operation."""

    def __init__(self, how: tuple[Address, Limits, Any], login: Login) -> None:
        super().__init__(
            path=str(how[0]),
            db=login.database,
            username=login.username,
            password=login.password,
            protocol=2,
        )
        self._how = how

    def _connect(self) -> TimedSocket:
        return dial(*self._how)

    def close(self) -> None:
        self.disconnect()

    def ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        """The answers to commands that are sent together."""
        if self._sock is None:
            self.connect()
        try:
            self.send_packed_command(self.pack_commands(commands), check_health=False)
            return [self.read_response() for _ in commands]
        except ResponseError as error:
            raise Refused from error


class RedisTier(ServerTier[_Link]):
    """redis or valkey servers; the keys are spread over them by this side.

    Args:
        prefix: of all names; ``clear`` removes what begins with it, and nothing else.
        item_max: larger values are stored in parts, in bytes.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        limits: Limits,
        counts: Counts,
        tls: ssl.SSLContext | None = None,
        item_max: int = 1 << 20,
        login: Login | None = None,
        prefix: bytes = b"",
    ) -> None:
        self._limits = limits
        self._tls = tls
        self._login = login or Login()
        self._prefix = prefix
        self.item_max = item_max
        super().__init__(addresses, limits, counts)

    def _connect(self, address: Address) -> _Link:
        return _Link((address, self._limits, self._tls), self._login)

    def _fetch_one(self, connection: _Link, name: bytes) -> bytes | None:
        return _payload(connection.ask((b"GET", name))[0])

    def _fetch(self, connection: _Link, names: list[bytes]) -> dict[bytes, bytes]:
        (found,) = connection.ask((b"MGET", *names))
        pairs = zip(names, map(_payload, found), strict=True)
        return {name: payload for name, payload in pairs if payload is not None}

    def _store(self, connection: _Link, parcels: list[Parcel]) -> Collection[bytes]:
        commands = []
        for name, payload, seconds in parcels:
            expiry = () if seconds is None else (b"PX", max(1, round(seconds * 1000)))
            commands.append((b"SET", name, payload, *expiry))
        answers = connection.ask(*commands)
        pairs = zip(parcels, answers, strict=True)
        return [parcel.key for parcel, answer in pairs if answer != b"OK"]

    def _remove(self, connection: _Link, names: list[bytes]) -> bool:
        connection.ask((b"DEL", *names))
        return True

    def _clear(self, connection: _Link) -> bool:
        if not self._prefix:
            connection.ask((b"FLUSHDB",))
            return True
        cursor, pattern = b"0", _escaped(self._prefix) + b"*"
        while True:
            ((cursor, names),) = connection.ask(
                (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _SCANNED)
            )
            if names:
                connection.ask((b"DEL", *names))
            if cursor == b"0":
                return True

    def _probe(self, connection: _Link) -> object:
        return connection.ask((b"PING",))


def _payload(answer: Any) -> bytes | None:
    """What a server says that a key holds.

    Raises:
        ValueError: it is neither bytes nor nothing.
    """
    if answer is not None and not isinstance(answer, bytes):
        raise ValueError(f"a {type(answer).__name__} is no value of a key")
    return answer


def _escaped(prefix: bytes) -> bytes:
    """A prefix that means itself in a pattern."""
    return b"".join(b"\\%c" % byte if byte in b"*?[]\\^-" else b"%c" % byte for byte in prefix)
