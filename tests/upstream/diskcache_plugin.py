# SPDX-License-Identifier: BSD-3-Clause
"""The pytest plugin with which diskcache's own tests run: its ``Cache`` is replaced by ours.

    PYTHONPATH=tests python -m pytest -p upstream.diskcache_plugin FOLDER/test_core.py

``FanoutCache`` and the recipes are diskcache's own, over our caches.  A test that is skipped has
failed, and so has a run that made no cache of ours.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import diskcache
import diskcache.core
import diskcache.fanout
import pytest

import plib_cache.integrations.diskcache as ours
from plib_cache.integrations.diskcache import _region

from .diskcache_table import EXPECTED, STRETCH, STRETCHED

REPLACED = ("Cache", "Disk", "JSONDisk", "Timeout", "UNKNOWN")
made: list[object] = []  # the caches of ours


def pytest_configure() -> None:
    """Replace what is to be replaced, before any test module is imported."""
    for module in (diskcache, diskcache.core, diskcache.fanout):
        for name in REPLACED:
            if hasattr(module, name):
                setattr(module, name, getattr(ours, name))
    _region._MEMORY = tempfile.gettempdir()  # some of their tests leave their folders there
    fanout: Any = diskcache.FanoutCache
    *others, _ = fanout.__init__.__defaults__
    fanout.__init__.__defaults__ = (*others, ours.Disk)
    kind: Any = ours.Cache
    begin = kind.__init__

    def noted(self: Any, *args: Any, **options: Any) -> None:
        made.append(1)
        begin(self, *args, **options)

    kind.__init__ = noted


def name_of(item: pytest.Item) -> str:
    """The name of a test with its file."""
    return f"{item.path.name}::{item.name.partition('[')[0]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is listed exists, of the files that are there."""
    names, files = set(map(name_of, items)), {item.path.name for item in items}
    listed = {name for name in (*EXPECTED, *STRETCHED) if name.partition("::")[0] in files}
    if missing := listed - names:
        raise pytest.UsageError(f"diskcache has no tests {sorted(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A listed test must fail as listed, and no other may be skipped."""
    report = yield
    listed = EXPECTED.get(name_of(item))
    says = str(call.excinfo.value) if call.excinfo else None
    if listed is not None and call.when == "call" and report.passed:
        report.outcome, report.longrepr = "failed", f"passes, so it must not be listed: {listed}"
    elif listed is not None and says is not None and re.search(listed.says, says):
        report.outcome, report.wasxfail = "skipped", listed.why
    elif report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped: {says}"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run without any cache of ours has shown nothing."""
    if not made:
        print("\nno test has made a cache of plib_cache", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def stretched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the seconds of some tests take longer: those that they sleep, and of expiry."""
    if name_of(request.node) not in STRETCHED:
        return
    kind: Any = ours.Cache
    store = kind.set

    def later(self: Any, key: Any, value: Any, expire: Any = None, **options: Any) -> Any:
        return store(self, key, value, None if expire is None else expire * STRETCH, **options)

    clock = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(seconds * STRETCH))
    monkeypatch.setattr(request.module, "time", clock)
    monkeypatch.setattr(kind, "set", later)
