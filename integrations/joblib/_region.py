# SPDX-License-Identifier: BSD-3-Clause
"""Where the results of a ``joblib.Memory`` are: which region, opened once in a process.

The region is the file ``region.plib`` in the folder "joblib" of the location.  Where that cannot
be (a file system that cannot hold a region, a folder that others may write), it is a region in
the machine's memory, named after the location, and one warning says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from plib_cache import (
    Cache,
    ConfigurationError,
    CorruptRegionError,
    LayoutMismatchError,
    PlibCacheWarning,
    config,
)
from plib_cache.integrations._regions import attach_or_create
from plib_cache.integrations._telling import tell
from plib_cache.remote.options import parse as parse_remote
from plib_cache.serialize import DefaultSerializer, Encoded

SHARED = "plib:"  # begins the location of a region of the node, which others use as well
SIZE_MAX = 8 << 30
EXPECTED_ENTRY = 4096
_UNUSABLE = (ConfigurationError, CorruptRegionError, LayoutMismatchError)
OPTIONS = ("size", "expected_entry", "trust", "protection", "memory", "remote")


class Measured(DefaultSerializer):
    """The serializer of all values, which remembers how large the last one was."""

    def __init__(self, trust: Any) -> None:
        super().__init__(trust)
        self._last = threading.local()

    @property
    def nbytes(self) -> int:
        """The size of the last value that this thread stored."""
        return getattr(self._last, "nbytes", 0)

    def dumps(self, value: object) -> Encoded:
        """The value as bytes."""
        encoded = super().dumps(value)
        self._last.nbytes = encoded.nbytes
        return encoded


class Opened(NamedTuple):
    """A region that this process has open, twice."""

    cache: Cache  # to read, at the pace of plain serializers; without the other machines
    writer: Cache  # with the serializer that measures, and with the other machines if there are any
    measure: Measured
    remote: Any = None

    @property
    def shared(self) -> Cache:
        """Where results and what is known of them are stored, for other machines too."""
        return self.cache if self.remote is None else self.writer

    def fetched(self, name: str | bytes, default: Any, copy: Any = True) -> Any:
        """What other machines have under a name that this one does not have."""
        return default if self.remote is None else self.writer.get(name, default, copy=copy)


class _Place(NamedTuple):
    """Which region, and which other machines."""

    location: str
    memory: bool
    remote: Any


# Opening twice is harmless, so no lock is needed (which a fork could leave locked).  It is here and
# not in the backend, so that a backend is only data.
_opened: dict[_Place, Opened] = {}
_in_files: dict[str, Opened] = {}  # those of them that have no other machines, for speed
_warned: set[str] = set()


def checked_options(given: dict[str, Any]) -> dict[str, Any]:
    """The options that there are, if they make sense; a warning for those that there are not.

    Raises:
        ConfigurationError: one makes no sense.
    """
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        text = f"backend 'plib' has no options {unknown}: it has {list(OPTIONS)}"
        warnings.warn(text, stacklevel=5)
    if given.get("size") is not None:
        config.parse_size(given["size"])
    config.check_trust(given.get("trust"))
    config.check_protection(given.get("protection") or "auto")
    if given.get("remote") is not None:
        parse_remote(given["remote"])
    return {name: given[name] for name in OPTIONS if name in given}


def region_folder(location: str) -> Path:
    """The folder of a location's region, with its links resolved."""
    folder = Path(os.path.realpath(location))
    return folder if folder.name == "joblib" else folder / "joblib"


def memory_name(location: str) -> str:
    """The name of the region in memory that stands for a location."""
    place = os.fsencode(region_folder(location).parent)
    return "joblib-" + hashlib.blake2b(place, digest_size=16).hexdigest()


def opened(location: str, options: dict[str, Any]) -> Opened:
    """The region of a location, opened at first use and again if its file was removed.

    Raises:
        PlibCacheError: there is none that can be used.
    """
    if not (options.get("memory") or options.get("remote")):
        found = _in_files.get(location)
        if found is None or found.cache.removed():
            found = _in_files[location] = _open(location, options)
        return found
    remote = options.get("remote")
    remote = tuple(remote) if isinstance(remote, list) else remote
    place = _Place(location, bool(options.get("memory")), remote)
    found = _opened.get(place)
    if found is None or found.cache.removed():
        found = _opened[place] = _open(location, options)
    return found


def _open(location: str, options: dict[str, Any]) -> Opened:
    trust = config.check_trust(options.get("trust"))
    given: dict[str, Any] = {
        "trust": trust,
        "expected_entry": options.get("expected_entry") or EXPECTED_ENTRY,
        "protection": options.get("protection") or "auto",
        "immutable": True,  # an item is named after what it was computed from
    }
    cache = _in_file(location, options, given)
    measure, remote = Measured(trust), options.get("remote")
    also = {} if remote is None else {"remote": remote, "trust": options.get("trust")}
    writer = Cache(path=cache.path, serializer=measure, immutable=True, create=False, **also)
    return Opened(cache, writer, measure, remote)


def _in_file(location: str, options: dict[str, Any], given: dict[str, Any]) -> Cache:
    if location.startswith(SHARED):
        name = location[len(SHARED) :]
        return attach_or_create(options.get("size"), name=name, **given)
    if options.get("memory"):
        return _in_memory(location, options, given)
    folder = region_folder(location)
    try:
        make_folder(folder)
        size = options.get("size") or default_size(folder)
        return attach_or_create(size, path=folder / "region.plib", **given)
    except (*_UNUSABLE, OSError) as error:
        cache = _in_memory(location, options, given)
        warn_once(
            f"the results of {location} are kept in memory only, as {cache.path}, and are gone "
            f"when the machine restarts: {error}"
        )
        return cache


def _in_memory(location: str, options: dict[str, Any], given: dict[str, Any]) -> Cache:
    return attach_or_create(options.get("size"), name=memory_name(location), **given)


def make_folder(folder: Path) -> None:
    """Make the folder of a region, which git is told to leave alone."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    ignore = folder / ".gitignore"
    with contextlib.suppress(OSError), ignore.open("x", encoding="utf-8") as file:
        file.write("# Made by plib_cache.\n*\n")


def default_size(folder: Path) -> int:
    """8 GiB, or half of what is free there if that is less; bytes."""
    usage = os.statvfs(folder)
    return min(SIZE_MAX, usage.f_bavail * usage.f_frsize // 2 & -4096)


def warn_once(text: str, category: type[Warning] = PlibCacheWarning, subject: str = "") -> None:
    """Warn of a subject (by itself: of a text) once in this process."""
    if (subject or text) not in _warned:
        _warned.add(subject or text)
        tell(text, 3, category)
