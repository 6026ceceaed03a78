# SPDX-License-Identifier: BSD-3-Clause
"""Django's cache in memory that all processes of this machine share.

::

    CACHES = {
        "default": {
            "BACKEND": "plib_cache.integrations.django.PlibCache",
            "LOCATION": "django",  # a name, or a file: "/srv/cache/region"
            "OPTIONS": {"size": "512MiB"},
        }
    }

``LOCATION`` names the region ("django" if there is none given), ``OPTIONS`` are those of
``plib_cache.Cache``; everything else is as Django documents it.  ``clear`` empties the region.

Two things are better than Django asks for: ``incr`` and ``decr`` lose no count of any process, keep
the timeout, and go below zero; and ``get_or_set`` with a function computes once, also if many
processes miss the key together.

A region that is busy, full, damaged or of another version does not break a page, also if it cannot
be opened for that, or because the process has no descriptors or memory left: nothing is found, the
value is not stored, what was there is removed, and one warning says so; ``"strict": True`` among
the ``OPTIONS`` raises instead.
"""

from __future__ import annotations

import contextlib
import datetime
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

try:
    from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache, InvalidCacheKey
except ImportError as error:
    raise ImportError(
        f"plib_cache.integrations.django needs Django ({error}): pip install 'plib-cache[django]'"
    ) from error

from plib_cache import (
    BusyError,
    Cache,
    ConfigurationError,
    CorruptRegionError,
    LayoutMismatchError,
    RegionFullError,
    SerializationError,
    ValueTooLargeError,
)
from plib_cache.integrations._regions import attach_or_create
from plib_cache.integrations._telling import tell
from plib_cache.serve import Store

__all__ = ["PlibCache", "UnpicklableError"]

T = TypeVar("T")

_REFUSED = (
    BusyError, CorruptRegionError, LayoutMismatchError, RegionFullError, ValueTooLargeError
)  # fmt: skip
_NOT_OURS = ("MAX_ENTRIES", "CULL_FREQUENCY")  # Django's; a region is bounded by its size
_KEY_MAX = 4096
_TRIES = 1000  # at a number that others change all the time
_opened: dict[str, Cache] = {}  # by place and options, for all threads; opening twice is harmless
_told: set[str] = set()  # which of them have failed


class UnpicklableError(SerializationError, pickle.PickleError):
    """A value cannot be stored; an error of pickle's too, as Django's other backends raise."""


