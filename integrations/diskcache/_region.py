# SPDX-License-Identifier: BSD-3-Clause
"""Where a cache is: the regions ``cache.plib`` and ``state.plib`` of its directory.

The second one is made at need, for counts and queues, which are no entries.  Where the directory
cannot hold regions (a network or copy-on-write file system, a folder that others may write), both
are in the machine's memory, named after the directory, and one warning says so.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from plib_cache import (
    Cache,
    ConfigurationError,
    CorruptRegionError,
    LayoutMismatchError,
)
from plib_cache.integrations._regions import attach_or_create
from plib_cache.integrations._telling import tell

ENTRIES, STATE = "cache.plib", "state.plib"
STATE_SIZE = 4 << 20
_UNUSABLE = (ConfigurationError, CorruptRegionError, LayoutMismatchError)
_MEMORY = "/dev/shm"
_told: set[str] = set()


def warn_once(text: str) -> None:
    """Say something once in this process."""
    if text not in _told:
        _told.add(text)
        tell(text, stacklevel=5)


def made_directory(directory: object) -> str:
    """The directory of a cache, made if it is missing; a new one in memory for None.

    Raises:
        OSError: it cannot be made.
    """
    if directory is None:
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        return tempfile.mkdtemp(prefix="diskcache-", dir=memory)
    made = os.path.expandvars(os.path.expanduser(os.fspath(directory)))  # type: ignore[call-overload] # noqa: PTH111
    if not os.path.isdir(made):  # noqa: PTH112
        try:
            os.makedirs(made, 0o755, exist_ok=True)  # noqa: PTH103
        except OSError as error:
            raise OSError(
                error.errno,
                f'the cache directory "{made}" does not exist and cannot be made '
                f"({error.strerror}): make it, or give another one",
            ) from None
    return str(made)


def opened(directory: str, file: str, size: int, **options: Any) -> Cache:
    """A region of a directory, made with that size if there is none.

    Raises:
        PlibCacheError: there is none that can be used.
    """
    try:
        return attach_or_create(size, path=Path(directory) / file, **options)
    except _UNUSABLE as error:
        if not Path(directory).is_dir():
            raise  # somebody has removed it: that is no reason to go on elsewhere
        cache = attach_or_create(size, name=memory_name(directory, file), **options)
        warn_once(
            f"the cache of {directory} is kept in memory only, as {cache.path}, and is gone when "
            f"the machine restarts: {error}"
        )
        return cache


def memory_name(directory: str, file: str) -> str:
    """The name of the region in memory that stands for one of a directory."""
    place = os.fsencode(os.path.realpath(directory))
    return f"diskcache-{hashlib.blake2b(place, digest_size=16).hexdigest()}-{Path(file).stem}"
