# SPDX-License-Identifier: BSD-3-Clause
"""Which region a command is about, and how it ends if there is none."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import NoReturn

from plib_cache import config
from plib_cache.cache import Cache
from plib_cache.cli.show import errors
from plib_cache.exceptions import PlibCacheError


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end with that exit code."""
    errors.print(f"[bold red]error:[/] {errors.plain(message)}")
    raise SystemExit(code)


def names() -> list[str]:
    """What lies in the region folder; nothing if there is none."""
    try:
        return sorted(path.name for path in config.region_folder().iterdir())
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
    path = _place(name)
    if not os.path.lexists(path):
        where = path.parent if "/" in name else config.region_folder()
        near = difflib.get_close_matches(name, names(), n=3) if "/" not in name else []
        advice = f"did you mean {' or '.join(near)}? " if near else ""
        fail(f"there is no cache {name!r} in {where}: {advice}{otherwise}", 1)
    return path.absolute()


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
    path = _place(name)
    if not size or os.path.lexists(path):
        return Cache(path=find(name, "--size 1GiB makes one"), create=False)
    return Cache(path=path.absolute(), size=config.parse_size(size))


def _place(name: str) -> Path:
    return Path(name) if "/" in name else Path(config.region_path(name))
