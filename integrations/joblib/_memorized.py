# SPDX-License-Identifier: BSD-3-Clause
"""Memorized functions without joblib's cost per call: binding and hashing are plib_cache's own.

A call is one of ``plib_cache.cache``: compiled binding, a key by content, one look at the region,
single flight.  Everything around it is joblib's: what is printed, the references to results, the
validation of results by their metadata, clearing.  Arguments that give no stable key, and what
fails before the cache is open, take joblib's own path through the store.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Literal

from joblib import memory as stock
from joblib.func_inspect import format_call

import plib_cache
from plib_cache import PlibCacheError, UnhashableArgumentError
from plib_cache.decorator import CachedFunction, CacheInfo, Computed
from plib_cache.integrations.joblib import _region
from plib_cache.integrations.joblib._awaiting import later, then
from plib_cache.integrations.joblib._notes import PLAIN, Fresh, argument, metadata, notes_of
from plib_cache.integrations.joblib._short import Told
from plib_cache.integrations.joblib._store import (
    ABSENT,
    OWN_KEY,
    count_failure,
    metadata_name,
    space,
    trouble,
)
from plib_cache.integrations.joblib._versions import read_only
from plib_cache.keys import compile_binder, value_digest

# Somebody wants to see what is known of the computation that follows.
_exact: ContextVar[bool] = ContextVar("plib_cache_exact", default=False)


@contextlib.contextmanager
def _exactness() -> Iterator[None]:
    token = _exact.set(True)
    try:
        yield
    finally:
        _exact.reset(token)


class Session:
    """A memorized function in one region: its decorated form, and what it tells joblib's users.

    It is made at the first call, and again if the region's file was removed.
    """

    def __init__(self, owner: Any) -> None:
        store = owner.store_backend
        self._owner = owner
        self._opened = _region.opened(store.location, store.options)
        self.cache = self._opened.cache
        self.removed = self.cache.removed
        self._where = {"namespace": space(owner.func_id), "tags": store.tags}
        self._binder = compile_binder(owner.func, tuple(owner.ignore))
        self._notes = notes_of(self.cache, owner.func_id, self._binder.names, self._where)
        self.cached: CachedFunction[..., Any] = plib_cache.cache(
            cache=self.cache,
            ignore=tuple(owner.ignore),
            copy=owner.copy,
            hashing="xxh3",
            observer=self,
            remote=self._opened.remote,
            **self._where,
        )(owner.func)

    # ---- what ``plib_cache.cache`` tells

    def computing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Say so, as joblib does."""
        owner = self._owner
        if owner._verbose > 0:
            told = {name: Told(value) for name, value in kwargs.items()}
            print(format_call(owner.func, list(map(Told, args)), told))

    def computed(self, call: Computed) -> Any:
        """Say so, and note what is known of the computation; the value as later calls get it."""
        owner = self._owner
        if owner._verbose > 0:
            owner._print_duration(call.seconds)
        if call.nbytes is None:
            count_failure(owner.func_id)
            return read_only(call.value) if owner.mmap_mode == "r" else call.value
        try:
            self._note(call)
            if owner.copy is True:
                return call.value
            value = self.cache.get(call.key, call.value, copy=owner.copy)
        except PlibCacheError as error:
            trouble(owner.func_id, error)
            value = call.value
        return read_only(value) if owner.mmap_mode == "r" else value

    def _note(self, call: Computed) -> None:
        assert call.nbytes is not None
        owner, now_us = self._owner, time.time_ns() // 1000
        arguments = [
            value if type(value) in PLAIN else argument(value, digest)
            for value in self._in_form(call.args, call.kwargs)
        ]
        fresh = Fresh(call.key, call.seconds, now_us, call.nbytes, arguments)
        self._notes.add(fresh)
        if owner.cache_validation_callback is not None or _exact.get():
            note = fresh.note(self._binder.names)
            name = metadata_name(OWN_KEY + note.key)
            self._opened.shared.set(name, metadata(owner.func_id, note), **self._where)

    # ---- looking

    def hashable(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the arguments give a key."""
        try:
            self.cached.cache_key(*args, **kwargs)
        except UnhashableArgumentError:
            return False
        return True

    def _in_form(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments that matter, in normal form."""
        binder = self._binder
        in_form = not kwargs and len(args) == binder.arity
        return args if in_form else binder.bind(*args, **kwargs)

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
        """The same, with their names."""
        return list(zip(self._binder.names, self._in_form(args, kwargs), strict=True))

    def metadata(self, key: bytes) -> Any:
        """What is known of a computation, where each has an entry of its own; else ABSENT."""
        return self._opened.shared.get(metadata_name(OWN_KEY + key.hex()), ABSENT)

    def there(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether there is a result, and it is valid; one that is not is forgotten."""
        key = self.cached.cache_key(*args, **kwargs)
        if self._opened.shared.get(key, ABSENT, copy=False) is ABSENT:
            return False
        validate = self._owner.cache_validation_callback
        if validate is None:
            return True
        metadata = self.metadata(key)
        if metadata is not ABSENT and validate(metadata):
            return True
        self.cached.invalidate(*args, **kwargs)
        return False


def digest(value: Any) -> str:
    """What tells an argument from others, or an empty str if nothing does."""
    try:
        return value_digest(value).hex()
    except UnhashableArgumentError:
        return ""


class Quick:
    """What is done in another way than joblib does it, for functions and coroutine functions."""

    __slots__ = ()

    func: Any
    func_id: str
    ignore: list[str]
    mmap_mode: str | None
    store_backend: Any
    timestamp: float | None
    cache_validation_callback: Callable[[dict[str, Any]], bool] | None
    _verbose: int

    @property
    def copy(self) -> Literal[True, "cow", "shared"]:
        """How results are read; ``copy`` of ``Cache.get``."""
        return True if self.mmap_mode is None else "cow" if self.mmap_mode == "c" else "shared"

    def _session(self) -> Session | None:
        """The session in the region that is there now; None if there is none."""
        made: Session | None = getattr(self, "_made", None)
        if made is not None and not made.removed():
            return made
        try:
            made = Session(self)
        except PlibCacheError as error:
            trouble(self.func_id, error)
            return None
        object.__setattr__(self, "_made", made)
        return made

    @property
    def session(self) -> Session:
        """The session in the region that is there now.

        Raises:
            PlibCacheError: the region cannot be opened.
        """
        return self._session() or Session(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result: the stored one, or else computed and stored."""
        session = self._session()
        if session is None:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        try:
            if self._verbose > 1 or self.cache_validation_callback is not None:
                self._look(session, args, kwargs)
            return session.cached(*args, **kwargs)
        except UnhashableArgumentError as error:
            if session.hashable(args, kwargs):
                raise  # of a function that was called by this one
            _region.warn_once(
                f"{self.func_id} takes joblib's own way: {error}", subject="key of " + self.func_id
            )
        return super().__call__(*args, **kwargs)  # type: ignore[misc]

    def _look(self, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forget a result that is not valid, and say that one is going to be loaded."""
        if session.there(args, kwargs) and self._verbose > 1:
            call_id = self._call_id(session, args, kwargs)
            print(self.store_backend.loading(call_id, self._verbose, self.timestamp, {}))

    def _call_id(self, session: Session, args: Any, kwargs: Any) -> tuple[str, str]:
        return self.func_id, OWN_KEY + session.cached.cache_key(*args, **kwargs).hex()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute anew and store it: the result, and what is known of the computation."""
        session = self._session()
        if session is None or not session.hashable(args, kwargs):
            return super().call(*args, **kwargs)  # type: ignore[misc]
        key = session.cached.cache_key(*args, **kwargs)
        result = self._exactly(session.cached.refresh, args, kwargs)
        return then(result, lambda value: (value, session.metadata(key) or {}))

    def call_and_shelve(self, *args: Any, **kwargs: Any) -> Any:
        """A reference to the result, which is computed if there is none."""
        session = self._session()
        if session is None or not session.hashable(args, kwargs):
            return super().call_and_shelve(*args, **kwargs)  # type: ignore[misc]
        call_id = self._call_id(session, args, kwargs)
        found = session.there(args, kwargs)
        if found:
            return later(self, self._get_memorized_result(call_id))  # type: ignore[attr-defined]
        result = self._exactly(session.cached, args, kwargs)
        return then(result, lambda _: self._get_memorized_result(call_id))  # type: ignore[attr-defined]

    def _exactly(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What a call gives; what is known of its computation is there as soon as the result is."""
        if inspect.iscoroutinefunction(self.func):
            return self._exactly_later(call, args, kwargs)
        with _exactness():
            return call(*args, **kwargs)

    async def _exactly_later(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        with _exactness():
            return await call(*args, **kwargs)

    def check_call_in_cache(self, *args: Any, **kwargs: Any) -> bool:
        """Whether there is a valid result of this call."""
        session = self._session()
        if session is None or not session.hashable(args, kwargs):
            return bool(super().check_call_in_cache(*args, **kwargs))  # type: ignore[misc]
        return session.there(args, kwargs)

    def cache_info(self) -> CacheInfo:
        """Hits and misses of all processes, and how many results there are.

        Raises:
            PlibCacheError: the region cannot be opened.
        """
        return self.session.cached.cache_info()

    @property
    def seconds_saved(self) -> float:
        """How much computing the hits of all processes saved.

        Raises:
            PlibCacheError: the region cannot be opened.
        """
        return self.session.cached.saved_seconds()


class MemorizedFunc(Quick, stock.MemorizedFunc):  # type: ignore[misc]
    """A memorized function; see ``Quick``."""

    __slots__ = ("_made",)  # not in __dict__, which is pickled and compared


class AsyncMemorizedFunc(Quick, stock.AsyncMemorizedFunc):  # type: ignore[misc]
    """A memorized coroutine function; see ``Quick``."""

    __slots__ = ("_made",)
