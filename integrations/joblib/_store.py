# SPDX-License-Identifier: BSD-3-Clause
"""What the parts of the store share: where it is, how things are named in it, what may go wrong."""

from __future__ import annotations

import collections
import functools
import threading
from collections.abc import Sequence
from pickle import PicklingError
from typing import Any

from joblib._store_backends import CacheWarning

from plib_cache import BusyError, PlibCacheError, PlibCacheWarning
from plib_cache.integrations.joblib import _region
from plib_cache.integrations.joblib._versions import Asker, code_version, digest, versioned

OWN_KEY = "p1"  # begins the id of arguments whose key is that of ``plib_cache.cache``
TAG = "joblib"  # of all that is stored in one
CallId = Sequence[str]  # (function) or (function, digest of the arguments)
ABSENT = object()


class StoreWarning(PlibCacheWarning, CacheWarning):  # type: ignore[misc]
    """A result could not be stored or read; it was computed instead."""


class UnpicklableWarning(StoreWarning, FutureWarning):
    """A result cannot be pickled; joblib means to make that an error, so says it like this."""


# A result, and which one it is: location, call, item, whether its metadata are still to be looked
# at.  A plain tuple, for one is made at each hit.
Held = tuple[str, CallId, Any, bool]


class Mine(threading.local):
    """What one thread remembers from one call of joblib to the next."""

    changing: tuple[str, str] | None = None  # the function whose code was just told to differ
    nbytes = 0  # of the item stored last
    held: Held | None = None  # found, and about to be loaded
    dumped: Held | None = None  # stored, or not, and about to be loaded


mine = Mine()

# The code that each function had when this process last heard of it, by location and name.
known_code: dict[tuple[str, str], str] = {}


class Store:
    """The options of a store, as plain data, and its region."""

    location: str
    verbose: int
    mmap_mode: str | None
    compress: Any
    options: dict[str, Any]

    @property
    def tags(self) -> tuple[str, ...]:
        """What is noted with all that is stored here, so that it alone can be forgotten."""
        return (TAG,) if self.location.startswith(_region.SHARED) else ()

    def _opened(self) -> _region.Opened:
        return _region.opened(self.location, self.options)

    def _path(self, call_id: CallId) -> str:
        return "/".join((self.location, *call_id))

    def _read(self, name: str, func_id: str, default: Any, shared: bool = False) -> Any:
        """What has that name in the region, or on other machines (``shared``); the default if there
        is nothing or it fails."""
        try:
            opened = self._opened()
            return (opened.shared if shared else opened.cache).get(name, default)
        except PlibCacheError as error:
            trouble(func_id, error)
            return default

    def _version(self, func_id: str, asker: Asker | None) -> str:
        """The version of a function: that of the one who asks, or else the last one."""
        asked = None if asker is None else asker.version
        if asked is not None:
            return asked
        code = known_code.get((self.location, func_id))
        return code_version(code or self._read(code_name(func_id), func_id, ""))

    def _remember(self, func_id: str, code: str) -> None:
        """Note that a function with that code has results here."""
        known_code[self.location, func_id] = code
        names = (code_name(func_id), code_name(func_id, code_version(code)))
        try:
            self._opened().cache.set_many((name, code) for name in names)
        except PlibCacheError as error:
            trouble(func_id, error)

    def _key(self, call_id: CallId, asker: Asker | None) -> str:
        return item_key(call_id[0], self._version(call_id[0], asker), call_id[1])


def item_key(func_id: str, version: str, args_id: str) -> str:
    """What stands for a call of a version of a function."""
    if args_id.startswith(OWN_KEY):
        return args_id
    return f"{versioned(func_id, version)}-{args_id}"


def item_name(key: str) -> str | bytes:
    """The name in the region of a result."""
    return bytes.fromhex(key[len(OWN_KEY) :]) if key.startswith(OWN_KEY) else "i:" + key


def blob_name(key: str) -> str:
    """The name in the region of a result that is compressed."""
    return "z:" + key


def metadata_name(key: str) -> str:
    """The name in the region of what joblib knows of a computation."""
    return "m:" + key


def code_name(func_id: str, version: str = "") -> str:
    """The name in the region of a function's code: the last one, or that of a version."""
    return "c:" + digest(func_id, version)


@functools.lru_cache(maxsize=1024)
def space(func_id: str) -> str:
    """The namespace of a function's results."""
    return digest(func_id)


# How often the cache failed in this process, by function.
_failures: collections.Counter[str] = collections.Counter()


def count_failure(func_id: str) -> None:
    """The cache failed."""
    _failures[func_id] += 1


def trouble(func_id: str, error: Exception) -> None:
    """The cache failed: count it, say so once for each function, and go on without it."""
    count_failure(func_id)
    if not isinstance(error, BusyError):
        text = f"{func_id} runs without its cache: {error}"
        unpicklable = isinstance(error.__cause__, PicklingError)
        category = UnpicklableWarning if unpicklable else StoreWarning
        _region.warn_once(text, category, subject=func_id)


def failures() -> dict[str, int]:
    """How often the cache failed in this process, by function; each was computed instead."""
    return dict(_failures)
