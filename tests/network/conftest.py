# SPDX-License-Identifier: BSD-3-Clause
"""Servers, and caches that stand for nodes: each has a region of its own, and shares the tiers."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from plib_cache import Cache
from plib_cache.remote.open import close_all

from . import servers

KEY = "a key that all nodes of a test share"


@pytest.fixture(autouse=True)
def tiers_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test has the tiers, the circuits or the key of another one."""
    monkeypatch.delenv("PLIB_CACHE_KEY", raising=False)
    monkeypatch.delenv("PLIB_CACHE_KEY_FILE", raising=False)
    close_all()
    yield
    close_all()


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes have the same key."""
    monkeypatch.setenv("PLIB_CACHE_KEY", KEY)


@pytest.fixture
def start(untested: Callable[[str], NoReturn]) -> Iterator[Callable[..., servers.Running]]:
    """``start("memcached" or "redis", ...)`` starts a server; see ``servers``."""
    with contextlib.ExitStack() as stack:

        def started(kind: str, *options: str, port: int = 0) -> servers.Running:
            if servers.missing(kind):
                untested(f"tiers of {kind}: there is no {kind} here")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plib-")))
            make: Any = getattr(servers, kind)
            server: servers.Running = make(folder, *options, port=port)
            stack.callback(server.stop)
            return server

        yield started


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Any]]:
    """The tiers of a dask cluster's two nodes, for all tests of a module."""
    pytest.importorskip("distributed")
    from .dask_tiers import tiers_of

    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="plib-cache-tests-") as folder,
        tiers_of(Path(folder), 2) as tiers,
    ):
        yield tiers


@pytest.fixture
def dask_tier(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Gives the tier of the one node and of the other by turns; nothing is stored in them."""
    tiers: list[Any] = request.getfixturevalue("cluster")
    assert tiers[0].clear()
    return itertools.cycle(tiers).__next__


@pytest.fixture
def node() -> Iterator[Callable[..., Cache]]:
    """``node(name, remote, ...)`` is a cache, as it were on a node of that name.

    Its tiers are its own, as those of another process would be; a function gives those of each.
    """
    with contextlib.ExitStack() as stack:

        def opened(name: str, remote: Any, **options: Any) -> Cache:
            close_all()  # the tiers of the caches before stay theirs
            given = {"size": "32MiB", "strict": True, **options}
            tiers = remote() if callable(remote) else remote
            cache = stack.enter_context(Cache(name, remote=tiers, **given))
            stack.callback(stack_of(cache).close)
            return cache

        yield opened


def stack_of(cache: Cache) -> Any:
    """The tiers of a cache."""
    tiers: Any = cache._tiers
    return tiers._stack
