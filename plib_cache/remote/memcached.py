# SPDX-License-Identifier: BSD-3-Clause
"""A tier of memcached servers, by pymemcache's ``Client``.

pymemcache's ``HashClient`` is not used, for it gives the keys of a server that fails to the others:
when the server is back, it has values of before that.  Everything here is memcached's text
protocol, of which only the answer to a single get is read here (half of the time of a hit); claims
are its meta commands (``doc/protocol.txt`` of memcached 1.6), where they exist.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from plib_cache.exceptions import ConfigurationError
from plib_cache.remote.counts import Counts
from plib_cache.remote.servers import Refused, ServerTier
from plib_cache.remote.sockets import Address, Limits, TimedSocket, dial
from plib_cache.tiers import TAKEN, THERE, Parcel

if TYPE_CHECKING:
    import ssl

try:
    from pymemcache.client.base import Client
    from pymemcache.exceptions import (
        MemcacheServerError,
        MemcacheUnknownCommandError,
    )
except ImportError as error:
    raise ConfigurationError(
        f"memcached:// needs pymemcache ({error}): pip install 'plib-cache[memcached]'"
    ) from error

_META_ANSWER = re.compile(rb"(HD|EN|NF|NS|EX)( ([sc][0-9]{1,19}|t-?[0-9]{1,19}|[WXZ]))*\Z").match
_AROUND = 512  # what a server adds to a value: its own header, and the key
_FIRST = 4096  # bytes that are asked for at first
_END = b"END\r\n"
_AFTER = b"\r\n" + _END  # what stands behind the last value
_DAYS_30 = 30 * 86400  # what is longer would be a moment in 1970


class _Link(Client):  # type: ignore[misc]
    """A client whose connection keeps to the deadline of the operation."""

    def __init__(self, address: Address, limits: Limits, tls: ssl.SSLContext | None) -> None:
        super().__init__(tuple(address) if address.port else address.host)
        self._how = address, limits, tls

    def _connect(self) -> None:
        self.close()
        self.sock = dial(*self._how)

    def get_plain(self, name: bytes) -> bytes | None:
        """As ``get`` of a name that needs no check; it takes half of the time that ``get`` takes.

        Raises:
            ValueError, OSError: there is no such answer.
        """
        sock: Any = self.sock
        if sock is None:
            self._connect()
            sock = self.sock
        sock.sendall(b"get %s\r\n" % name)
        answer = sock.recv(_FIRST)
        if answer == _END:
            return None
        while b"\r\n" not in answer:
            answer += _more(sock)
        line, _, value = answer.partition(b"\r\n")
        words = line.split(b" ")
        if len(words) != 4 or words[:2] != [b"VALUE", name] or not words[3].isdigit():
            raise ValueError(f"{line[:100]!r} is no answer to a get")
        whole = int(words[3]) + len(_AFTER)
        if len(value) < whole:
            chunks, came = [value], len(value)
            while came < whole:
                chunks.append(_more(sock))
                came += len(chunks[-1])
            value = b"".join(chunks)
        if len(value) != whole or not value.endswith(_AFTER):
            raise ValueError("a value does not end where it should")
        found: bytes = value[: -len(_AFTER)]
        return found


def _more(sock: TimedSocket) -> bytes:
    data = sock.recv(_FIRST)
    if not data:
        raise ConnectionError("the server has hung up")
    return data


class MemcachedTier(ServerTier[_Link]):
    """memcached servers.

    Args:
        item_max: the servers' ``-I``, in bytes.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        limits: Limits,
        counts: Counts,
        tls: ssl.SSLContext | None = None,
        item_max: int = 1 << 20,
    ) -> None:
        self._limits = limits
        self._tls = tls
        self._meta = True  # until a server says that it has no meta commands
        self.item_max = item_max - _AROUND
        super().__init__(addresses, limits, counts)

    def _connect(self, address: Address) -> _Link:
        return _Link(address, self._limits, self._tls)

    def _fetch_one(self, connection: _Link, name: bytes) -> bytes | None:
        return connection.get_plain(name)

    def _fetch(self, connection: _Link, names: list[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = connection.get_many(names)
        return found

    def _store(self, connection: _Link, parcels: list[Parcel]) -> Collection[bytes]:
        failed: list[bytes] = []
        by_expiry: dict[int, dict[bytes, bytes]] = {}
        for name, payload, seconds in parcels:
            by_expiry.setdefault(_expiry(seconds), {})[name] = payload
        for expiry, values in by_expiry.items():
            try:
                failed += connection.set_many(values, expiry, noreply=False)
            except MemcacheServerError as error:
                if len(parcels) == 1:
                    raise Refused from error
                failed += self._store_singly(connection, values, expiry)
        return failed

    def _store_singly(
        self, connection: _Link, values: dict[bytes, bytes], expiry: int
    ) -> list[bytes]:
        """One by one, for the server has refused one of them."""
        failed = []
        for name, payload in values.items():
            try:
                failed += connection.set_many({name: payload}, expiry, noreply=False)
            except MemcacheServerError:
                self._counts.add("refused")
                failed.append(name)
        return failed

    def _remove(self, connection: _Link, names: list[bytes]) -> bool:
        return bool(connection.delete_many(names, noreply=False))

    def _clear(self, connection: _Link) -> bool:
        return bool(connection.flush_all(noreply=False))

    def _probe(self, connection: _Link) -> object:
        return connection.version()

    # ---- single flight between nodes: meta commands

    def claim(self, key: bytes, seconds: float) -> int | None:
        """See ``Tier.claim``.  The claim is an empty value that the server makes of a miss (N)."""
        answer = self._ask_meta(key, b"mg %s s c t N%d" % (key, _whole(seconds)))
        if answer is None or not answer.startswith(b"HD"):
            return None
        flags = {flag[:1]: flag[1:] for flag in answer.split()[1:]}
        if b"W" in flags:
            return int(flags.get(b"c", b"0")) or None
        # one that was renewed has no Z any more; an empty value that stays is not ours
        short = 0 <= int(flags.get(b"t", b"-1")) <= _whole(seconds)
        return TAKEN if flags.get(b"s") == b"0" and short else THERE

    def renew(self, key: bytes, token: int, seconds: float) -> int | None:
        """See ``Tier.renew``: the empty value is stored again in the place of itself (C)."""
        command = b"ms %s 0 C%d c T%d\r\n" % (key, token, _whole(seconds))
        answer = self._ask_meta(key, command)
        if answer is None:
            return None
        if not answer.startswith(b"HD c"):
            return 0
        return int(answer[len(b"HD c") :])

    def abandon(self, key: bytes, token: int) -> None:
        """See ``Tier.abandon``: the empty value is removed, if it is there still (C)."""
        self._ask_meta(key, b"md %s C%d" % (key, token))

    def _ask_meta(self, key: bytes, command: bytes) -> bytes | None:
        if not self._meta:
            return None

        def ask(link: Any) -> bytes:
            try:
                line: bytes = link.raw_command(command)
            except MemcacheUnknownCommandError:
                self._meta = False
                return b""
            if not _META_ANSWER(line):
                raise ValueError(f"{line[:32]!r} is no answer to {command[:2]!r}")
            return line

        return self.home(key).ask(ask)


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def _expiry(seconds: float | None) -> int:
    """As memcached takes it: whole seconds, never late by more than what the envelope decides."""
    return 0 if seconds is None else min(_whole(seconds), _DAYS_30)
