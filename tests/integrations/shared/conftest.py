# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of arrays by reference share: a cache, and an array in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import handed_arrays as handed
import numpy as np
import pytest
from handed_arrays import N

from plib_cache import _handing


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """The file of a cache that is sound in the end."""
    yield str(tmp_path / "arrays.plib")
    with handed.cache(str(tmp_path / "arrays.plib")) as cache:
        assert cache.check() == []
    handed.cache.cache_clear()  # or each test leaves three descriptors


@pytest.fixture
def array(path: str) -> Any:
    """An array in that cache."""
    return handed.put(path, "a", np.arange(float(N)))


@pytest.fixture(autouse=True)
def nobody_waits() -> Iterator[None]:
    """What a test has sent and nobody fetched does not concern the next one."""
    yield
    _handing._kept.clear()
