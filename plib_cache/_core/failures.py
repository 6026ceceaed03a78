# SPDX-License-Identifier: BSD-3-Clause
"""What the core refuses, as exceptions: one table from status to class and message.

Every message says what happened, with the numbers, and what to do.  The table is the only place
that knows which status is which exception.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from plib_cache._core import folders
from plib_cache._protection import why_unprotected
from plib_cache.exceptions import (
    BusyError,
    ClosedError,
    ConfigurationError,
    CorruptRegionError,
    LayoutMismatchError,
    ProtectionUnavailableError,
    RegionFullError,
    ValueTooLargeError,
)

_PASSING = (errno.EMFILE, errno.ENFILE, errno.EAGAIN)


class RegionAbsentError(ConfigurationError):
    """There is no region, and it was not to be created."""


class SizeDiffersError(ConfigurationError):
    """The region exists with another size than the one asked for."""


class Facts(NamedTuple):
    """What is known about a failed call; each message uses what it needs."""

    path: str = ""
    key: bytes = b""
    nbytes: int = 0
    value_max: int = 0
    places: int = 0
    errno: int = 0
    owner: int = 0
    a: int = 0
    b: int = 0
    grows: bool = False
    pool: int = 0
    leased: int = 0
    reserved: int = 0

    def with_limits(self, value_max: int, places: int) -> Facts:
        """The same, and what the region's limits are."""
        return self._replace(value_max=value_max, places=places)

    def with_holders(self, pool: int, leased: int, reserved: int) -> Facts:
        """The same, and what of the region cannot give way to anything."""
        return self._replace(pool=pool, leased=leased, reserved=reserved)

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)  # noqa: PTH120 - a str is wanted


def _full(f: Facts) -> str:
    if f.b:
        return (
            f"no room could be made: growth stopped at {f.a} of {f.b} bytes, because {f.folder} "
            "is full: free some space there (or raise `ulimit -f`, if no file may be larger)"
        )
    if f.leased or f.reserved:
        return (
            f"no room could be made: of the {f.pool} bytes that entries can have, {f.leased} are "
            f"leased and {f.reserved} reserved, which makes the rest short or scattered: let go of "
            "views and arrays that were got without a copy, seal or abort reservations, or use a "
            "larger region"
        )
    return (
        "no room could be made: everything is in use by others right now: try again, or use a "
        "larger region"
    )


def _no_slot(f: Facts) -> str:
    places = f"all {f.places} places" if f.places else "every place"
    return (
        f"{f.path}: as many processes are attached as the region has places for ({places} "
        "taken): end some of them, or let them share a second region under another name"
    )


def _unsafe_file(f: Facts) -> str:
    return (
        f"{f.path}: a region must be a regular file of your own with one name, and this is a "
        f"symbolic link, a folder, a file with several names, or one of {folders.user(f.owner)}: "
        "choose another path, where nothing is yet"
    )


def _unsafe_folder(f: Facts) -> str:
    return (
        f"{f.folder}: a region's folder must be your own and writable by nobody else; "
        f"{folders.why_unsafe(f.folder, f.owner)}"
    )


def _too_large(f: Facts) -> str:
    what = f"a value of {f.nbytes} bytes can never be stored here"
    if f.grows:
        what = f"key {f.key!r:.80}: with {f.nbytes} bytes more the value would be too large"
    return (
        f"{what}: the limit (value_max) of this "
        f"region is {f.value_max} bytes: open a region with a larger size="
    )


def _no_space(f: Facts) -> str:
    if not f.a:
        return (
            f"{f.path}: its folder has no room for one more file (is it out of inodes? `df -i`): "
            "remove some, or choose another folder"
        )
    return (
        f"{f.path}: it does not fit into its folder: {f.a} bytes are needed and {f.b} are free: "
        "free some, or ask for a smaller size="
    )


def _layout(f: Facts) -> str:
    return (
        f"{f.path} was made by another version of plib_cache (its layout is {f.a:#018x}, this one "
        f"has {f.b:#018x}): use the version that made it, or remove it: `plib-cache rm {f.path}`"
    )


def _size(f: Facts) -> str:
    return (
        f"{f.path} exists with a size of {f.a} bytes, and {f.b} were asked for: an existing region "
        f"keeps its size: leave size= out, or remove the region: `plib-cache rm {f.path}`"
    )


