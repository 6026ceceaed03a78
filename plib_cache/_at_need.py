# SPDX-License-Identifier: BSD-3-Clause
"""What this package imports at need, and forks: a child never waits for such an import.

A child has the locks of the imports that its parent's threads were in, and not the threads that
would release them: what was half imported then cannot be imported there, ever.  So who forks while
other threads run imports all of it before, which the child then need not do.
"""

from __future__ import annotations

import importlib
import os
import sys

_MODULES = (
    "cloudpickle",
    "logging",
    "pathlib",
    "plib_cache._describe_types",
    "plib_cache._html",
    "plib_cache._restricted",
    "plib_cache._sharing",
    "plib_cache.stats",
)


def _import_all() -> None:
    if len(sys._current_frames()) > 1:
        for name in _MODULES:
            importlib.import_module(name)


os.register_at_fork(before=_import_all)
