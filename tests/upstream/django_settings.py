# SPDX-License-Identifier: BSD-3-Clause
"""The settings with which Django's own tests run: its cache in local memory is ours.

    PYTHONPATH=tests python build/django-tests/runtests.py --settings=upstream.django_settings
        --parallel=1 -v 2 cache.tests.LocMemCacheTests ...

What is replaced is the backend of which Django's tests have the most: besides the tests of every
backend (``BaseCacheTests``), those of the middleware, of pages, templates and sessions use it.
"""

from __future__ import annotations

import atexit
import collections
import re
import time
from typing import Any

from django.core.cache.backends import locmem
from test_sqlite import *  # noqa: F403 - Django's settings for its tests

from plib_cache.integrations.django import PlibCache
from plib_cache.serve import Store
from plib_cache.testing import private_regions

calls: collections.Counter[str] = collections.Counter()


class Deadlines:
    """In the place of the moments that the backend in local memory writes down."""

    def __init__(self, cache: Any) -> None:
        self._store = Store(cache)

    def __getitem__(self, key: str) -> int | None:
        entry = self._store.get(key.encode())
        assert entry is not None
        return entry.deadline_ms or None


class Ours(PlibCache):  # type: ignore[misc]
    """In the place of Django's ``LocMemCache``, small, and for places of its kind.

    Its tests give one cache the memory of another one, which ours have by their place.
    """

    def __init__(self, name: Any, params: dict[str, Any]) -> None:
        given = {**params, "OPTIONS": {"size": "8MiB", **params.get("OPTIONS", {})}}
        super().__init__(re.sub(r"\W", "-", str(name)) if name else "", given)

    @property
    def _cache(self) -> Any:
        calls["all"] += 1
        return super()._cache

    @_cache.setter
    def _cache(self, cache: Any) -> None:
        assert cache is self._cache

    @property
    def _expire_info(self) -> Deadlines:
        return Deadlines(self._cache)

    @_expire_info.setter
    def _expire_info(self, _moments: Deadlines) -> None:
        pass


_sleep = time.sleep


def sleep(seconds: float) -> None:
    """A region reads the clock as the kernel last set it, up to 4 ms ago, and one of the tests
    wants a second of lifetime to end within the same millisecond."""
    _sleep(seconds + 0.02)


time.sleep = sleep
locmem.LocMemCache = Ours
_regions = private_regions()
_regions.__enter__()
atexit.register(lambda: print(f"calls of plib_cache: {calls['all']}", flush=True))
atexit.register(_regions.__exit__, None, None, None)
