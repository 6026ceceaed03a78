# SPDX-License-Identifier: BSD-3-Clause
"""The pytest plugin with which diskcache's own tests run: its ``Cache`` is replaced by ours.

    PYTHONPATH=tests python -m pytest -p upstream.diskcache_plugin FOLDER/test_core.py

``FanoutCache`` and the recipes are diskcache's own, over our caches.
"""

from __future__ import annotations

import tempfile
import time
from types import SimpleNamespace
from typing import Any

import diskcache
import diskcache.core
import diskcache.fanout
import pytest

import plib_cache.integrations.diskcache as ours
from plib_cache.integrations.diskcache import _region

from .diskcache_table import EXPECTED, STRETCH, STRETCHED
from .judge import Judge, names_of

REPLACED = ("Cache", "Disk", "JSONDisk", "Timeout", "UNKNOWN")


def pytest_configure(config: pytest.Config) -> None:
    """Replace what is to be replaced, before any test module is imported."""
    for module in (diskcache, diskcache.core, diskcache.fanout):
        for name in REPLACED:
            if hasattr(module, name):
                setattr(module, name, getattr(ours, name))
    _region._MEMORY = tempfile.gettempdir()  # some of their tests leave their folders there
    fanout: Any = diskcache.FanoutCache
    *others, _ = fanout.__init__.__defaults__
    fanout.__init__.__defaults__ = (*others, ours.Disk)
    judge = Judge("diskcache", EXPECTED, STRETCHED)
    judge.watch(ours.Cache, "__init__")
    config.pluginmanager.register(judge)


@pytest.fixture(autouse=True)
def stretched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the seconds of some tests take longer: those that they sleep, and of expiry."""
    if names_of(request.node)[1] not in STRETCHED:
        return
    kind: Any = ours.Cache
    store = kind.set

    def later(self: Any, key: Any, value: Any, expire: Any = None, **options: Any) -> Any:
        return store(self, key, value, None if expire is None else expire * STRETCH, **options)

    clock = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(seconds * STRETCH))
    monkeypatch.setattr(request.module, "time", clock)
    monkeypatch.setattr(kind, "set", later)