def _corrupt(f: Facts) -> str:
    return (
        f"{f.path} is truncated or its fixed part contradicts itself: remove it and let it be "
        f"made anew: `plib-cache rm {f.path}`"
    )


def _system(f: Facts) -> str:
    if f.errno == errno.EAGAIN:
        return f"{f.path}: another process holds the folder's lock (is one stopped?): try again"
    if f.errno in (errno.EMFILE, errno.ENFILE):
        return (
            f"{f.path}: no file can be opened ({os.strerror(f.errno)}): close some, or raise the "
            "limit (`ulimit -n`); a region takes three for as long as it is open"
        )
    if f.errno == errno.EFBIG:
        return (
            f"{f.path}: no file may be as large as an empty region: raise the limit (`ulimit -f`), "
            "which stops growth too"
        )
    why = os.strerror(f.errno) if f.errno else "the system refused"
    return f"{f.path}: {why}: run `plib-cache doctor`, which examines the machine"


# By the name that plc.h gives the status, without its prefix.
_TABLE: dict[str, tuple[type[Exception], Callable[[Facts], str]]] = {
    "FULL": (RegionFullError, _full),
    "TOO_LARGE": (ValueTooLargeError, _too_large),
    "BUSY": (
        BusyError,
        lambda f: (
            f"key {f.key!r:.80}: gave way to other writers for 250 ms; nothing was changed: "
            "try again"
        ),
    ),
    "NOT_A_NUMBER": (
        ValueError,
        lambda f: (
            f"key {f.key!r:.80}: the value is no whole number from 0 to 2**64 - 1, so it "
            "cannot be counted up or down: set it to one first"
        ),
    ),
    "WRONG_TYPE": (
        TypeError,
        lambda f: (
            f"key {f.key!r:.80}: the value is not bytes, so nothing can be appended or "
            "prepended: set it to bytes first"
        ),
    ),
    "NO_SLOT": (RegionFullError, _no_slot),
    "NO_MEMORY": (
        ConfigurationError,
        lambda f: (
            f"{f.path}: not enough address space or memory to map the region, or too many "
            "mappings: raise the limit (`ulimit -v`, `sysctl vm.max_map_count`) or use a smaller "
            "region"
        ),
    ),
    "NO_PERMISSION": (
        ConfigurationError,
        lambda f: (
            f"{f.path}: no permission to open or create it: use a file and a folder of your own"
        ),
    ),
    "UNSUPPORTED": (
        ConfigurationError,
        lambda f: (
            f"{f.path}: its file system or the kernel cannot hold a region (network and "
            "copy-on-write file systems cannot): use a folder on tmpfs, ext4 or xfs"
        ),
    ),
    "SYSTEM": (ConfigurationError, _system),
    "NO_SPACE": (ConfigurationError, _no_space),
    "NOT_FOUND": (
        RegionAbsentError,
        lambda f: (
            f"{f.path}: there is no such region, and it is not to be created: check the "
            "name, or open it with create=True"
        ),
    ),
    "UNSAFE_FOLDER": (ConfigurationError, _unsafe_folder),
    "UNSAFE_FILE": (ConfigurationError, _unsafe_file),
    "NO_PROTECTION": (
        ProtectionUnavailableError,
        lambda f: (
            f"protection keys were asked for, but {why_unprotected(f.a)}: protection='auto' or "
            "'none' does without (PLIB_CACHE_PROTECTION, where it is set, overrides it)"
        ),
    ),
    "NOT_A_REGION": (
        CorruptRegionError,
        lambda f: f"{f.path} is no region of plib_cache: choose another path, or remove the file",
    ),
    "LAYOUT_MISMATCH": (LayoutMismatchError, _layout),
    "CORRUPT": (CorruptRegionError, _corrupt),
    "SIZE_MISMATCH": (SizeDiffersError, _size),
    "INVALID": (
        ConfigurationError,
        lambda f: "an argument is outside its range; this is a bug of plib_cache: please report it",
    ),
    "CLOSED": (
        ClosedError,
        lambda f: (
            "this cache was closed: open it again with Cache(...), and keep it open while "
            "it is used"
        ),
    ),
}


def failure(name: str, facts: Facts) -> Exception:
    """The exception for the status that plc.h calls PLC_<name>."""
    kind, message = _TABLE[name]
    error = kind(message(facts))
    if isinstance(error, ConfigurationError):
        error.passing = name == "NO_MEMORY" or facts.errno in _PASSING
    return error
