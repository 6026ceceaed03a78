# SPDX-License-Identifier: BSD-3-Clause
"""Values as plain structures, for fingerprints; see ``_describe_types`` for those known by type.

A description is made of scalars, strings, bytes, lists, tuples and dicts, and may hold values
that are described in turn.  Two values have the same description if a function could not tell
them apart.  Descriptions are the same under all versions of Python: what a class gives to pickle
is not.
"""

from __future__ import annotations

import collections
import copyreg
import enum
import functools
import hashlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from plib_cache._identity import qualified_name


class NotDescribableError(Exception):
    """The value gives no description that another process would give too."""


def _listed(column: Any) -> object:
    return column.to_numpy(dtype=object, na_value=None).tolist()


def _as_it_is(items: list[object]) -> object:
    return items


class Means(NamedTuple):
    """How a description holds what there is much of: elements, and cells of text."""

    new_hash: Callable[[], Any]  # with update and digest, as those of hashlib have them
    texts: Callable[[Any], object] = _listed  # a column of pandas' own type for text
    objects: Callable[[list[object]], object] = _as_it_is  # the items of an array of objects


IN_FULL = Means(functools.partial(hashlib.blake2b, digest_size=16))


def describe_path(value: object) -> object | None:
    """A path of pathlib is its text; the modules of its class differ between versions of Python.

    None for anything else.  Who has a path has imported pathlib.
    """
    pathlib: Any = sys.modules.get("pathlib")
    is_path = pathlib is not None and isinstance(value, pathlib.PurePath)
    return (type(value).__name__, str(value)) if is_path else None


def describe_enum(value: enum.Enum) -> object:
    """A member is its class, its name, and what it stands for if that is a scalar.

    Combined flags have no name in some versions of Python.
    """
    meaning = value._value_
    known = type(meaning) in (int, str, float, bytes, bool)
    name = None if isinstance(value, enum.Flag) else value._name_
    return type(value), name, meaning if known else None


def describe_instance(value: Any) -> object:
    """An instance is its class and its state, as its class tells pickle.

    Raises:
        NotDescribableError: pickle refuses it, or it has no state but its identity.
    """
    if type(value) is object:
        raise NotDescribableError
    reduced = _reduce(value)
    if isinstance(reduced, str):
        return f"{getattr(value, '__module__', None) or type(value).__module__}.{reduced}"
    function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    if getattr(function, "__name__", "") in ("__newobj__", "__newobj_ex__"):
        function, arguments = arguments[0], arguments[1:]
        state = state if _has_own_state(type(value)) else _attributes(value)
    elif not isinstance(function, (type, functools.partial)):
        function = qualified_name(function)
    described = [function, arguments, state, None if items is None else list(items)]
    if pairs is not None:
        ordered = isinstance(value, collections.OrderedDict)
        described.append(list(pairs) if ordered else dict(pairs))
    return described


def _reduce(value: Any) -> Any:
    try:
        # distributed registers exceptions with their tracebacks: no key depends on its import
        known = not isinstance(value, BaseException)
        registered = copyreg.dispatch_table.get(type(value)) if known else None
        return registered(value) if registered else value.__reduce_ex__(4)
    except Exception as error:  # A class may refuse in any way.
        raise NotDescribableError from error


def _has_own_state(cls: type) -> bool:
    """Whether the class itself says what its state is."""
    getstate = getattr(cls, "__getstate__", None)
    inherited = getstate is getattr(object, "__getstate__", None)
    return not inherited and getattr(getstate, "__module__", None) != "dataclasses"


def _attributes(value: Any) -> dict[str, object]:
    """Attributes and slots, without those that only remember a result."""
    found: dict[str, object] = {}
    for cls in type(value).__mro__:
        for name in _slots(cls):
            if hasattr(value, name):
                found[name] = getattr(value, name)
    found.update(getattr(value, "__dict__", {}))
    return {name: item for name, item in found.items() if not _is_cached(type(value), name)}


def _slots(cls: type) -> list[str]:
    slots = cls.__dict__.get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    private = "_" + cls.__name__.lstrip("_")
    return [
        private + name if name.startswith("__") and not name.endswith("__") else name
        for name in names
        if name not in ("__dict__", "__weakref__")
    ]


def _is_cached(cls: type, name: str) -> bool:
    attributes = (base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)
    return isinstance(next(attributes, None), functools.cached_property)
