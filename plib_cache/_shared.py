# SPDX-License-Identifier: BSD-3-Clause
"""The caches that a process opens once: the default one, and those that decorators name."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

from plib_cache.cache import Cache
from plib_cache.serialize import Serializer
from plib_cache.signatures import options_of

__all__ = ["configure", "get_cache"]

# By name; None is the default cache.  Opening twice is harmless, so no lock is needed (which a
# fork could leave locked for ever).
_open: dict[str | None, Cache] = {}
_settings: dict[str, Any] = {}


class Settled(Protocol):
    """Whoever keeps a cache that was opened here."""

    def unsettle(self) -> None:
        """Keep it no longer: ask for it anew."""


settled: weakref.WeakSet[Settled] = weakref.WeakSet()
off = [False]  # whether decorated functions do without caches


@options_of("configure")
def configure(
    name: str | None = None,
    *,
    size: int | str | None = None,
    path: str | os.PathLike[str] | None = None,
    protection: str = "auto",
    serializer: Serializer | None = None,
    trust: str | None = None,
    strict: bool = False,
    create: bool = True,
    expected_entry: int | None = None,
    immutable: bool = False,
    in_place: bool | float = True,
    prefault: bool = False,
    remote: Any = None,
    write: str | None = None,
) -> None:
    """Choose what ``get_cache`` and decorators without ``cache=`` use; options as for ``Cache``.

    Notes:
        For this process and those that it forks, from the next ``get_cache`` on; call it before
        the first use of a decorated function.  Nothing is opened yet.
    """
    _settings.clear()
    _settings.update(
        name=name,
        size=size,
        path=path,
        protection=protection,
        serializer=serializer,
        trust=trust,
        strict=strict,
        create=create,
        expected_entry=expected_entry,
        immutable=immutable,
        in_place=in_place,
        prefault=prefault,
        **({} if remote is None else {"remote": remote, "write": write}),
    )
    _open.pop(None, None)


def get_cache() -> Cache:
    """The cache that this process shares by default: "default", or what ``configure`` chose.

    Raises:
        PlibCacheError: it cannot be opened.

    Notes:
        Opened once, for all threads, and anew if it was closed or its file removed.  A forked
        child goes on with it.
    """
    return open_cache(None)


def open_cache(name: str | None) -> Cache:
    """The cache of that name, opened once; None is the default cache."""
    cache = _open.get(name)
    if cache is not None and not cache.closed and not cache.removed():
        return cache
    opened = Cache(**_settings) if name is None else Cache(name)
    if cache is not None:
        _open[name] = opened
        return opened
    return _open.setdefault(name, opened)


@contextlib.contextmanager
def other_caches(**settings: Any) -> Iterator[None]:
    """Forget what is open and configured for a while; close what was opened meanwhile."""
    opened, configured = dict(_open), dict(_settings)
    _replace(_open, {})
    _replace(_settings, settings)
    _unsettle()
    try:
        yield
    finally:
        for cache in _open.values():
            cache.close()
        _replace(_open, opened)
        _replace(_settings, configured)
        _unsettle()


@contextlib.contextmanager
def no_caches() -> Iterator[None]:
    """Let decorated functions do without caches for a while."""
    outer, off[0] = off[0], True
    _unsettle()
    try:
        yield
    finally:
        off[0] = outer
        _unsettle()


def _unsettle() -> None:
    for one in list(settled):
        one.unsettle()


def _replace(target: dict[Any, Any], content: dict[Any, Any]) -> None:
    target.clear()
    target.update(content)
