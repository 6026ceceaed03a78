# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache demo``: real work shared by processes, in three ways, without and with plib_cache.

``work`` is the work, ``by_decorator``, ``by_joblib`` and ``by_dask`` are the programs that do it,
``crew`` starts them, ``parts`` puts one way together, ``report`` shows what came out.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import NoReturn

from plib_cache.cli.places import fail
from plib_cache.cli.show import say

__all__ = ["run"]

_NEEDED = ("numpy", "sklearn", "joblib", "distributed")
_ROOM = 512 << 20  # bytes of memory that the demo wants, or else it uses the disk


def run(quick: bool = False) -> int:
    """Run the demo; 0 if all its checks hold, else 1."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        fail(
            f"the demo needs {', '.join(missing)}, which are not installed: "
            "pip install 'plib-cache[joblib,dask]' scikit-learn",
            code=2,
        )
    from plib_cache.cli.demo.report import show

    signal.signal(signal.SIGTERM, _terminated)
    folder = _folder()
    try:
        return show(folder, quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        say(f"removed {folder}, which held everything that the demo made")


def _terminated(number: int, frame: object) -> NoReturn:
    """Clean up before ending, as after Ctrl-C."""
    raise SystemExit(128 + number)


def _folder() -> Path:
    """A folder of the demo's own, in memory if there is room."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        usage = os.statvfs(memory)
        if usage.f_bavail * usage.f_frsize >= _ROOM:
            return Path(tempfile.mkdtemp(prefix="plib-cache-demo-", dir=memory))
    return Path(tempfile.mkdtemp(prefix="plib-cache-demo-"))
