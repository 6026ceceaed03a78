# SPDX-License-Identifier: BSD-3-Clause
"""The pytest plugin with which the tests of others run: joblib's own store is replaced by ours.

    PYTHONPATH=tests:build/joblib-1.5.3 python -m pytest -p upstream.plugin --replace backend
        --expect 1.5.3 --pyargs joblib.test.test_memory ...

A test that is skipped has failed, and so has a run that never made a store of ours: what is to be
shown is that the tests hold with this store, not that nothing objects.  ``judge`` sees to it.
"""

from __future__ import annotations

import datetime
import inspect
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import pytest

import plib_cache.integrations.joblib as plib
from plib_cache.integrations.joblib import _region

from .judge import Judge, names_of
from .table import CLOCKED, expected

ROOTS = ("joblib", "plib_cache.integrations.joblib")  # whose modules ask what time it is


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is replaced, and which of the tests run."""
    parser.addoption("--replace", choices=sorted(REPLACE), required=True)
    parser.addoption("--expect", metavar="VERSION", help="the table's failures of this joblib")
    parser.addoption("--mention", metavar="REGEX", help="only tests whose source matches")


def pytest_configure(config: pytest.Config) -> None:
    """Replace what is to be replaced, before any test module is imported."""
    config.addinivalue_line("markers", "thread_unsafe: joblib's, for runs in several threads")
    REPLACE[config.getoption("--replace")]()
    version = config.getoption("--expect")
    named = (expected(version), CLOCKED) if version else ({}, ())
    judge = Judge(f"joblib {version}", *named)
    judge.watch(plib.PlibStoreBackend, "configure")
    config.pluginmanager.register(judge)


def _replace_backend() -> None:
    joblib.memory._STORE_BACKENDS["local"] = plib.PlibStoreBackend


def _replace_memory() -> None:
    joblib.Memory = joblib.memory.Memory = plib.Memory


REPLACE = {"backend": _replace_backend, "memory": _replace_memory}


def _replace_in(module: Any, how: str) -> None:
    """Replace what a module of joblib's tests has itself: stores, and programs that it starts."""
    if module.__name__ == "joblib.test.test_store_backends":
        module.FileSystemStoreBackend = plib.PlibStoreBackend
    if hasattr(module, "_JUPYTER_SESSION"):
        first = f"from upstream import plugin; plugin.REPLACE[{how!r}]()\n"
        module._JUPYTER_SESSION = first + module._JUPYTER_SESSION


# ---- which tests ---------------------------------------------------------------------------------


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --mention: leave out, unread, the modules in which nothing matches."""
    mention = config.getoption("--mention")
    if mention is None or collection_path.suffix != ".py" or collection_path.stem == "conftest":
        return None
    return not re.search(mention, collection_path.read_text(encoding="utf-8")) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    """With --mention: leave out the tests in which nothing matches."""
    if mention := config.getoption("--mention"):
        items[:] = [item for item in items if re.search(mention, inspect.getsource(item.function))]
    for module in {item.module for item in items}:
        _replace_in(module, config.getoption("--replace"))


# ---- what they ask of their surroundings ---------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Any]:
    """joblib's tests ask for it up to 1.5; theirs is in a file that is not installed."""
    made = joblib.Memory(tmp_path, verbose=0)
    yield made
    made.clear()


@pytest.fixture(autouse=True)
def untold() -> None:
    """Each test hears the warnings that are given once in a process."""
    _region._warned.clear()


class PlayedClock:
    """A clock that sleeping moves on, and a millisecond each look."""

    def __init__(self) -> None:
        self._now = time.time()

    def time(self) -> float:
        """What time it is."""
        self._now += 0.001
        return self._now

    def sleep(self, seconds: float) -> None:
        """Later, at once."""
        self._now += seconds


@pytest.fixture(autouse=True)
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that measure time do so with a clock of their own."""
    if names_of(request.node)[0] not in CLOCKED:
        return
    played = PlayedClock()
    monkeypatch.setattr(time, "time", played.time)
    monkeypatch.setattr(time, "sleep", played.sleep)

    class PlayedDate(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> PlayedDate:
            return cls.fromtimestamp(played.time(), tz)

    dates = SimpleNamespace(**{**vars(datetime), "datetime": PlayedDate})
    for name, module in list(sys.modules.items()):
        if name.startswith(ROOTS) and vars(module).get("datetime") is datetime:
            monkeypatch.setattr(module, "datetime", dates)
