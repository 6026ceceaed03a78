# SPDX-License-Identifier: BSD-3-Clause
"""What the parts of a cache share: its regions, settings, and how keys and values go in and out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from plib_cache import (
    BusyError,
    Cache,
    ConfigurationError,
    PlibCacheError,
    RegionFullError,
    SerializationError,
    ValueTooLargeError,
    config,
)
from plib_cache.integrations.diskcache import _region, _settings
from plib_cache.integrations.diskcache._disk import Disk
from plib_cache.integrations.diskcache._keys import pack, shortened
from plib_cache.integrations.diskcache._record import Record, Records, Tag, check_tag, next_ns
from plib_cache.serialize import DefaultSerializer


class Timeout(Exception):  # noqa: N818 - it is diskcache's name
    """Other writers did not give way in time; nothing was changed, so try again."""


class Base:
    """The options of a cache; ``Cache`` documents them."""

    def __init__(
        self,
        directory: Any = None,
        timeout: float = 60,
        disk: Any = Disk,
        *,
        trust: str | None = None,
        **settings: Any,
    ) -> None:
        if not (isinstance(disk, type) and issubclass(disk, Disk)):
            raise ConfigurationError(
                f"disk={disk!r}: give a class that inherits from "
                "plib_cache.integrations.diskcache.Disk"
            )
        for name, value in settings.items():
            _settings.check_setting(name, value)
        self._trust = config.check_trust(trust)
        self._values = DefaultSerializer(self._trust)
        self._directory = _region.made_directory(directory)
        self._timeout = timeout
        self._entries: Cache | None = None
        self._counts: Cache | None = None
        known = _settings.load(self._directory)
        self._set = {**_settings.DEFAULT_SETTINGS, **known, **settings}
        if any(name not in known for name in self._set) or settings.items() - known.items():
            self._set = _settings.save(self._directory, self._set)
        options = {name[5:]: one for name, one in self._set.items() if name.startswith("disk_")}
        self._disk = disk(self._directory, **options)
        self._disk.trust = self._trust
        self._cache  # noqa: B018 - opened now, so that what is wrong is said now
        self._check_size()

    def __getattr__(self, name: str) -> Any:
        """A setting."""
        if not name.startswith("_") and name in self.__dict__.get("_set", ()):
            return self._set[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute or setting {name!r}")

    @property
    def directory(self) -> str:
        """The cache's directory."""
        return self._directory

    @property
    def timeout(self) -> float:
        """Seconds that ``transact`` waits at most."""
        return self._timeout

    @property
    def disk(self) -> Disk:
        """What turns keys and values into what is stored."""
        return self._disk

    @property
    def _cache(self) -> Cache:
        """The entries; opened again if the cache was closed."""
        if self._entries is None:
            size = _settings.region_size(self._set["size_limit"])
            options: dict[str, Any] = {"serializer": Records()}
            self._entries = _region.opened(self._directory, _region.ENTRIES, size, **options)
        return self._entries

    @property
    def _state(self) -> Cache:
        """Counts and queues."""
        if self._counts is None:
            file, size = _region.STATE, _region.STATE_SIZE
            self._counts = _region.opened(self._directory, file, size, trust="data")
        return self._counts

    def _check_size(self) -> None:
        """Say so if a limit was given that the region cannot have."""
        wanted, has = self._set["size_limit"], self._cache.info().size
        if wanted > has:
            _region.warn_once(
                f"{self._directory}: size_limit is {wanted:.0f}, but the region keeps the "
                f"{has} bytes that it was made with: for a larger one take a new directory"
            )

    # ---- keys and values

    def _packed(self, key: Any) -> bytes:
        return pack(*self._disk.put(key))

    def _fresh(
        self, packed: bytes, key: Any, value: Any, expire: float | None, read: bool, tag: Any
    ) -> Record:
        """A new entry.

        Raises:
            SerializationError: the value cannot be stored.
            TypeError: the tag cannot be one.
        """
        _, mode, _, stored = self._disk.store(value, read, key=key)
        encoded = self._values.dumps(stored)
        whole = packed if len(shortened(packed)) < len(packed) else b""
        parts, nbytes = encoded.parts, encoded.nbytes
        code, tag = encoded.type_code, check_tag(tag)
        return Record(code, parts, nbytes, mode, moment(expire), tag, next_ns(), whole)

    def _find(self, raw: bytes) -> Record | None:
        """The entry of a key; None also if it is damaged."""
        try:
            found: Record | None = self._cache.get(raw)
        except SerializationError as error:
            self._failed(error)
            return None
        return found

    def _load(self, record: Record, default: Any, read: bool = False) -> Any:
        """The value of an entry; the default if it cannot be read."""
        try:
            value = record.loaded(self._values)
            return self._disk.fetch(record.mode, None, value, read)
        except (SerializationError, OSError) as error:
            self._failed(error)
            return default

    def _failed(self, error: Exception) -> None:
        """Go on without an entry, and say so once."""
        _region.warn_once(f"{self._directory}: {error}")

    # ---- writing

    def _insist(self, retry: bool, act: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Do something that other writers may hold up.

        Raises:
            Timeout: they do, and it is not to be tried again.
        """
        while True:
            try:
                return act(*args, **options)
            except BusyError as error:
                if not retry:
                    raise Timeout(str(error)) from None

    def _kept(self, raw: bytes, retry: bool, act: Callable[..., Any], *args: Any) -> Any:
        """Store something.  What cannot be stored is told once, and what it was to replace goes.

        Returns:
            What ``act`` returned, or None if nothing could be stored.
        """
        try:
            return self._insist(retry, act, *args)
        except (ValueTooLargeError, RegionFullError) as error:
            self._failed(error)
            self._insist(True, self._cache.delete, raw)
            return None

    def _count(self, name: str) -> None:
        """Count a hit or a miss, if that is wanted."""
        if self._set["statistics"]:
            try:
                if self._state.incr(name) is None and not self._state.add(name, 1):
                    self._state.incr(name)
            except PlibCacheError as error:
                self._failed(error)


def moment(expire: float | None) -> float | None:
    """The moment that so many seconds from now are, in seconds since 1970; None for never."""
    return None if expire is None else time.time() + expire


def remaining(expire_time: float | None) -> float | None:
    """The seconds until then; None for never."""
    return None if expire_time is None else expire_time - time.time()


def extras(value: Any, expire_time: Any, tag: Tag, wanted: tuple[bool, bool]) -> Any:
    """What a method returns that may be asked for expiry and tag."""
    if not any(wanted):
        return value
    more = zip((expire_time, tag), wanted, strict=True)
    return (value, *(one for one, asked in more if asked))
