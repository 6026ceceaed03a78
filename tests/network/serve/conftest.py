# SPDX-License-Identifier: BSD-3-Clause
"""Conversations over a region of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from network import servers
from plib_cache import Cache
from plib_cache.serve import Conversation, Counts, Limits, Store

from .talking import Memcached


@pytest.fixture
def cache() -> Iterator[Cache]:
    """A cache that is served, and is sound in the end."""
    with Cache("served", size="32MiB", strict=True) as opened:
        yield opened
        assert opened.check() == []


@pytest.fixture
def converse(cache: Cache) -> Callable[..., Conversation]:
    """``converse()`` is a new connection to the cache; see ``Conversation``."""
    counts = Counts()

    def begin(limits: Limits | None = None, **options: Any) -> Conversation:
        return Conversation(
            Store(cache), limits or Limits(), options.pop("counts", counts), **options
        )

    return begin


@pytest.fixture(scope="session")
def one_memcached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Running | None]:
    """A memcached of the version whose answers are ours; None: there is none on this machine."""
    found = None
    if not servers.missing("memcached"):
        said = subprocess.run(["memcached", "-V"], capture_output=True, text=True, check=True)
        if "1.6.18" in said.stdout:
            found = servers.memcached(tmp_path_factory.mktemp("memcached"), "-W")
    yield found
    if found is not None:
        found.stop()


@pytest.fixture
def memcached(
    one_memcached: servers.Running | None, untested: Callable[[str], NoReturn]
) -> servers.Running:
    """It, with nothing in it."""
    if one_memcached is None:
        untested("what memcached 1.6.18 answers, and serve: there is none here")
    cleaner = Memcached(one_memcached.where)
    cleaner.say(b"flush_all\r\n")
    cleaner.close()
    return one_memcached
