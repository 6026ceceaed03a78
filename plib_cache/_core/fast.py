# SPDX-License-Identifier: BSD-3-Clause
"""The hot path in C: which binding is in use, and what changes if it is the fast one.

``plib_cache._fast`` does what is usual of the hottest operations: plain keys, scalar values, an
answer at once.  Everything else it hands to the methods that it stands for, which call the core
by cffi.  So those describe every operation, and ``PLIB_CACHE_BINDING=cffi`` uses them alone.

It is the second module in the shared object of ``plib_cache._native``, for there must be one
copy of the core's state.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from typing import TYPE_CHECKING, Any

from plib_cache import _native
from plib_cache.exceptions import ConfigurationError

_VARIABLE = "PLIB_CACHE_BINDING"
_OPERATIONS = ("get", "set", "delete", "incr", "decr", "get_many", "removed")
_SLOTS = ("__getitem__", "__setitem__", "__delitem__", "__contains__")


def _load() -> Any:
    """The module in C.

    Raises:
        ImportError: it cannot be loaded; that is not passed over, for all would be slow.
    """
    origin = str(_native.__spec__.origin)
    loader = ExtensionFileLoader("plib_cache._fast", origin)
    spec = importlib.util.spec_from_file_location(loader.name, origin, loader=loader)
    if spec is None:
        raise ImportError(f"{origin} holds no plib_cache._fast: install plib_cache again")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[loader.name] = module
    return module


def _asked() -> str:
    """Which binding the environment asks for.

    Raises:
        ConfigurationError: one that does not exist.
    """
    asked = os.environ.get(_VARIABLE) or "fast"
    if asked not in ("fast", "cffi"):
        raise ConfigurationError(
            f"{_VARIABLE} is {asked!r}: leave it unset or set it to 'fast', or to 'cffi' to do "
            "without the fast path"
        )
    return asked


# What values in place are made of comes from there with either binding.
objects = _load()
fast = objects if _asked() == "fast" else None


def binding() -> str:
    """The name of the binding in use, chosen when the package was imported: "fast" or "cffi"."""
    return "cffi" if fast is None else "fast"


def make_port(address: int) -> Any | None:
    """A handle of the core for the fast path, to be closed before the handle is."""
    return None if fast is None else fast.Port(address)


class _Plain:
    """The base of a cache without the fast path."""

    def _lend(self, port: Any, scalars: bool, immutable: bool) -> None:
        """Whose handle the operations in C use, and how they store."""


if TYPE_CHECKING:
    Quick = _Plain
else:
    Quick = _Plain if fast is None else fast.Quick


def quicken(cls: type[Any]) -> None:
    """Put the operations in C in the place of a cache's own, to which they come back.

    What was ``get`` is ``_general_get`` then, and so on.
    """
    if fast is None:
        return
    for name in _OPERATIONS + _SLOTS:
        general = getattr(cls, name)
        setattr(cls, f"_general_{name.strip('_')}", general)
        setattr(cls, name, getattr(Quick, name) if name in _SLOTS else _in_c(cls, name, general))


def _in_c(cls: type[Any], name: str, general: Callable[..., Any]) -> Any:
    """The operation in C, with the signature and the text of the method that it stands for.

    It is of ``cls`` itself: a call looks for the type of an inherited one in all bases.
    """
    assert fast is not None
    parameters = inspect.signature(general).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    words = str(inspect.Signature(bare)).replace("(", "($", 1)
    return fast.operation(cls, name, f"{name}{words}\n--\n\n{inspect.getdoc(general)}")


def make_lookup(memo: Any, bind: Any, arity: int, missed: type[bytes], costs: bytes) -> Any | None:
    """What finds stored results in C; None without the fast path.

    Args:
        memo: it calls its ``_seek``, ``_load_or`` and ``_report_saved``.
        bind: gives arguments their normal form; None if they have none.
        arity: so many arguments by place are in normal form; -1: never.
        missed: makes its answer to a miss from the key.
        costs: nanoseconds of each cost code, 8 bytes each.
    """
    return None if fast is None else fast.Lookup(memo, bind, arity, missed, costs)
