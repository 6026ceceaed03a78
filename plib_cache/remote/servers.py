# SPDX-License-Identifier: BSD-3-Clause
"""A tier that is one server or several: each key has a home, each home a circuit and connections.

Keys of a server that is away are absent; they do not move to another server, for when it came back
it would have values of before that.  No operation is tried twice: a miss costs less.
"""

from __future__ import annotations

import collections
import functools
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from plib_cache.remote.breaker import Breaker
from plib_cache.remote.counts import Counts
from plib_cache.remote.naming import Rendezvous
from plib_cache.remote.sockets import Address, Limits, begin
from plib_cache.remote.together import Together
from plib_cache.tiers import Parcel, Tier

_IDLE_MOST = 16  # connections of one server that are kept for the next operation
_PROBE_ROOM = 1 << 16


class Connection(Protocol):
    """What a client library makes to talk to one server."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Connection)
T = TypeVar("T")


class Refused(Exception):  # noqa: N818 - it is an answer of a server that is well
    """The server is well and has refused the operation."""


class Server(Generic[C]):
    """One server: its circuit, and the connections to it that nobody uses at the moment.

    Args:
        connect: makes a connection; it need not be open yet.
    """

    def __init__(
        self,
        address: Address,
        limits: Limits,
        connect: Callable[[Address], C],
        counts: Counts,
    ) -> None:
        self.address = address
        self._limits = limits
        self._connect = connect
        self._counts = counts
        self._idle: collections.deque[C] = collections.deque()  # atomic: it needs no lock
        self.changed: Callable[[], None] = lambda: None
        self.breaker = self._new_breaker()

    def _new_breaker(self) -> Breaker:
        return Breaker(changed=self._tell)

    def _tell(self) -> None:
        self.changed()

    def ask(self, operation: Callable[[C], T], room: int = 0) -> T | None:
        """What an operation gives; None if the server is away or fails.

        Args:
            room: bytes of values that may come.
        """
        if not self.breaker.closed:
            self._counts.add("skipped")
            return None
        return self._attempt(operation, room)

    def _attempt(self, operation: Callable[[C], T], room: int) -> T | None:
        begin(self._limits, room)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect(self.address)
        try:
            answer = operation(connection)
        except Refused:
            self._counts.add("refused")
            connection.close()  # what it still sends belongs to no other operation
            return None
        except Exception as error:  # whatever a client library makes of garbage
            connection.close()
            self._failed(error)
            return None
        except BaseException:  # a signal handler has raised: the answer is still to come
            connection.close()
            raise
        if len(self._idle) < _IDLE_MOST:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _failed(self, error: Exception) -> None:
        self._counts.add("timeouts" if isinstance(error, TimeoutError) else "errors")
        self.let_go()  # the other connections are not better, and would fail one after the other
        if self.breaker.failed():
            self._counts.add("circuits_opened")
            self._counts.warn(f"{self.address} is left alone for a while: {error!r:.200}")

    def probe(self, operation: Callable[[C], object]) -> None:
        """Try again, if that is due."""
        if self.breaker.may_probe():
            self._counts.add("probes")
            if self._attempt(operation, _PROBE_ROOM) is not None:
                self.breaker.succeeded()
            elif self.breaker.probing:  # it has refused, which is no failure elsewhere
                self.breaker.failed()

    def let_go(self) -> None:
        """Close the connections that nobody uses."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def after_fork(self) -> None:
        """In the child: the connections are the parent's, and its locks may be held for ever."""
        idle, self._idle = self._idle, collections.deque()
        for connection in idle:
            connection.close()
        closed, self.breaker = self.breaker.closed, self._new_breaker()
        if not closed:
            self.breaker.failed()


