# SPDX-License-Identifier: BSD-3-Clause
"""The pytest plugin with which pymemcache's own tests run: its client is ours, without a socket.

A client that is given the name of a host has a region of its own, as it has a socket of its own in
those tests; those that are given an address and a port share one, which is empty at first.

A test that is listed must fail as listed; one that is not must pass, and not be skipped.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pymemcache.client.base
import pymemcache.client.hash
import pytest

from plib_cache import Cache
from plib_cache.integrations.pymemcache import Client
from plib_cache.testing import private_regions

from .pymemcache_table import EXPECTED, NOT_RUN

numbers = itertools.count()
made: list[object] = []  # clients of ours that were used
SIZE = "8MiB"


class Ours(Client):
    """Takes pymemcache's addresses: each is a region of the test that runs."""

    def __init__(self, server: Any, *rest: Any, **options: Any) -> None:
        its = "shared" if isinstance(server, tuple) else f"alone-{next(numbers)}"
        super().__init__(its, *rest, **options)
        self.its, self.server = its, server

    def _cache(self) -> Cache:
        made.append(self)
        return Cache(self.its, size=SIZE)


def pytest_configure(config: pytest.Config) -> None:
    """Replace the client before any test module is imported."""
    for marker in ("unit", "integration"):
        config.addinivalue_line("markers", f"{marker}: pymemcache's")
    pymemcache.client.base.Client = Ours
    pymemcache.client.base.PooledClient.client_class = Ours
    pymemcache.client.hash.HashClient.client_class = Ours


def name_of(item: pytest.Item) -> str:
    """The name of a test in its module, without parameters."""
    return item.nodeid.partition("::")[2].partition("[")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Leave out what is only about sockets.  All that is listed exists."""
    parts = {part for item in items for part in name_of(item).split("::")}
    unknown = NOT_RUN.keys() - parts | EXPECTED.keys() - set(map(name_of, items))
    if unknown:
        raise pytest.UsageError(f"pymemcache has no tests {sorted(unknown)}")
    items[:] = [item for item in items if not NOT_RUN.keys() & set(name_of(item).split("::"))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A listed test must fail as listed, and no other may be skipped."""
    report = yield
    listed = EXPECTED.get(name_of(item))
    says = str(call.excinfo.value) if call.excinfo else ""
    if listed is not None and call.when == "call" and report.passed:
        report.outcome, report.longrepr = "failed", f"passes, so it must not be listed: {listed}"
    elif listed is not None and report.failed and re.search(listed.says, says):
        report.outcome, report.wasxfail = "skipped", listed.reason
    elif report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped: {says}"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run without any client of ours has shown nothing."""
    if not made:
        print("\nno test has used a client of plib_cache", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def regions() -> Iterator[None]:
    """Each test has regions of its own."""
    with private_regions():
        yield
