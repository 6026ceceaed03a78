# SPDX-License-Identifier: BSD-3-Clause
"""Which region a command is about, and how it ends if there is none.

Only what stores something makes a region or a folder, and it says so: looking makes nothing.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from plib_cache import config
from plib_cache._core import SizeDiffersError
from plib_cache._core.folders import why_unsafe
from plib_cache.cache import Cache
from plib_cache.cli.show import errors
from plib_cache.cli.words import for_shell
from plib_cache.exceptions import ConfigurationError, PlibCacheError


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, in words for the shell, and end with that exit code."""
    errors.print(f"[bold red]error:[/] {errors.plain(for_shell(message))}")
    raise SystemExit(code)


def folder() -> Path:
    """The region folder, which need not exist; ends the command if PLIB_CACHE_DIR names none."""
    found = config.region_folder(make=False)
    if not found.is_dir() and os.environ.get("PLIB_CACHE_DIR"):
        fail(
            f"there is no folder {found}, which PLIB_CACHE_DIR names: correct PLIB_CACHE_DIR, or "
            "unset it; if it is right, nothing was stored there yet, and who stores first makes it",
            1,
        )
    return found


def folder_to_read() -> Path:
    """The same; ends the command if none of its regions can be opened, because of the folder."""
    found = folder()
    try:
        state = found.lstat()
        next(found.iterdir(), None)
    except FileNotFoundError:  # the usual one, before the first cache is
        return found
    except OSError as error:
        fail(
            f"{found} cannot be read ({error.strerror}): set PLIB_CACHE_DIR to a folder of yours", 2
        )
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        why = for_shell(why_unsafe(str(found), state.st_uid))
        fail(f"{found}: a region's folder must be your own and writable by nobody else; {why}", 2)
    return found


@contextlib.contextmanager
def trial_folder() -> Iterator[Path]:
    """The region folder, or, where that does not exist yet, one beside it that is gone afterwards.

    Raises:
        ConfigurationError: there is none, and none can be made.
    """
    wanted = config.region_folder(make=False)
    if wanted.is_dir():
        yield wanted
        return
    above = next(one for one in wanted.parents if os.path.lexists(one))
    try:
        trial = tempfile.TemporaryDirectory(prefix="plib-cache-trial-", dir=above)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {wanted} cannot be made ({error.strerror}: {above}): set PLIB_CACHE_DIR "
            "to one that can"
        ) from None
    with trial as path:
        yield Path(path)


def names() -> list[str]:
    """What lies in the region folder; nothing if there is none."""
    try:
        return sorted(path.name for path in config.region_folder(make=False).iterdir())
    except (PlibCacheError, OSError):
        return []


def complete(incomplete: str) -> list[str]:
    """For the shell: the names that begin so."""
    return [name for name in names() if name.startswith(incomplete)]


def find(name: str, otherwise: str = "`plib-cache ls` shows what is") -> Path:
    """The region's file; ends the command if there is none.

    Args:
        name: of a region in the region folder, or a path, which contains a slash.
        otherwise: what to do if there is none.
    """
    path = Path(name) if "/" in name else folder() / config.check_name(name)
    if not os.path.lexists(path):
        fail(f"there is no cache {name!r} in {path.parent}: {_near(name)}{otherwise}", 1)
    return path.absolute()


def _near(name: str) -> str:
    """What may have been meant, as a question; empty if nothing is like it."""
    others = [] if "/" in name else [one for one in names() if one != name]
    near = difflib.get_close_matches(name, others, n=3)
    return f"did you mean {' or '.join(near)}? " if near else ""


def attach(name: str) -> Cache:
    """Attach to a region that exists.

    Raises:
        PlibCacheError: it cannot be used.
    """
    return Cache(path=find(name), create=False)


def attach_or_make(name: str, size: str) -> Cache:
    """Attach to a region that exists, or make one if a size is given.

    Raises:
        PlibCacheError: it cannot be used, or made.
    """
    if not size:
        return Cache(path=find(name, "--size 1GiB makes one"), create=False)
    nbytes, path = config.parse_size(size), place(name)
    if not os.path.lexists(path):
        return made(name, path, nbytes)
    try:
        return Cache(path=path, size=nbytes)
    except SizeDiffersError:
        errors.print(
            errors.plain(f"the cache {name!r} keeps the size it has: --size makes new ones")
        )
        return Cache(path=path, create=False)


def place(name: str) -> str:
    """Where a region is to be, which need not exist; its folder is made.

    Raises:
        ConfigurationError: there is no such folder.
    """
    return config.check_path(name) if "/" in name else config.region_path(name)


def made(name: str, path: str, size: int | str | None) -> Cache:
    """Attach to a region, or make one, and then say so.

    Raises:
        PlibCacheError: it cannot be used, or made.
    """
    new = not os.path.lexists(path)
    cache = Cache(path=path, size=size)
    if new:
        tell_of_new(name, path)
    return cache


def tell_of_new(name: str, path: str) -> None:
    """Say that a region is a new one: its name may be a mistyped one."""
    where = os.path.dirname(path)  # noqa: PTH120 - of a str
    near = _near(name)
    asked = f". {near[0].upper()}{near[1:]}" if near else ""
    told = f"there was no cache {name!r} in {where}: it is a new one{asked}"
    errors.print(errors.plain(told.rstrip()))
