# SPDX-License-Identifier: BSD-3-Clause
"""The fixtures of ``pytest_plugins = "plib_cache.testing"``.

They work the same under pytest-xdist: each test has a folder of its own, whatever process runs it,
and only ``run_cache`` is shared, by all processes of a run.

PYTEST_DONT_REWRITE: it may be imported before pytest takes it as a plugin.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plib_cache import testing
from plib_cache.cache import Cache

_RUN = pytest.StashKey[Path]()  # of the process that starts xdist's workers
_WORKER = "plib_cache_run"  # what it tells them


@pytest.fixture
def plib_cache_size() -> int | str:
    """How large the regions of a test are; define it anew to have others."""
    return "16MiB"


@pytest.fixture
def plib_cache_regions(plib_cache_size: int | str) -> Iterator[Path]:
    """The folder in which all named and default caches of this test are; removed afterwards.

    Decorated functions begin with nothing.  To have it in all tests, add to ``conftest.py``::

        @pytest.fixture(autouse=True)
        def regions(plib_cache_regions): ...
    """
    with testing.private_regions(plib_cache_size) as folder:
        yield folder


@pytest.fixture
def shared_cache(plib_cache_regions: Path, plib_cache_size: int | str) -> Iterator[Cache]:
    """A cache of the test's own, strict; processes that it starts find it by its name, "shared"."""
    with Cache("shared", size=plib_cache_size, strict=True) as cache:
        yield cache


@pytest.fixture
def no_plib_cache() -> Iterator[None]:
    """Decorated functions compute each time."""
    with testing.no_caching():
        yield


@pytest.fixture
def no_plib_cache_leaks(plib_cache_regions: Path) -> Iterator[None]:
    """The test fails if it leaves values that are held in place, or room that is reserved.

    All regions of the test are looked at: named and default caches, and ``shared_cache``.
    """
    yield
    for path in sorted(plib_cache_regions.iterdir()):
        if path.is_file():
            with Cache(path=path, create=False) as cache:
                testing.check_nothing_held(cache)


@pytest.fixture(scope="session")
def run_cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache for the whole run, which all workers of pytest-xdist share; removed afterwards.

    For what is dear to make and the same for all tests: ``run_cache.get_or_compute("model",
    train)`` trains once, however many workers there are.
    """
    told = getattr(request.config, "workerinput", {}).get(_WORKER)
    folder = testing.new_folder() if told is None else Path(told)
    folder.mkdir(mode=0o700, exist_ok=True)  # a worker on another machine has its own
    try:
        with Cache(path=folder / "run", size="256MiB") as cache:
            yield cache
    finally:
        if told is None:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist, before it starts, where the cache of the run is."""
    stash = node.config.stash
    if _RUN not in stash:
        stash[_RUN] = testing.new_folder()
    node.workerinput[_WORKER] = str(stash[_RUN])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the cache of the run, after the last worker has ended."""
    if _RUN in config.stash:
        shutil.rmtree(config.stash[_RUN], ignore_errors=True)
