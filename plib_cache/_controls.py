# SPDX-License-Identifier: BSD-3-Clause
"""What a decorated function can do besides being called; ``CachedFunction`` describes it."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from plib_cache import _flight
from plib_cache._calls import CallJob
from plib_cache._memo import Memo
from plib_cache.exceptions import PlibCacheError


class CacheInfo(NamedTuple):
    """As ``functools.lru_cache`` gives it; hits and misses of all processes."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


def cache_info(memo: Memo) -> CacheInfo:
    counts, home = memo.counts(), memo.home()
    size = home.region.count(home.name)
    return CacheInfo(counts.hits, counts.misses, memo.options.maxsize, size)


def cache_clear(memo: Memo) -> None:
    memo.clear()


def cache_parameters(memo: Memo) -> dict[str, Any]:
    return {"maxsize": memo.options.maxsize, "typed": memo.options.typed}


def cache_key(memo: Memo, /, *args: Any, **kwargs: Any) -> bytes:
    return memo.key(args, kwargs)


def invalidate(memo: Memo, /, *args: Any, **kwargs: Any) -> bool:
    home, key = memo.home(), memo.key(args, kwargs)
    deleted = home.region.delete(key)
    if home.tiers is not None:
        home.tiers.forget([key])
    return deleted


def refresh(memo: Memo, /, *args: Any, **kwargs: Any) -> Any:
    job = CallJob(memo, memo.key(args, kwargs), args, kwargs)
    job.fresh = True
    run: Any = _flight.run_async if inspect.iscoroutinefunction(memo.function) else _flight.run
    return run(job, lambda: memo.compute(*args, **kwargs))


def saved_seconds(memo: Memo) -> float:
    return memo.counts().saved_us / 1e6


def _repr_html_(memo: Memo) -> str:
    """A small table, for notebooks; a cache that cannot tell says why instead."""
    from plib_cache import _html

    try:
        return _html.of_function(memo.name, cache_info(memo), saved_seconds(memo))
    except PlibCacheError as error:
        return _html.table(memo.name, (), str(error))


ALL = (
    cache_info, cache_clear, cache_parameters, cache_key, invalidate, refresh, saved_seconds,
    _repr_html_,
)  # fmt: skip
