# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of diskcache's interface share: a cache, and diskcache's own beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import diskcache
import pytest

from plib_cache.integrations.diskcache import Cache, _region

SIZE = 8 << 20  # bytes of a region


@pytest.fixture(autouse=True)
def untold() -> None:
    """Each test hears the warnings that are given once in a process."""
    _region._told.clear()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """A cache that is sound in the end."""
    with Cache(tmp_path / "ours", size_limit=SIZE) as made:
        yield made
        assert made.check() == []


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[diskcache.Cache]:
    """A cache of diskcache, of which nothing is evicted and in which what expired stays."""
    with diskcache.Cache(tmp_path / "theirs", cull_limit=0) as made:
        yield made
