# SPDX-License-Identifier: BSD-3-Clause
"""For tests of programs that use plib_cache: regions of their own, removed afterwards.

With pytest::

    import pytest
    from plib_cache.testing import private_regions

    @pytest.fixture(autouse=True)
    def regions():
        with private_regions():
            yield
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from plib_cache import _shared
from plib_cache.cache import Cache

__all__ = ["private_regions", "temporary_cache"]


@contextlib.contextmanager
def private_regions(size: int | str = "16MiB") -> Iterator[Path]:
    """Let named and default caches be made in a new folder, which is removed afterwards.

    Args:
        size: of the default cache.

    Notes:
        Sets PLIB_CACHE_DIR meanwhile, so it holds for processes that are started in it too.
        Decorated functions that were called before keep the cache that they have.
    """
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="plib-cache-test-", dir=memory))
    outer = os.environ.get("PLIB_CACHE_DIR")
    os.environ["PLIB_CACHE_DIR"] = str(folder)
    with _shared.other_caches(size=size):
        try:
            yield folder
        finally:
            if outer is None:
                del os.environ["PLIB_CACHE_DIR"]
            else:
                os.environ["PLIB_CACHE_DIR"] = outer
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def temporary_cache(size: int | str = "16MiB", *, strict: bool = True) -> Iterator[Cache]:
    """A cache of its own, strict if not told otherwise, removed afterwards."""
    with private_regions(), Cache("temporary", size=size, strict=strict) as cache:
        yield cache
