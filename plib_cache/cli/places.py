# SPDX-License-Identifier: BSD-3-Clause
"""Which region a command is about, and how it ends if there is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from plib_cache import config
from plib_cache.cache import Cache
from plib_cache.cli.show import errors


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end with that exit code."""
    errors.print(f"[bold red]error:[/] {errors.plain(message)}")
    raise SystemExit(code)


def find(name: str) -> Path:
    """The region's file; ends the command if there is none.

    Args:
        name: of a region in the region folder, or a path, which contains a slash.
    """
    path = Path(name) if "/" in name else Path(config.region_path(name))
    if not os.path.lexists(path):
        where = path.parent if "/" in name else config.region_folder()
        fail(f"there is no cache {name!r} in {where}; `plib-cache ls` shows those that are", 1)
    return path.absolute()


def attach(name: str) -> Cache:
    """Attach to a region that exists.

    Raises:
        PlibCacheError: it cannot be used.
    """
    return Cache(path=find(name), create=False)
