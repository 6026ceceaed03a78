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


def of_main(thing: Any) -> bool:
    """Whether it is of the main module, which is another one in other processes."""
    return getattr(thing, "__module__", None) in _MAIN_MODULES


def shown_name(thing: Any) -> str:
    """The same for people: a script goes by the name of its file."""
    module = getattr(thing, "__module__", None) or ""
    if module in _MAIN_MODULES:
        path = getattr(sys.modules.get(module), "__file__", None) or module
        module = os.path.basename(path).removesuffix(".py")  # noqa: PTH119 - of any text
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return f"{module}.{name}" if module else name


def number_in(region: Any, prefix: bytes, function: Any) -> int:
    """A decorated function's number in a region, where its name is noted for people."""
    number: int = region.name("f:" + prefix.hex(), shown_name(function))
    return number


def is_local(thing: Any) -> bool:
    """Whether the name of a class or a function does not lead to it."""
    name = getattr(thing, "__qualname__", "")
    return "<locals>" in name or "<lambda>" in name


def leads_to(cls: type) -> bool:
    """Whether module and qualified name of a class lead to it."""
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls


_NO_BODY = frozenset({"__dict__", "__weakref__", "__module__", "__qualname__", "__doc__"})


def class_body(cls: type) -> dict[str, object]:
    """What a class was given in its body, its functions unwrapped; without what slots became."""
    found: dict[str, object] = {}
    for name, member in vars(cls).items():
        if (
            name in _NO_BODY
            or name.startswith("_abc_")
            or type(member).__name__
            in (
                "member_descriptor",
                "getset_descriptor",
            )
        ):
            continue
        if isinstance(member, property):
            found[name] = (member.fget, member.fset, member.fdel)
        else:
            inner = getattr(member, "__func__", member)
            found[name] = getattr(inner, "__wrapped__", inner)
    return found
