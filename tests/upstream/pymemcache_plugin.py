# SPDX-License-Identifier: BSD-3-Clause
"""The pytest plugin with which pymemcache's own tests run: its client is ours, without a socket.

A client that is given the name of a host has a region of its own, as it has a socket of its own in
those tests; those that are given an address and a port share one, which is empty at first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pymemcache.client.base
import pymemcache.client.hash
import pytest

from plib_cache import Cache
from plib_cache.integrations.pymemcache import Client
from plib_cache.testing import private_regions

from .judge import Judge, names_of
from .pymemcache_table import EXPECTED, NOT_RUN

numbers = itertools.count()
SIZE = "8MiB"


class Ours(Client):
    """Takes pymemcache's addresses: each is a region of the test that runs."""

    def __init__(self, server: Any, *rest: Any, **options: Any) -> None:
        its = "shared" if isinstance(server, tuple) else f"alone-{next(numbers)}"
        super().__init__(its, *rest, **options)
        self.its, self.server = its, server

    def _cache(self) -> Cache:
        return Cache(self.its, size=SIZE)


def pytest_configure(config: pytest.Config) -> None:
    """Replace the client before any test module is imported."""
    for marker in ("unit", "integration"):
        config.addinivalue_line("markers", f"{marker}: pymemcache's")
    judge = Judge("pymemcache", EXPECTED)
    judge.watch(Ours, "_cache")
    config.pluginmanager.register(judge)
    pymemcache.client.base.Client = Ours
    pymemcache.client.base.PooledClient.client_class = Ours
    pymemcache.client.hash.HashClient.client_class = Ours


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Leave out what is only about sockets, which is there."""
    parts = {item: set(names_of(item)[0].split("::")) for item in items}
    if unknown := NOT_RUN.keys() - set().union(*parts.values()):
        raise pytest.UsageError(f"pymemcache has no tests {sorted(unknown)}")
    items[:] = [item for item in items if not NOT_RUN.keys() & parts[item]]


@pytest.fixture(autouse=True)
def regions() -> Iterator[None]:
    """Each test has regions of its own."""
    with private_regions():
        yield
