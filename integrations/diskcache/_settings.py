# SPDX-License-Identifier: BSD-3-Clause
"""The settings of a cache, in a small file beside its region, for all processes.

All of diskcache's are there and keep what they are given.  What each does is in
docs/migration-diskcache.md; those of SQLite, ``tag_index``, ``cull_limit`` and the choice among the
policies of eviction do nothing, for a region has other means.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plib_cache import ConfigurationError

DEFAULT_SETTINGS: dict[str, Any] = {
    "statistics": 0,
    "tag_index": 0,
    "eviction_policy": "least-recently-stored",
    "size_limit": 2**30,
    "cull_limit": 10,
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 2**13,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 2**26,
    "sqlite_synchronous": 1,
    "disk_min_file_size": 2**15,
    "disk_pickle_protocol": pickle.HIGHEST_PROTOCOL,
}
METADATA = ("count", "size", "hits", "misses")
_POLICIES = ("least-recently-stored", "least-recently-used", "least-frequently-used")
_SMALLEST = 4 << 20  # bytes of a region
_FILE = "settings.json"


def check_setting(name: str, value: Any) -> Any:
    """The value of a setting, if it can have it.

    Raises:
        ConfigurationError: there is no such setting, or it cannot be had here.
    """
    if name not in DEFAULT_SETTINGS and not name.startswith("disk_"):
        raise ConfigurationError(
            f"there is no setting {name!r}: use {', '.join(DEFAULT_SETTINGS)}, or disk_... for "
            "arguments of the disk"
        )
    if name == "eviction_policy" and value not in _POLICIES:
        raise ConfigurationError(
            f"eviction_policy={value!r}: use one of {', '.join(_POLICIES)}. A region that is full "
            "always makes room, so nothing in it is kept for ever: give it a size_limit above what "
            "it will hold, and keep what must not be lost in a database"
        )
    if name == "size_limit" and not (isinstance(value, (int, float)) and value >= 0):
        raise ConfigurationError(f"size_limit={value!r}: give a number of bytes")
    return value


def region_size(size_limit: float) -> int:
    """The size of a new region, in bytes."""
    return max(_SMALLEST, int(size_limit))


def load(directory: str) -> dict[str, Any]:
    """The settings of a directory; none, if it is new or they cannot be read."""
    try:
        found = json.loads((Path(directory) / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def save(directory: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Change the settings of a directory, and return all of them; one process after the other.

    Raises:
        OSError: they cannot be written.
        TypeError: a value has no JSON.
    """
    folder = Path(directory)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        settings = {**load(directory), **given}
        new = folder / f"{_FILE}.{os.getpid()}"
        new.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        new.replace(folder / _FILE)
        return settings
    finally:
        os.close(lock)
