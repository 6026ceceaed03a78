# SPDX-License-Identifier: BSD-3-Clause
"""What one decorated function keeps: its key, its place in a cache, and how it meets failures.

A failing cache never breaks a working function: whatever goes wrong in the cache is a miss, with
one warning for each function, or an exception if the function is ``strict``.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from plib_cache import _shared, config
from plib_cache._attached import namespace_name, tag_numbers
from plib_cache._core import TAGS_MAX, Found, NameCounts, Region, Terms, make_lookup
from plib_cache._costs import cost_us
from plib_cache._distant import Distant
from plib_cache._flight import MISSING, Missing
from plib_cache._identity import number_in, of_main, qualified_name
from plib_cache._inplace import decode, reader
from plib_cache._options import Options
from plib_cache._telling import tell
from plib_cache.cache import Cache
from plib_cache.exceptions import ClosedError, PlibCacheError
from plib_cache.keys import (
    args_digest,
    code_digest,
    compile_binder,
    content_args_digest,
    fingerprint,
    function_identity,
    version_digest,
)
from plib_cache.serialize import DefaultSerializer, Serializer

_RETRY_S = 1.0  # a region that could not be opened is not tried again before
_ALONE_MOST = 1024
_REPORTED_US = 1000.0  # saved time is reported to the region in portions of at least so much
_COSTS_US = [cost_us(code) for code in range(256)]
_COSTS_NS = struct.pack("=256Q", *(round(1000 * cost) for cost in _COSTS_US))


class Missed(bytes):
    """The key of a call that has no result yet."""


class Home(NamedTuple):
    """Where a function's results are: a region, and the function's number in it."""

    region: Region
    name: int
    serializer: Serializer
    tags: tuple[int, ...] | None  # of all results; None: they depend on the call
    terms: Terms  # of all results, before they are computed
    tiers: Distant | None = None  # where results are looked for that are not there
    sends_all: bool = False  # also results with tags go there


class Memo:
    """One decorated function and its results.

    Everything is made at the first call and again after a pickle, so that a decorated function
    may be defined before its cache is configured, and sent to other processes.
    """

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self.function = function
        self.options = options
        self.compute = options.observed(function)
        self._binder = None if options.key else compile_binder(function, options.ignore)
        self._lookup: Any = None
        self._read = reader(options.copy)
        if self._binder is not None and options.typed and options.copy is True:
            binder = self._binder
            self._lookup = make_lookup(self, binder.bind, binder.arity, Missed, _COSTS_NS)
        # the result of a call, or Missed: ``_seek``, or the same in C
        self.seek: Callable[[tuple[Any, ...], dict[str, Any]], Any] = self._lookup or self._seek
        self.alone: set[bytes] = set()  # calls whose result could not be stored: nobody need wait
        self._home: Home | None = None
        self._prefix = b""
        self._retry_at = 0.0
        self._unreported_us = 0.0
        self._warned = False

    def __getstate__(self) -> tuple[Any, ...]:
        return self.function, self.options, self.prefix if of_main(self.function) else b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state[:2])  # type: ignore[misc]
        self._prefix = state[2]

    # ---- keys

    @property
    def prefix(self) -> bytes:
        """16 bytes that stand for the function: its name, its code and the options of its key."""
        if not self._prefix:
            self._prefix = self._digest()
        return self._prefix

    def _digest(self) -> bytes:
        options = self.options
        if options.version is None:
            name = function_identity(self.function)
            code = code_digest(self.function, options.depends_on)
        else:
            name = qualified_name(self.function)
            code = version_digest(options.version, options.depends_on)
        chosen = (options.namespace, options.typed, tuple(sorted(options.ignore)))
        parts = (name.encode("utf-8", "surrogatepass"), code, fingerprint(chosen))
        return hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The key of a call.

        Raises:
            UnhashableArgumentError: an argument gives no stable key.
            TypeError: the function cannot be called so.
        """
        prefix = self._prefix or self.prefix
        binder = self._binder
        if binder is None:
            assert self.options.key is not None
            return prefix + fingerprint(self.options.key(*args, **kwargs), self.options.typed)
        bound = binder.bind(*args, **kwargs)
        told: dict[str, Any] = {
            "names": binder.names, "defaults": binder.defaults, "function": self.name
        }  # fmt: skip
        if self.options.hashing == "xxh3":
            return prefix + content_args_digest(bound, **told)
        return prefix + args_digest(bound, self.options.typed, **told)

    @property
    def name(self) -> str:
        """What people call the function."""
        return getattr(self.function, "__qualname__", repr(self.function))

    # ---- the place in a cache

    def home(self) -> Home:
        """The place of this function's results; opens the cache at first use, or raises why not."""
        home = self._home
        if home is None:
            home = self._settle()
            if not _shared.off[0]:
                self._move(home)
        return home

    def unsettle(self) -> None:
        """Look for the place anew: other caches are meant from now on."""
        self._retry_at = 0.0
        self._move(None)

    def _move(self, home: Home | None) -> None:
        self._home = home
        if self._lookup is not None and home is None:
            self._lookup.forget()
        elif self._lookup is not None and home is not None:
            scalars = type(home.serializer) is DefaultSerializer
            self._lookup.settle(home.region.port, home.name, self.prefix, scalars)

    def _settle(self) -> Home:
        _shared.settled.add(self)
        chosen = self.options.cache
        cache = chosen if isinstance(chosen, Cache) else _shared.open_cache(chosen)
        region, serializer = cache._region, cache._serializer
        if self.options.trust is not None:
            serializer = DefaultSerializer(config.check_trust(self.options.trust))
        tags = None if callable(self.options.tags) else self._tags(region, self.options.tags)
        terms = Terms(0, number_in(region, self.prefix, self.function), tags or (), immutable=True)
        tiers = cache._tiers_of(self.options.remote, self.options.trust)
        return Home(region, terms.name, serializer, tags, terms, tiers, cache._immutable)

    def fresh_home(self) -> Home | None:
        """The place, opened anew if its file was removed; None if there is none."""
        if self._home is None and (_shared.off[0] or time.monotonic() < self._retry_at):
            return None
        try:
            if not isinstance(self.options.cache, Cache) and self.home().region.removed():
                self._move(None)
            return self.home()
        except PlibCacheError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            self.trouble(error)
            return None

    def tags(self, home: Home, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
        """The numbers of the call's tags; the namespace that the user chose is one of them."""
        if home.tags is not None:
            return home.tags
        assert callable(self.options.tags)
        return self._tags(home.region, self.options.tags(*args, **kwargs))

    def _tags(self, region: Region, tags: Iterable[str]) -> tuple[int, ...]:
        if self.options.namespace is None:
            return tag_numbers(region, tags)
        space = region.name(namespace_name(self.options.namespace))
        return (space, *tag_numbers(region, tags, TAGS_MAX - 1))

    # ---- results

    def _seek(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | Missed:
        """The result of a call, counted as a hit; or its key, counted as a miss."""
        key = self.key(args, kwargs)
        value = self.find(key)
        return Missed(key) if value is MISSING else value

    def find(self, key: bytes) -> Any | Missing:
        """The result that is stored, counted as a hit; or MISSING, counted as a miss."""
        home = self._home or self.fresh_home()
        if home is None:
            return MISSING
        try:
            found = self._read(home.region, key, home.name)
            if found is None:
                return MISSING
            value = decode(home.serializer, found, self.options.copy)
        except PlibCacheError as error:
            self.trouble(error)
            return MISSING
        self._unreported_us += _COSTS_US[found[2]]
        if self._unreported_us >= _REPORTED_US:
            self._report(home)
        return value

    def _load_or(self, found: Found, absent: Any) -> Any:
        """For the look in C: the value, ``absent`` if it cannot be read."""
        home = self._home
        try:
            return absent if home is None else home.serializer.loads(found[0], memoryview(found[1]))
        except PlibCacheError as error:
            self.trouble(error)
            return absent

    def _saved_us(self) -> float:
        """What hits saved and is not reported yet."""
        if self._lookup is not None:
            self._unreported_us += self._lookup.take_saved()
        return self._unreported_us

    def _report_saved(self) -> None:
        """For the look in C: it has noted enough for a report."""
        if self._home is not None:
            self._report(self._home)

    def _report(self, home: Home, hits: int = 0, misses: int = 0) -> None:
        saved, self._unreported_us = int(self._saved_us()), 0.0
        try:
            home.region.name_count(home.name, hits, misses, saved)
        except PlibCacheError as error:
            self.trouble(error)

    def find_again(self, home: Home, key: bytes) -> Any | Missing:
        """The result, after a first look that was counted as a miss; that becomes a hit."""
        try:
            found = self._read(home.region, key)
            if found is None:
                return MISSING
            value = decode(home.serializer, found, self.options.copy)
        except PlibCacheError as error:
            self.trouble(error)
            return MISSING
        self._unreported_us += _COSTS_US[found[2]]
        self._report(home, hits=1, misses=-1)
        return value

    def remember_alone(self, key: bytes, alone: bool) -> None:
        """Whether the result of a call can be stored; of a bounded number of calls."""
        if alone:
            if len(self.alone) >= _ALONE_MOST:
                self.alone.clear()
            self.alone.add(key)
        else:
            self.alone.discard(key)

    def trouble(self, error: PlibCacheError) -> None:
        """The cache failed: raise it if strict, else warn, once."""
        if isinstance(error, ClosedError):
            self._move(None)
        if self.options.strict:
            raise error
        if not self._warned:
            self._warned = True
            tell(f"{self.name} runs without its cache: {error}")

    def counts(self) -> NameCounts:
        """What all processes counted since the last ``clear``."""
        home = self.home()
        if self._saved_us() >= 1:
            self._report(home)
        return home.region.name_read(home.name)

    def clear(self) -> None:
        """Forget all results of this function, and its counts."""
        home = self.home()
        home.region.name_invalidate(home.name)
        home.region.name_reset(home.name)