class ServerTier(Tier, Generic[C]):
    """The operations of a tier, on the servers that their keys live on.

    To be derived from by what knows the protocol; each method of it that begins with ``_`` is
    given a connection and raises what it likes.
    """

    def __init__(self, addresses: Sequence[Address], limits: Limits, counts: Counts) -> None:
        self._counts = counts
        self._servers = [Server(one, limits, self._connect, counts) for one in addresses]
        self._rendezvous = Rendezvous([str(one) for one in addresses])
        self._together = Together()
        self.name = ",".join(str(one) for one in addresses)

    @abstractmethod
    def _connect(self, address: Address) -> C: ...

    @abstractmethod
    def _fetch_one(self, connection: C, name: bytes) -> bytes | None: ...

    @abstractmethod
    def _fetch(self, connection: C, names: list[bytes]) -> dict[bytes, bytes]: ...

    @abstractmethod
    def _store(self, connection: C, parcels: list[Parcel]) -> Collection[bytes]: ...

    @abstractmethod
    def _remove(self, connection: C, names: list[bytes]) -> bool: ...

    @abstractmethod
    def _clear(self, connection: C) -> bool: ...

    @abstractmethod
    def _probe(self, connection: C) -> object:
        """Some operation that shows that the server is well; what it gives is not None."""

    # ---- the operations

    def home(self, name: bytes) -> Server[C]:
        """The server that a name lives on."""
        servers = self._servers
        return servers[0] if len(servers) == 1 else servers[self._rendezvous.home(name)]

    def get(self, key: bytes) -> bytes | None:
        """The payload of a key; None if there is none."""
        return self.home(key).ask(lambda link: self._fetch_one(link, key), self.item_max)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The payloads of those keys that are there: one request to each server."""
        found: dict[bytes, bytes] = {}
        homes = self._by_home(keys, lambda key: key)
        asked = [
            (server, functools.partial(self._fetch, names=names), len(names) * self.item_max)
            for server, names in homes
        ]
        for values in self._ask_each(asked):
            found |= values or {}
        return found

    def set_many(self, parcels: Sequence[Parcel]) -> Collection[bytes]:
        """Store: one request to each server."""
        failed: list[bytes] = []
        homes = self._by_home(parcels, lambda parcel: parcel.key)
        asked = [
            (server, functools.partial(self._store, parcels=some), 0) for server, some in homes
        ]
        for (_, some), left in zip(homes, self._ask_each(asked), strict=True):
            failed += [parcel.key for parcel in some] if left is None else left
        return failed

    def delete_many(self, keys: Sequence[bytes]) -> Collection[bytes]:
        """Remove: one request to each server."""
        failed: list[bytes] = []
        homes = self._by_home(keys, lambda key: key)
        asked = [
            (server, functools.partial(self._remove, names=names), 0) for server, names in homes
        ]
        for (_, names), removed in zip(homes, self._ask_each(asked), strict=True):
            failed += names if removed is None else ()
        return failed

    def _ask_each(self, asked: Sequence[tuple[Server[C], Callable[[C], T], int]]) -> list[T | None]:
        """``Server.ask`` of several servers at once: those that fail cost one time-out together."""
        calls = [functools.partial(server.ask, operate, room) for server, operate, room in asked]
        if sum(server.breaker.closed for server, *_ in asked) < 2:  # the others are not waited for
            return [call() for call in calls]
        return self._together.run(calls)

    def _by_home(
        self, items: Iterable[T], name: Callable[[T], bytes]
    ) -> list[tuple[Server[C], list[T]]]:
        if len(self._servers) == 1:
            return [(self._servers[0], list(items))]
        homes: dict[int, list[T]] = {}
        for item in items:
            homes.setdefault(self._rendezvous.home(name(item)), []).append(item)
        return [(self._servers[at], some) for at, some in homes.items()]

    def clear(self) -> bool:
        """Remove everything from all servers; False if some server could not be told."""
        cleared = self._ask_each([(server, self._clear, 0) for server in self._servers])
        return None not in cleared

    # ---- upkeep

    def tend(self) -> float | None:
        """Probe the servers that are away, when it is time."""
        due: list[float] = []
        for server in self._servers:
            server.probe(self._probe)
            seconds = server.breaker.due()
            due += [] if seconds is None else [seconds]
        return min(due, default=None)

    def watch(self, changed: Callable[[], None]) -> None:
        """Take a function that is to be called when a server went away or came back."""
        for server in self._servers:
            server.changed = changed

    def close(self) -> None:
        """Let the connections go."""
        for server in self._servers:
            server.let_go()
        self._together.close()

    def after_fork(self) -> None:
        """In the child: begin without the parent's connections."""
        for server in self._servers:
            server.after_fork()
