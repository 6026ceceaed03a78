# SPDX-License-Identifier: BSD-3-Clause
"""memcached's operations with memcached's meaning, on any picklable value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plib_cache._attached import Attached, Key
from plib_cache._core import ADD, APPEND, CAS, OK, PREPEND, REPLACE, Terms
from plib_cache._flight import MISSING
from plib_cache._moments import GONE, Expire, deadline_ms
from plib_cache.keys import key_bytes
from plib_cache.serialize import Encoded

_COUNT_MAX = 2**64 - 1
_NOTHING = Encoded(0, [], 0)


class Verbs(Attached):
    """The operations that look at what is there before they store.

    Each is one step for all processes: nothing can come between the look and the storing.
    """

    def add(
        self,
        key: Key,
        value: Any,
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> bool:
        """Store ``value`` only if there is none; True if it was stored.  See ``set``."""
        return self._store(ADD, key, value, expire, namespace, tags) == OK

    def replace(
        self,
        key: Key,
        value: Any,
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> bool:
        """Store ``value`` only if there is one already; True if it was stored.  See ``set``."""
        return self._store(REPLACE, key, value, expire, namespace, tags) == OK

    def append(self, key: Key, suffix: bytes) -> bool:
        """Put ``suffix`` behind a value that is bytes; False if there is none.

        Expiry, namespace and tags stay what they were.

        Raises:
            TypeError: the suffix, or the value that is there, is not bytes.
        """
        return self._extend(APPEND, key, suffix)

    def prepend(self, key: Key, prefix: bytes) -> bool:
        """Put ``prefix`` before a value that is bytes; False if there is none.  See ``append``."""
        return self._extend(PREPEND, key, prefix)

    def _extend(self, verb: int, key: Key, piece: bytes) -> bool:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"{piece!r:.100} is a {type(piece).__name__}: give bytes, as the value is"
            )
        flat = bytes(piece)
        raw, text = key_bytes(key)
        terms = self._terms(text, None, None, ())
        return self._region.store(verb, raw, Encoded(0, [flat], len(flat)), terms) == OK

    def gets(self, key: Key) -> tuple[Any, int] | None:
        """The value and a token that is unique to this write of it; None if there is none."""
        found = self._find(key_bytes(key)[0])
        value = self._load(found)
        if found is None or value is MISSING:
            return None
        return value, found[3]

    def cas(
        self,
        key: Key,
        value: Any,
        token: int,
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> bool:
        """Store ``value`` only in the place of the write that ``gets`` gave ``token`` for.

        Returns:
            False if the key was written again meanwhile, or is gone; nothing was changed.
        """
        return self._store(CAS, key, value, expire, namespace, tags, _token(token)) == OK

    def incr(self, key: Key, delta: int = 1) -> int | None:
        """Add ``delta`` to a whole number and return the sum; None if there is none.

        The number lies between 0 and 2**64 - 1 and wraps there.  It may have been stored as an
        int, or as its decimal digits in a str or bytes; it stays what it was.

        Raises:
            ValueError: the value is no such number, or delta is not between 0 and 2**64 - 1.

        Notes:
            No count of any process is ever lost.
        """
        return self._region.incr(key_bytes(key)[0], _delta(delta))

    def decr(self, key: Key, delta: int = 1) -> int | None:
        """Take ``delta`` from a whole number, which stops at 0; None if there is none."""
        return self._region.incr(key_bytes(key)[0], _delta(delta), down=True)

    def touch(self, key: Key, expire: Expire) -> bool:
        """Give an entry another expiry, counted from now; False if there is none."""
        return self._region.touch(key_bytes(key)[0], deadline_ms(expire))

    def gat(self, key: Key, expire: Expire, default: Any = None) -> Any:
        """Get and touch: the value, which gets another expiry; ``default`` if there is none.

        One step for all processes: what is returned is what was touched.
        """
        raw, deadline = key_bytes(key)[0], deadline_ms(expire)
        if deadline == GONE:
            value = self._take(raw)
        else:
            value = self._load(self._find(raw, deadline))
        return default if value is MISSING else value

    def _take(self, raw: bytes) -> Any:
        """Remove a key and return its value; MISSING if there is none that can be read."""
        while (found := self._find(raw)) is not None:
            value = self._load(found)
            if value is MISSING:
                break
            # in the place of exactly this write: a newer one is not removed unread
            if self._region.store(CAS, raw, _NOTHING, Terms(deadline_ms=GONE), found[3]) == OK:
                return value
        return MISSING

    def flush(self, at: Expire = None) -> None:
        """Remove everything: now (None), or what is there then at a later moment.

        Args:
            at: seconds from now, a timedelta, or an aware datetime; what was written before that
                moment is gone from that moment on, to a tenth of a second.
        """
        deadline = deadline_ms(at)
        self._region.flush(0 if deadline == GONE else deadline)


def _token(token: object) -> int:
    if not isinstance(token, int) or isinstance(token, bool):
        raise TypeError(f"token is a {type(token).__name__}: give the one that gets() returned")
    if not 0 <= token <= _COUNT_MAX:
        raise ValueError(f"token {token} cannot come from gets(): give the one that it returned")
    return token


def _delta(delta: object) -> int:
    if not isinstance(delta, int) or isinstance(delta, bool):
        raise TypeError(f"delta is a {type(delta).__name__}: give an int from 0 to 2**64 - 1")
    if not 0 <= delta <= _COUNT_MAX:
        raise ValueError(f"delta={delta}: give an int from 0 to 2**64 - 1 (decr counts down)")
    return delta
