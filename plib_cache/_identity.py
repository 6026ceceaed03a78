# SPDX-License-Identifier: BSD-3-Clause
"""Names of modules, classes and functions that are the same in every process."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import Any

_MAIN_MODULES = ("__main__", "__mp_main__")


def module_identity(name: str | None) -> str:
    """The module's name; for the main module, what it was started from.

    ``python -m package.tool`` gives "package.tool", as if it had been imported.  A script gives a
    digest of its real path, also in the processes that it spawns.
    """
    if name not in _MAIN_MODULES:
        return name or ""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    path = getattr(module, "__file__", None)
    if path is None:
        return "__main__"
    real = os.fsencode(os.path.realpath(path))
    return "__main__:" + hashlib.blake2b(real, digest_size=8).hexdigest()


def qualified_name(thing: Any) -> str:
    """Module and qualified name of a class or a function."""
    module = getattr(thing, "__module__", None)
    owner = getattr(thing, "__self__", None)
    if module is None and owner is not None:
        module = getattr(owner, "__module__", None) or type(owner).__module__
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")
    return f"{module_identity(module)}.{name}"


def is_local(thing: Any) -> bool:
    """Whether the name of a class or a function does not lead to it."""
    name = getattr(thing, "__qualname__", "")
    return "<locals>" in name or "<lambda>" in name
