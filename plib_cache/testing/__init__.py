# SPDX-License-Identifier: BSD-3-Clause
"""For tests of programs that use plib_cache: regions of their own, removed afterwards.

With pytest, name this module as a plugin in the ``conftest.py`` at the root, and ask for the
fixtures (``plib_cache.testing.fixtures`` has them)::

    pytest_plugins = "plib_cache.testing"

    def test_mine(shared_cache):
        shared_cache["key"] = "value"

Nothing of it is loaded in runs that do not name it.  Without pytest, use the functions below.

PYTEST_DONT_REWRITE: it may be imported before pytest takes it as a plugin.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from plib_cache import _shared
from plib_cache.cache import Cache

__all__ = ["check_nothing_held", "no_caching", "private_regions", "temporary_cache"]

pytest_plugins = "plib_cache.testing.fixtures"  # which pytest loads with this one


def new_folder() -> Path:
    """A new folder for regions, in memory where there is room for them."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="plib-cache-test-", dir=memory))


@contextlib.contextmanager
def private_regions(size: int | str = "16MiB") -> Iterator[Path]:
    """Let named and default caches be made in a new folder, which is removed afterwards.

    Args:
        size: of the default cache.

    Notes:
        Sets PLIB_CACHE_DIR meanwhile, so it holds for processes that are started in it too.
        Decorated functions begin with nothing, and go on with what they had before afterwards;
        those that were given a ``Cache`` keep it.
    """
    folder = new_folder()
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


@contextlib.contextmanager
def no_caching() -> Iterator[None]:
    """Let decorated functions of this process compute each time: nothing is found or stored.

    Notes:
        A ``Cache`` that is used directly does what it always does.  Processes that are started
        meanwhile cache, unless they are forked.
    """
    with _shared.no_caches():
        yield


def check_nothing_held(cache: Cache) -> None:
    """See that no process holds values of a cache in place, or room that it has reserved.

    Raises:
        AssertionError: some does; what nobody can reach any more is collected first.
    """
    gc.collect()
    stats = cache.stats()
    if stats.leased or stats.reserved:
        raise AssertionError(
            f"{stats.leased} bytes of {cache.path} are still held in place (view, "
            f"get(copy=False)), and {stats.reserved} are reserved: close or drop what holds them, "
            "and seal or abort reservations, before the test ends"
        )
