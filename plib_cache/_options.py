# SPDX-License-Identifier: BSD-3-Clause
"""The options of the decorator, checked and ready for use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from plib_cache._inplace import Copy
from plib_cache._moments import Expire
from plib_cache.cache import Cache

__all__ = ["Copy", "Function", "Options", "Tags"]

Function = Callable[..., Any]
Tags = Iterable[str] | Callable[..., Iterable[str]]


@dataclass(frozen=True)
class Options:
    """The options of the decorator, which documents them."""

    expire: Expire = None
    ignore: tuple[str, ...] = ()
    key: Function | None = None
    version: object = None
    typed: bool = True
    single_flight: bool = True
    namespace: str | None = None
    cache: str | Cache | None = None
    min_duration: float = 0.0
    max_bytes: int | None = None
    tags: Tags = ()
    depends_on: tuple[Any, ...] = ()
    strict: bool = False
    limit_ms: int = 300_000
    trust: str | None = None
    copy: Copy = True
    maxsize: int | None = None
