# SPDX-License-Identifier: BSD-3-Clause
"""Caches with each serializer, and at each level of protection."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from plib_cache import Cache

from .ways import WAYS, opened


@pytest.fixture(params=WAYS)
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache, with each serializer."""
    yield from opened(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of the caller's own, in which a region may be."""
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture(params=["code", "data"])
def native(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache, with each serializer that stores numbers and bytes as such."""
    yield from opened(request.param)


@pytest.fixture(params=["auto", "none"])
def protected(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache with and without protection keys, where there are any; sound in the end."""
    with Cache("in-place", size="32MiB", strict=True, protection=request.param) as cache:
        yield cache
        if not cache.closed:
            gc.collect()
            assert cache.stats().reserved == 0
            assert cache.check() == []
