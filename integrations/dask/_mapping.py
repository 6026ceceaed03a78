# SPDX-License-Identifier: BSD-3-Clause
"""``worker.data`` with its large values in the region.

The worker's own mapping stays what it is, of the same class and with the same methods, and goes on
keeping, spilling and restoring all values that are not in the region.  Values in the region are in
nobody's own memory, so they neither count for the worker's spilling, nor would spilling them free
anything that it could use.  When a value comes into the region is not decided here.

A mapping of a class of Python's becomes one of a subclass, in place; a plain dict, which cannot,
is replaced.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from contextvars import ContextVar
from typing import Any, Protocol

from plib_cache import Held
from plib_cache.integrations.dask._store import HeldValues, Store

# Set while values are read to be sent to a worker of the same region.
handing: ContextVar[bool] = ContextVar("plib_cache_handing", default=False)


class Region(Protocol):
    """What a mapping knows of the region, and tells of itself."""

    store: Store
    held: HeldValues

    def arrived(self, value: Any) -> Held | None:
        """Where a value that came by reference lies in the region."""

    def stored(self, key: Any, value: Any) -> None:
        """A value is there that may come into the region; see ``share``."""

    def forget(self, key: Any) -> None:
        """A key is to have another value, or none."""


class Handed:
    """Stands for a value on its way to another worker, and keeps it until that has it."""

    def __init__(self, held: Held, store: Store) -> None:
        self.held = held
        self.store = store


class SharedData:
    """What is added to the class of a worker's mapping; no class is derived from this one, as
    instances of that class could not become instances of it."""

    _own: Any  # the class of the worker's mapping
    _plib: Region

    def __getitem__(self, key: Any) -> Any:
        held = self._plib.held.get(key)
        if held is None:
            return self._own.__getitem__(self, key)
        return Handed(held, self._plib.store) if handing.get() else held.value

    def __setitem__(self, key: Any, value: Any) -> None:
        region = self._plib
        region.forget(key)
        if key in region.held:
            region.held.pop(key)
        held = region.arrived(value)
        if held is None:
            self._own.__setitem__(self, key, value)
            region.stored(key, value)
        else:
            share(self, key, held)

    def __delitem__(self, key: Any) -> None:
        self._plib.forget(key)
        if key in self._plib.held:
            self._plib.held.pop(key)
        else:
            self._own.__delitem__(self, key)

    def __contains__(self, key: Any) -> bool:
        return key in self._plib.held or self._own.__contains__(self, key)

    def __len__(self) -> int:
        return len(self._plib.held) + int(self._own.__len__(self))

    def __iter__(self) -> Iterator[Any]:
        yield from list(self._plib.held)
        yield from self._own.__iter__(self)

    def keys(self) -> Any:
        """The keys, as of any mapping."""
        return Mapping.keys(self)  # type: ignore[arg-type]

    def values(self) -> Any:
        """The values; looking at them moves none between memory and disk."""
        return _Values(self)

    def items(self) -> Any:
        """The keys and values; looking at them moves none between memory and disk."""
        return _Items(self)

    def clear(self) -> None:
        """Forget everything."""
        for key in list(self):
            del self[key]


class _SharedDict(SharedData):
    """What is added to a plain dict, whose methods do not go through each other."""

    __hash__ = None  # type: ignore[assignment]
    __eq__ = Mapping.__eq__
    __ne__ = object.__ne__
    get = Mapping.get
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    def __repr__(self) -> str:
        return repr(dict(_pairs(self)))

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove a key and return its value."""
        try:
            value = self[key]
        except KeyError:
            if default:
                return default[0]
            raise
        del self[key]
        return value

    def copy(self) -> dict[Any, Any]:
        """A plain dict of the same values."""
        return dict(_pairs(self))


def share(data: Any, key: Any, held: Held) -> None:
    """Have the value of a key in the region from now on, and not in the worker's own memory."""
    if data._own.__contains__(data, key):
        data._own.__delitem__(data, key)
    data._plib.held[key] = held


def in_memory(data: Any, key: Any) -> bool:
    """Whether a mapping has a key's value in the worker's memory, neither in a file nor shared."""
    if not hasattr(data, "_plib") or key in data._plib.held:
        return False
    return key in getattr(data, "fast", data)


def _pairs(data: Any) -> Iterator[tuple[Any, Any]]:
    shared = dict(data._plib.held)
    yield from [(key, held.value) for key, held in shared.items()]
    yield from ((key, value) for key, value in data._own.items(data) if key not in shared)


class _Items(ItemsView[Any, Any]):
    _mapping: Any

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return _pairs(self._mapping)


class _Values(ValuesView[Any]):
    _mapping: Any

    def __contains__(self, value: object) -> bool:
        return any(one is value or one == value for one in self)

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in _pairs(self._mapping))


_LEFT_OUT = ("__dict__", "__weakref__", "__annotations__", "__module__", "__doc__")


_classes: dict[type, Any] = {}


def shared_class(cls: type) -> Any:
    """The class of mappings of that class that have their large values in the region."""
    if cls in _classes:
        return _classes[cls]
    body: dict[str, Any] = {"__module__": cls.__module__, "__doc__": cls.__doc__, "_own": cls}
    for source in (SharedData, _SharedDict) if cls is dict else (SharedData,):
        body |= {name: one for name, one in vars(source).items() if name not in _LEFT_OUT}
    made = _classes[cls] = type(cls.__name__, (cls,), body)
    return made


def wrap(worker: Any, region: Region) -> bool:
    """Have values of a worker's mapping lie in the region; False if that cannot be."""
    data = worker.data
    if type(data) is dict:
        data = shared_class(dict)(data)
        _replace(worker, data)
    else:
        try:
            data.__class__ = shared_class(type(data))
        except TypeError:  # not a class of Python's
            return False
    data._plib = region
    return True


def unwrap(worker: Any) -> None:
    """Give a worker its own mapping back, with all values: they lie in the region as long as
    somebody uses them, but new ones do not come there."""
    data = worker.data
    region = getattr(data, "_plib", None)
    if region is None:
        return
    kept = {key: held.value for key, held in region.held.items()}
    own = data._own
    if own is dict:
        plain = dict(dict.items(data))
        plain.update(kept)
        _replace(worker, plain)
    else:
        del data._plib
        data.__class__ = own
        for key, value in kept.items():
            data[key] = value
    region.held.clear()


def _replace(worker: Any, data: Any) -> None:
    worker.memory_manager.data = data
    worker.state.data = data
