# SPDX-License-Identifier: BSD-3-Clause
"""Caches on other machines, behind the region of this node: ``Cache(..., remote=...)``.

A read asks the region, then each tier in order; what a tier has is stored in the region, until it
expires.  Writes and deletes go to all.  What is in which file: ``options`` (what ``remote=``
means), ``stack`` (all tiers as one), ``queue`` (the way out), ``signing`` and ``splitting`` (what
is sent), ``servers`` (homes, circuits and connections) with ``memcached`` and ``redis``, ``cache``
(a cache with tiers).  Client libraries are imported when they are needed.
"""

from __future__ import annotations

from typing import Any

from plib_cache import _distant

__all__: list[str] = []


def _cache_kind(asked: type[Any]) -> type[Any]:
    """The class of a cache with tiers.

    Raises:
        ConfigurationError: another one was asked for.
    """
    from plib_cache.cache import Cache
    from plib_cache.exceptions import ConfigurationError
    from plib_cache.remote.cache import RemoteCache

    if asked is Cache:
        return RemoteCache
    if issubclass(asked, RemoteCache):
        return asked
    raise ConfigurationError(
        f"{asked.__name__} has no remote=: derive it from plib_cache.remote.cache.RemoteCache"
    )


def _tiers(cache: Any, remote: Any, trust: str | None) -> Any:
    from plib_cache.remote.tied import tied_to

    return tied_to(cache, remote, trust)


_distant.openers.update(cache=_cache_kind, tiers=_tiers)
