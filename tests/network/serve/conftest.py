# SPDX-License-Identifier: BSD-3-Clause
"""Conversations over a region of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plib_cache import Cache
from plib_cache.serve import Conversation, Counts, Limits, Store


@pytest.fixture
def cache() -> Iterator[Cache]:
    """A cache that is served, and is sound in the end."""
    with Cache("served", size="32MiB", strict=True) as opened:
        yield opened
        assert opened.check() == []


@pytest.fixture
def converse(cache: Cache) -> Callable[..., Conversation]:
    """``converse()`` is a new connection to the cache; see ``Conversation``."""
    counts = Counts()

    def begin(limits: Limits = Limits(), **options: Any) -> Conversation:
        return Conversation(Store(cache), limits, options.pop("counts", counts), **options)

    return begin
