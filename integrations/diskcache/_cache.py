# SPDX-License-Identifier: BSD-3-Clause
"""``Cache``: all of it put together, with settings, counts, transactions and its own life."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plib_cache import PlibCacheWarning
from plib_cache.integrations.diskcache import _settings
from plib_cache.integrations.diskcache._base import Timeout
from plib_cache.integrations.diskcache._disk import ENOVAL
from plib_cache.integrations.diskcache._memoize import Memoizing
from plib_cache.integrations.diskcache._queue import Queues
from plib_cache.integrations.diskcache._walk import Walks
from plib_cache.signatures import go_by

_PAUSE = 0.001  # seconds between two looks at the lock of transactions


class Cache(Walks, Queues, Memoizing):
    """A cache in a directory, with the interface of ``diskcache.Cache``, over a region.

    Args:
        directory: of the cache, made if it is missing; None: a new one, in memory.
        timeout: seconds that ``transact`` waits for other transactions.
        disk: a subclass of ``Disk``, for keys and values.
        trust: "code" stores any picklable value; "data" neither stores nor reads what would need
            code to be read. None: $PLIB_CACHE_TRUST, else "code".
        settings: those of diskcache; docs/migration-diskcache.md says what each does. A new
            directory gets a region of ``size_limit`` bytes, 4 MiB at least.

    Raises:
        ConfigurationError: a setting does not exist, or cannot be had.
        OSError: the directory cannot be made.

    Notes:
        Usable by any number of threads and processes, and after a fork. A key is str, bytes, int,
        float or anything picklable. What is stored may be evicted at any time, when the region is
        full; what is too large for it is not stored, with one warning.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._inside = threading.local()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._directory!r})"

    # ---- settings and counts

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """Read a setting again, or change it for all processes (``update``), and return it.

        Raises:
            ConfigurationError: there is no such setting, or it cannot have that value.
        """
        if key in _settings.METADATA:
            return self._metadata(key, value)
        if value is ENOVAL:
            value = {**self._set, **_settings.load(self._directory)}[key]
        else:
            _settings.check_setting(key, value)
            if update:
                _settings.save(self._directory, {key: value})
        self._set[key] = value
        if key.startswith("disk_"):
            setattr(self._disk, key[5:], value)
        if key == "size_limit":
            self._check_size()
        return value

    def _metadata(self, key: str, value: Any) -> int:
        if key == "count":
            return len(self)
        if key == "size":
            return self.volume()
        if value is not ENOVAL:
            self._state.set(key, value)
        return int(self._state.get(key, 0))

    def __getattr__(self, name: str) -> Any:
        """A setting, or a count."""
        return (
            self._metadata(name, ENOVAL)
            if name in _settings.METADATA
            else super().__getattr__(name)
        )

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """Hits and misses, of all processes, while counting was on; then turn it on or off."""
        counts = self._metadata("hits", ENOVAL), self._metadata("misses", ENOVAL)
        if reset:
            for name in ("hits", "misses"):
                self._metadata(name, 0)
        self.reset("statistics", int(enable))
        return counts

    def create_tag_index(self) -> None:
        """Note that there is one: ``evict`` does without."""
        self.reset("tag_index", 1)

    def drop_tag_index(self) -> None:
        """Note that there is none."""
        self.reset("tag_index", 0)

    def check(self, fix: bool = False, retry: bool = False) -> list[warnings.WarningMessage]:
        """Warnings of what contradicts the layout of the region; an empty list is good.

        Args:
            fix: nothing: a region mends itself, and damaged entries are misses.
        """
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            for problem in self._cache.check():
                warnings.warn(f"{self._directory}: {problem}", PlibCacheWarning, stacklevel=2)
        return found

    # ---- transactions

    @contextlib.contextmanager
    def transact(self, retry: bool = False) -> Iterator[None]:
        """One transaction at a time, of all threads and processes, for as long as the block takes.

        It keeps other transactions out, and nothing else: what is stored in it is seen at once,
        single operations outside of it do not wait, and when the block raises, or the process
        dies, what it has stored stays (the first with a warning).  May be nested.

        Raises:
            Timeout: others took longer than ``timeout``, and ``retry`` is False.
        """
        depth, process = getattr(self._inside, "depth", 0), os.getpid()
        lock = None if depth else self._lock(retry)
        self._inside.depth = depth + 1
        try:
            yield
        except BaseException as error:
            if lock is not None:
                warnings.warn(
                    f"a transaction ended with {type(error).__name__}, and what it had stored "
                    "until then stays: a region cannot take it back; remove it yourself",
                    PlibCacheWarning,
                    stacklevel=3,
                )
            raise
        finally:
            self._inside.depth = depth
            if lock is not None:
                if os.getpid() == process:  # a child that was forked inside has the lock too
                    fcntl.flock(lock, fcntl.LOCK_UN)
                os.close(lock)

    def _lock(self, retry: bool) -> int:
        """A descriptor that holds the lock of transactions; the kernel drops it with a process."""
        path, end = Path(self._directory) / "transactions.lock", time.monotonic() + self._timeout
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                if not retry and time.monotonic() > end:
                    os.close(lock)
                    raise Timeout(
                        f"another transaction in {self._directory} has taken longer than "
                        f"{self._timeout} s: make it shorter, or pass retry=True to wait"
                    ) from None
                time.sleep(_PAUSE)

    # ---- its life

    def close(self) -> None:
        """Let go of the regions; the next use opens them again, as with diskcache."""
        opened, self._entries, self._counts = (self._entries, self._counts), None, None
        for cache in opened:
            if cache is not None:
                cache.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return self._directory, self._timeout, type(self._disk), self._trust

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        directory, timeout, disk, trust = state
        self.__init__(directory, timeout, disk, trust=trust)  # type: ignore[misc]


go_by(Cache)
