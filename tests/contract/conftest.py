# SPDX-License-Identifier: BSD-3-Clause
"""Caches with each serializer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plib_cache import Cache

from .ways import WAYS, opened


@pytest.fixture(params=WAYS)
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache, with each serializer."""
    yield from opened(request.param)


@pytest.fixture(params=["code", "data"])
def native(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache, with each serializer that stores numbers and bytes as such."""
    yield from opened(request.param)