class PlibCache(BaseCache):  # type: ignore[misc]
    """A cache of Django's over a region.

    Args:
        location: the region's name, or its file as an absolute path.
        params: the other settings of this cache.

    Notes:
        Django makes one for each thread; all of a process share what is opened, with the first
        use.  The end of a request closes nothing.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        place = str(location) or "django"
        options = {k: v for k, v in params.get("OPTIONS", {}).items() if k not in _NOT_OURS}
        self._size = options.pop("size", None)
        self._strict = bool(options.get("strict"))
        self._options = {"path" if place.startswith("/") else "name": place, **options}

    @property
    def _cache(self) -> Cache:
        """The region, which is opened if it is not."""
        known = repr(self._options)
        cache = _opened.get(known)
        if cache is None:
            cache = _opened.setdefault(known, attach_or_create(self._size, **self._options))
        return cache

    def close(self, **_kwargs: Any) -> None:
        """At the end of a request: go on with a new region if the file of this one was removed."""
        known = repr(self._options)
        cache = _opened.get(known)
        if cache is not None and cache.removed():
            _opened.pop(known, None)  # another thread may have done it

    def _expire(self, timeout: Any) -> Any:
        """A timeout as plib_cache wants it: None is never, and what is not above 0 has passed."""
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout

    def validate_key(self, key: str) -> None:
        """Warn of what memcached would not take, as Django does, and refuse what no region takes.

        Raises:
            InvalidCacheKey: a key has at most 4096 bytes, of UTF-8.
        """
        super().validate_key(key)
        try:
            nbytes = len(key.encode())
        except UnicodeEncodeError:
            raise InvalidCacheKey(
                f"a key has no lone surrogates, as {key!r:.100} has: use a digest of it"
            ) from None
        if nbytes > _KEY_MAX:
            raise InvalidCacheKey(
                f"a key has at most {_KEY_MAX} bytes, not {key!r:.100}: use a digest of it"
            )

    def _ask(self, do: Callable[[Cache], T], otherwise: Callable[[], T]) -> T:
        """What something comes to; ``otherwise`` if the region refuses it, or to be opened."""
        try:
            return do(self._cache)
        except SerializationError as error:
            raise UnpicklableError(str(error)) from error
        except (ConfigurationError, *_REFUSED) as error:
            if self._strict or not getattr(error, "passing", True):
                raise
            known = repr(self._options)
            if known not in _told:
                _told.add(known)
                tell(f"not cached: {error}", stacklevel=4)
            return otherwise()

    def _usable(self) -> Cache | None:
        """The region; None if it is damaged or of another version, which is told."""
        return self._ask(lambda cache: cache, lambda: None)

    # ---- one key

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """The value of a key, or the default."""
        name = self.make_and_validate_key(key, version=version)
        return self._ask(lambda cache: cache.get(name, default), lambda: default)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        """Store a value."""
        name = self.make_and_validate_key(key, version=version)
        self._put(name, value, self._expire(timeout))

    def _put(self, name: str, value: Any, expire: Any) -> bool:
        """Store a value; if that is refused, what was there is out of date."""

        def stored(cache: Cache) -> bool:
            cache.set(name, value, expire)
            return True

        def refused() -> bool:
            with contextlib.suppress(ConfigurationError, *_REFUSED):
                self._cache.delete(name)
            return False

        return self._ask(stored, refused)

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> bool:
        """Store a value if there is none; whether it was stored."""
        name, expire = self.make_and_validate_key(key, version=version), self._expire(timeout)
        return self._ask(lambda cache: cache.add(name, value, expire), lambda: False)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        """Give a key another timeout; whether it is there."""
        name, expire = self.make_and_validate_key(key, version=version), self._expire(timeout)
        return self._ask(lambda cache: cache.touch(name, expire), lambda: False)

    def delete(self, key: Any, version: Any = None) -> bool:
        """Remove a key; whether it was there."""
        name = self.make_and_validate_key(key, version=version)
        return self._ask(lambda cache: cache.delete(name), lambda: False)

    def has_key(self, key: Any, version: Any = None) -> bool:
        """Whether a key is there."""
        name = self.make_and_validate_key(key, version=version)
        return self._ask(lambda cache: name in cache, lambda: False)

    def incr(self, key: Any, delta: Any = 1, version: Any = None) -> Any:
        """Add to a number, which keeps its timeout; the sum.

        Raises:
            ValueError: there is no such key.
            BusyError: it is changed by others all the time; nothing was added.
        """
        name, cache = self.make_and_validate_key(key, version=version), self._usable()
        total = None if cache is None else _add(cache, name, delta)
        if total is None:
            raise ValueError(f"Key '{key}' not found")
        return total

    def get_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> Any:
        """The value of a key; if there is none, the default, which is stored.

        A default that can be called is called by one of all threads and processes that miss the
        key together; the others wait for its value.
        """
        if not callable(default):
            return super().get_or_set(key, default, timeout, version)
        name, cache = self.make_and_validate_key(key, version=version), self._usable()
        if cache is None:
            return default()
        return cache.get_or_compute(name, default, self._expire(timeout))

    # ---- many keys

    def get_many(self, keys: Iterable[Any], version: Any = None) -> dict[Any, Any]:
        """The values of those keys that are there."""
        names = {self.make_and_validate_key(key, version=version): key for key in keys}
        found: dict[Any, Any] = self._ask(lambda cache: cache.get_many(names), dict)
        return {names[name]: value for name, value in found.items()}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> list[Any]:
        """Store values; the keys of those that were not."""
        names = {self.make_and_validate_key(key, version=version): key for key in data}
        expire = self._expire(timeout)

        def at_once(cache: Cache) -> list[Any]:
            cache.set_many({name: data[key] for name, key in names.items()}, expire)
            return []

        def one_by_one() -> list[Any]:  # for it is not told which were refused
            return [key for name, key in names.items() if not self._put(name, data[key], expire)]

        return self._ask(at_once, one_by_one)

    def delete_many(self, keys: Iterable[Any], version: Any = None) -> None:
        """Remove keys."""
        names = [self.make_and_validate_key(key, version=version) for key in keys]
        self._ask(lambda cache: cache.delete_many(names), lambda: 0)

    def clear(self) -> None:
        """Remove everything that is in the region, in one step for all processes."""
        cache = self._usable()
        if cache is not None:
            cache.clear()


def _add(cache: Cache, name: str, delta: Any) -> Any:
    """Add to a number, which keeps its deadline; the sum, or None if there is none."""
    if type(delta) is int and delta >= 0:
        with contextlib.suppress(ValueError):  # it is another number than those from 0 to 2**64
            total = cache.incr(name, delta)
            if total is None or total >= delta:
                return total
            delta = 1 << 64  # it has begun with 0 again
    store = Store(cache)
    for _ in range(_TRIES):
        found, entry = cache.gets(name), store.get(name.encode(), notice=False)
        if found is None:
            return None
        value, token = found
        if entry is not None and entry.token == token:
            total = value + delta
            if cache.cas(name, total, token, _moment(entry.deadline_ms)):
                return total
    raise BusyError(f"{name!r:.100} is changed by others all the time: try again")


def _moment(deadline_ms: int) -> datetime.datetime | None:
    """A deadline of an entry as an expiry."""
    if not deadline_ms:
        return None
    return datetime.datetime.fromtimestamp(deadline_ms / 1000, datetime.timezone.utc)
