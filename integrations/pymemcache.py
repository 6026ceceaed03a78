# SPDX-License-Identifier: BSD-3-Clause
"""pymemcache's client without a socket: it stores in the region of this machine, in this process.

::

    from plib_cache.integrations.pymemcache import Client

    client = Client("mine")  # in the place of pymemcache.client.base.Client(("localhost", 11211))
    client.set("key", "value", expire=60)

An entry is what it is for ``plib-cache serve``: value bytes and flags of a client of the network
are read here, and the other way round; what Python stored has the number of its type as flags.

``get``, ``set`` and what is like them, ``delete``, ``incr``, ``decr``, ``touch``, ``gat`` and
``gats`` are calls of the core.  Everything else (``stats``, ``flush_all``, ``version``,
``raw_command``, ...) is answered by what a server would answer, in this process.

Errors are pymemcache's: what the region refuses is a ``MemcacheServerError``, unless no reply was
asked for; ``ignore_exc=True`` makes a failed get a miss.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

try:
    from pymemcache.client import base
    from pymemcache.exceptions import (
        MemcacheClientError,
        MemcacheIllegalInputError,
        MemcacheServerError,
    )
except ImportError as error:
    raise ImportError(
        f"plib_cache.integrations.pymemcache needs pymemcache ({error}): "
        "pip install 'plib-cache[memcached]'"
    ) from error

from plib_cache import Cache, ClosedError, PlibCacheError
from plib_cache.integrations._entries import Line, found, put
from plib_cache.integrations._regions import attach_or_create
from plib_cache.serve import Store
from plib_cache.serve import store as entries
from plib_cache.serve.numbers import count
from plib_cache.serve.store import Item
from plib_cache.serve.words import deadline, s32, u64

__all__ = ["Client"]

T = TypeVar("T")
Key = bytes | str

_VERBS = {
    name.encode(): getattr(entries, name.upper())
    for name in ("set", "add", "replace", "append", "prepend", "cas")
}
_FLAGS = 1 << 32


class Client(base.Client):  # type: ignore[misc]
    """``pymemcache.client.base.Client`` over a region.

    Args:
        server: a ``Cache``, which stays open; the name of one; or its file, as "/a/path" or
            "unix:/a/path".
        size: of the region, if it has to be made.
        rest: as for pymemcache's client; what is about sockets has no meaning here.

    Raises:
        TypeError: ``server`` is an address.

    Notes:
        Opened with the first call, as pymemcache connects; ``close`` and ``quit`` close what was
        opened, and the next call opens it again.  Any number of threads may use one client, so
        there is no need of a pool, and a forked process goes on with it.
    """

    def __init__(
        self,
        server: Cache | str | os.PathLike[str] = "default",
        *rest: Any,
        size: int | str | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(server, (Cache, str, os.PathLike)):
            raise TypeError(
                f"server={server!r:.100} is an address, and this client has no socket: give a "
                "Cache, its name or its file (pymemcache's own client talks to plib-cache serve)"
            )
        super().__init__("localhost", *rest, **options)
        self.server = server
        self._size = size
        self._store: Store | None = None

    def _open(self) -> Store:
        """The region, which is opened if it is not."""
        store = self._store
        if store is None:
            store = self._store = Store(self._cache())
        return store

    def _cache(self) -> Cache:
        server = self.server
        if isinstance(server, Cache):
            return server
        where = os.fspath(server).removeprefix("unix:")
        options = {"path": where} if where.startswith("/") else {"name": where}
        return attach_or_create(self._size, **options)

    def close(self) -> None:
        """Close the region if this client has opened it; the next call opens it again."""
        store, self._store = self._store, None
        if store is not None and not isinstance(self.server, Cache):
            store.cache.close()

    disconnect_all = close

    def _ask(self, do: Callable[[Store], T], *, quiet: bool | None) -> T | None:
        """What something comes to; None if the region refuses it and nobody wants to know."""
        try:
            return do(self._open())
        except ClosedError:
            raise
        except PlibCacheError as error:
            if quiet:
                return None
            raise MemcacheServerError(str(error).encode("utf-8", "replace")) from error

    def _wants_reply(self, noreply: bool | None) -> bool:
        return not (self.default_noreply if noreply is None else noreply)

    def check_key(self, key: Key, key_prefix: bytes = b"") -> bytes:
        """The bytes of a key behind its prefix; see pymemcache."""
        raw: bytes = super().check_key(key, key_prefix)
        if not raw:
            raise MemcacheIllegalInputError(f"Key is empty: {key!r}")
        return raw

    def _moment(self, expire: int) -> int:
        """The deadline of an expiry, in milliseconds since 1970."""
        seconds = s32(self._check_integer(expire, "expire"))
        if seconds is None:
            raise MemcacheClientError(b"invalid exptime argument")
        return deadline(seconds, entries.now_ms())

    # ---- what pymemcache's methods come down to

    def _fetch_cmd(
        self, name: bytes, keys: Iterable[Key], expect_cas: bool, key_prefix: bytes = b""
    ) -> dict[Any, Any]:
        if name not in (b"get", b"gets"):
            spoken: dict[Any, Any] = super(Client, self._speaking())._fetch_cmd(
                name, keys, expect_cas, key_prefix
            )
            return spoken
        asked = {self.check_key(key, key_prefix): key for key in keys}
        return self._shown(asked, expect_cas, lambda store: found(store, list(asked)))

    def _shown(
        self,
        asked: Mapping[bytes, Key],
        expect_cas: bool,
        find: Callable[[Store], list[Item | None]],
    ) -> dict[Any, Any]:
        """The values that are found, by the keys that were asked for."""
        try:
            items = self._ask(find, quiet=False) or []
            result = {}
            for key, item in zip(asked.values(), items, strict=True):
                if item is not None:
                    value = self.serde.deserialize(key, item.value, item.flags)
                    result[key] = (value, b"%d" % item.token) if expect_cas else value
            return result
        except Exception:
            if self.ignore_exc:
                return {}
            raise

    def _store_cmd(
        self,
        name: bytes,
        values: Mapping[Key, Any],
        expire: int,
        noreply: bool,
        flags: int | None = None,
        cas: bytes | None = None,
    ) -> dict[Any, bool | None]:
        moment = self._moment(expire)
        token = 0 if cas is None else u64(cas)
        if token is None:
            raise MemcacheClientError(b"bad command line format")
        given = [(key, *self._given(key, value, flags)) for key, value in values.items()]
        results: dict[Any, bool | None] = {}
        for key, raw, data, its in given:
            store = functools.partial(put, _VERBS[name], raw, data, its, moment, token)
            status = self._ask(store, quiet=noreply)
            if status == entries.WRONG_TYPE and not noreply:
                raise MemcacheClientError(b"cannot append or prepend to a value that is not bytes")
            gone = name == b"cas" and status == entries.MISS
            results[key] = noreply or (None if gone else status == entries.OK)
        return results

    def _given(self, key: Key, value: Any, flags: int | None) -> tuple[bytes, bytes, int]:
        """The key, the value and the flags as they are stored."""
        raw = self.check_key(key, self.key_prefix)
        data, its = self.serde.serialize(raw, value)
        its = its if flags is None else flags
        if not 0 <= its < _FLAGS:
            raise MemcacheClientError(b"bad command line format")
        if not isinstance(data, bytes):
            try:
                data = str(data).encode(self.encoding)
            except UnicodeEncodeError as error:
                message = f"Data values must be binary-safe: {error}"
                raise MemcacheIllegalInputError(message) from error
        return raw, data, its

    def _misc_cmd(self, *command: Any, **options: Any) -> list[bytes]:
        answers: list[bytes] = super(Client, self._speaking())._misc_cmd(*command, **options)
        return answers

    def _speaking(self) -> Any:
        """A copy of this client that says memcached's commands, for one of them."""
        other = copy.copy(self)
        other._store = None  # it is not the copy's to close
        other.sock = Line(self._open())
        return other

    # ---- what needs no words

    def gat(self, key: Key, expire: int = 0, default: Any = None) -> Any:
        """Get and touch: the value of a key, which has another expiry from now on."""
        return self._touched(key, expire, False).get(key, default)

    def gats(
        self, key: Key, expire: int = 0, default: Any = None, cas_default: Any = None
    ) -> tuple[Any, Any]:
        """As ``gat``, with the token that ``cas`` wants."""
        pair: tuple[Any, Any] = self._touched(key, expire, True).get(key, (default, cas_default))
        return pair

    def _touched(self, key: Key, expire: int, expect_cas: bool) -> dict[Any, Any]:
        raw, moment = self.check_key(key, self.key_prefix), self._moment(expire)
        return self._shown({raw: key}, expect_cas, lambda store: [store.get_touch(raw, moment)])

    def delete(self, key: Key, noreply: bool | None = None) -> bool:
        """Remove a key; True if it was there, or if no reply is wanted."""
        return self._gone(self.check_key(key, self.key_prefix), self._wants_reply(noreply))

    def _gone(self, raw: bytes, reply: bool) -> bool:
        status = self._ask(lambda store: store.delete(raw), quiet=not reply)
        return not reply or status == entries.OK

    def delete_many(self, keys: Iterable[Key], noreply: bool | None = None) -> bool:
        """Remove keys, all or, if one of them is none, nothing; True."""
        for raw in [self.check_key(key, self.key_prefix) for key in keys]:
            self._gone(raw, self._wants_reply(noreply))
        return True

    delete_multi = delete_many

    def touch(self, key: Key, expire: int = 0, noreply: bool | None = None) -> bool:
        """Give a key another expiry; True if it is there, or if no reply is wanted."""
        raw, reply = self.check_key(key, self.key_prefix), self._wants_reply(noreply)
        moment = self._moment(expire)
        touched = self._ask(lambda store: store.touch(raw, moment), quiet=not reply)
        return not reply or bool(touched)

    def incr(self, key: Key, value: int, noreply: bool | None = False) -> int | None:
        """Count up; the sum, or None if there is no such key or no reply is wanted."""
        return self._count(key, value, noreply, down=False)

    def decr(self, key: Key, value: int, noreply: bool | None = False) -> int | None:
        """Count down, to 0 at the least; see ``incr``."""
        return self._count(key, value, noreply, down=True)

    def _count(self, key: Key, value: int, noreply: bool | None, *, down: bool) -> int | None:
        raw = self.check_key(key, self.key_prefix)
        delta = u64(self._check_integer(value, "value"))
        if delta is None:
            raise MemcacheClientError(b"invalid numeric delta argument")
        try:
            number = self._ask(lambda store: count(store, raw, delta, down), quiet=noreply)
        except ValueError as error:
            if noreply:
                return None
            message = b"cannot increment or decrement non-numeric value"
            raise MemcacheClientError(message) from error
        return None if noreply else number
