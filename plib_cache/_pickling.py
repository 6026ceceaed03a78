# SPDX-License-Identifier: BSD-3-Clause
"""Any value as a pickle of protocol 5, by cloudpickle where pickle is not enough.

Pickle stores a class or a function as the name under which the reader finds it.  That is no use
for what was defined in ``__main__``: the reader is another program.  Such values, and those that
pickle refuses (lambdas, local classes), are stored by value, with cloudpickle.  Arrays go into
either as ``_out_of_band`` says.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from plib_cache._frame import BufferCollector, damaged
from plib_cache._identity import of_main
from plib_cache._out_of_band import reduce_array
from plib_cache.exceptions import SerializationError

_SEARCH_STEPS = 10_000


class Pickled(NamedTuple):
    """A pickle, the buffers outside of it, and whether cloudpickle made it."""

    payload: bytes
    buffers: list[memoryview]
    by_value: bool


class _DefinedInMainError(pickle.PicklingError):
    """Pickle met something that only this program could find by its name."""


class _Pickler(pickle.Pickler):
    """Stops at what belongs to ``__main__`` and remembers the last object, for messages."""

    last: object = None

    def reducer_override(self, obj: object) -> Any:
        self.last = obj
        if not isinstance(obj, (type, types.FunctionType)):
            return reduce_array(obj)
        if of_main(obj):
            raise _DefinedInMainError(f"{obj.__qualname__} is defined in __main__")
        return NotImplemented


@functools.lru_cache(maxsize=1)
def _by_value_pickler() -> Any:
    """cloudpickle's pickler, which also remembers the last object."""
    import cloudpickle

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
        last: object = None

        def reducer_override(self, obj: object) -> Any:
            self.last = obj
            reduced = reduce_array(obj)
            return super().reducer_override(obj) if reduced is NotImplemented else reduced

    return ByValuePickler


def _register_spawned_main() -> None:
    """Tell cloudpickle that the name of a spawned process's main module means nothing elsewhere."""
    module = sys.modules.get("__mp_main__")
    if module is not None and module.__name__ == "__mp_main__":
        import cloudpickle

        cloudpickle.register_pickle_by_value(module)


def dump(value: object, most: int | None = None) -> Pickled:
    """Pickle ``value``, by reference if possible and by value if not.

    Args:
        most: bytes that the pickle may have, without its buffers; None: any.

    Raises:
        SerializationError: neither pickle nor cloudpickle can; the message names the culprit.
            Or the pickle is too long, which is found out before it is made.
    """
    with contextlib.suppress(_Refused):
        return _dump_with(_Pickler, value, most, by_value=False)
    try:
        _register_spawned_main()
        return _dump_with(_by_value_pickler(), value, most, by_value=True)
    except _Refused as refusal:
        raise _cannot_store(value, refusal.culprit, refusal.__cause__) from refusal.__cause__


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """A pickler failed at ``culprit``; the reason is the cause."""

    def __init__(self, culprit: object) -> None:
        super().__init__()
        self.culprit = culprit


class _Limited(io.BytesIO):
    """A file that takes only so much; picklers write in pieces of 64 KiB, and large items."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.most:
            raise _TooLongError
        return super().write(data)


class _TooLongError(Exception):
    """There is more than a limited file takes; never leaves this module."""


def _dump_with(pickler_class: Any, value: object, most: int | None, *, by_value: bool) -> Pickled:
    file = io.BytesIO() if most is None else _Limited(most)
    buffers = BufferCollector()
    pickler = pickler_class(file, protocol=5, buffer_callback=buffers)
    try:
        pickler.dump(value)
    except MemoryError:
        raise
    except _TooLongError:
        raise SerializationError(
            f"a value of type {type_name(value)} has more than {most} bytes besides its buffers: "
            "store it in a cache whose serializer has no pickle_max"
        ) from None
    except Exception as error:  # A class's own __reduce__ may raise anything.
        raise _Refused(pickler.last) from error
    return Pickled(file.getvalue(), buffers, by_value)


def _cannot_store(value: object, culprit: object, cause: object) -> SerializationError:
    path = _path_to(value, culprit)
    where = f" at value{path}" if path else ""
    kind = type_name(value if culprit is None else culprit)
    return SerializationError(
        f"a value of type {type_name(value)} cannot be stored, because of a {kind}{where}: "
        f"{cause}. Store what it was made from instead, or give its class a __reduce__."
    )


def type_name(value: object) -> str:
    """The type of ``value`` as a user writes it."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def _path_to(value: object, culprit: object) -> str:
    """Where ``culprit`` is inside ``value``, as Python would write it; "" if not found cheaply."""
    pending: list[tuple[str, object]] = [("", value)]
    seen: set[int] = set()
    for _ in range(_SEARCH_STEPS):
        if not pending:
            break
        path, here = pending.pop()
        if here is culprit:
            return path
        if id(here) not in seen:
            seen.add(id(here))
            pending += [(path + step, child) for step, child in _children(here)]
    return ""


def _children(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(f"[{key!r:.40}]", child) for key, child in list(value.items())[:_SEARCH_STEPS]]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", child) for i, child in enumerate(value[:_SEARCH_STEPS])]
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        return [(f".{name}", child) for name, child in attributes.items()]
    return []


class Unpickler(pickle.Unpickler):
    """Says which class is missing, rather than how it was looked for."""

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            raise SerializationError(
                f"the value needs {module}.{name}, which cannot be imported here ({error}). "
                "Install or import what defines it, or store plain data."
            ) from error


def load(
    payload: bytes, buffers: list[memoryview], unpickler: type[Unpickler] = Unpickler
) -> object:
    """The value of a pickle; its arrays lie over ``buffers``."""
    return guarded(unpickler(io.BytesIO(payload), buffers=buffers).load)


def guarded(load_value: Callable[[], object]) -> object:
    """Run a load; what it raises becomes a SerializationError.

    Except what says nothing about the value: that the memory or the time was not enough.
    """
    try:
        return load_value()
    except (SerializationError, MemoryError, TimeoutError):
        raise
    except Exception as error:  # Damaged pickles raise nearly everything.
        raise damaged(
            "a value cannot be rebuilt: its class (or what else the pickle calls) raised "
            f"{type(error).__name__}: {error}"
        ) from error
