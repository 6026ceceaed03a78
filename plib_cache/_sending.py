# SPDX-License-Identifier: BSD-3-Clause
"""Sending values in place to other processes of the machine by reference.

Where a pickle is sure to be read on this machine, it holds references (``_handing``): in what
multiprocessing sends (so in ProcessPoolExecutor too), in what loky sends, and in what joblib's
"multiprocessing" backend sends.  The picklers of these three are told of the types that may lie in
a cache (``tell``); no other pickler is.  So everywhere else (pickle, cloudpickle, dask,
``joblib.dump``, what multiprocessing sends over a network) there are plain arrays, and plain
arrays are pickled everywhere as if this module did not exist.

What is sent of an array is the ``Lease`` that its memory belongs to, and where it lies in that.
The Lease is an object in the pickle as any other: a table of a hundred columns has it once, is
kept by its sender once, and is leased by its receiver once.  A part of a value goes by reference
as the whole does; what has less than 64 KiB goes by value.

Containers need no help: a list, a dict, a matrix of scipy or a DataFrame is pickled as always, and
the arrays in it go by reference, because ``copy="shared"`` has made them of a class of their own
(``_sharing``).  For joblib that is decisive: it has reducers of its own for ndarray and memmap,
which would write large arrays into files, and none for that class.

joblib's pool takes no reducers but its own, so its pickler is replaced by one that takes ours too.
"""

from __future__ import annotations

import functools
import os
import pickle
import stat
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from plib_cache._core import Lease
from plib_cache._handing import Reference, can_offer, fetch, look_at_the_end, offer
from plib_cache._ndarray import numpy
from plib_cache._shared_array import SMALLEST, lease_under, shared_class, start_of

Reduced = tuple[Any, ...]


class _Way(NamedTuple):
    """How values of a type are sent: by reference if that gives something, else plain."""

    by_reference: Callable[[Any], Reduced | None]
    plain: Callable[[Any], Reduced]


_ways: dict[type, _Way] = {}
_untold = {
    "multiprocessing.reduction",
    "joblib.externals.loky.backend.reduction",
    "loky.backend.reduction",
    "joblib.pool",
}  # modules whose picklers know nothing yet
_registers: list[Callable[[type], None]] = []  # of picklers that are told of each type


def tell(
    cls: type,
    by_reference: Callable[[Any], Reduced | None],
    plain: Callable[[Any], Reduced],
) -> None:
    """Have values of exactly that type sent by reference from now on.

    Args:
        by_reference: what a reducer returns, or None to send this one plain.
        plain: what pickle itself would do.
    """
    if cls not in _ways:
        _ways[cls] = _Way(by_reference, plain)
        for register in _registers:
            register(cls)


def tell_picklers() -> None:
    """Tell the picklers that the program uses, each once; takes no time if there is none new."""
    if not sys.modules.keys().isdisjoint(_untold):
        for name in [name for name in _untold if name in sys.modules]:
            _untold.discard(name)
            try:
                _tell_pickler(name, sys.modules[name])
            except AttributeError:  # not a public part of joblib: then by value
                continue


def begin() -> None:
    """What there is to do before anything can be sent; it takes no time but the first time."""
    if not _ways:
        import multiprocessing.reduction  # noqa: F401 - where it is told, if nobody else has yet

        tell(Lease, _lease_by_reference, _lease_plain)  # before what holds some
        look_at_the_end()
    tell_picklers()


def array_class() -> Any:
    """``SharedArray``, of which the picklers know; what there is to do at each hit."""
    tell_picklers()
    return _told_class()


@functools.lru_cache(maxsize=1)
def _told_class() -> Any:
    begin()
    cls = shared_class()
    tell(cls, _array_by_reference, _array_plain)
    return cls


def shared(array: Any) -> Any:
    """The array, such that it goes to other processes by reference.

    Args:
        array: over what ``Region.lease`` gave; any other one is returned as it is, and so is one
            over a private copy on write.
    """
    lease = lease_under(array)
    if lease is None or lease.run() is None or array.dtype.hasobject:
        return array
    return array.view(array_class())


def _tell_pickler(name: str, module: Any) -> None:
    """Raises AttributeError if it has not what it had in all versions that are known."""
    if name == "joblib.pool":
        _replace_pickler(module)
        return
    forking = name == "multiprocessing.reduction"
    method = module.ForkingPickler.register if forking else module.register
    register = functools.partial(_register, method, _reduce_forking if forking else _reduce)
    _registers.append(register)  # first: what is told meanwhile is told twice, and not never
    for cls in list(_ways):
        register(cls)


def _register(method: Callable[..., None], reducer: Callable[[Any], Reduced], cls: type) -> None:
    method(cls, reducer)


def _replace_pickler(pool: Any) -> None:
    class Pickler(pool.CustomizablePickler):  # type: ignore[misc]
        def __init__(
            self, writer: Any, reducers: Any = None, protocol: int = pickle.HIGHEST_PROTOCOL
        ) -> None:
            both = {**dict.fromkeys(list(_ways), _reduce), **(reducers or {})}
            super().__init__(writer, both, protocol)

    pool.CustomizablePickler = Pickler


def _reduce(value: Any) -> Reduced:
    """How a value is sent to another process of this machine."""
    way = _ways[type(value)]
    return way.by_reference(value) or way.plain(value)


def _reduce_forking(value: Any) -> Reduced:
    """The same, for multiprocessing, which also sends to other machines."""
    way = _ways[type(value)]
    leaves = _leaves_the_machine(sys._getframe(1))
    return (None if leaves else way.by_reference(value)) or way.plain(value)


def _leaves_the_machine(pickling: FrameType) -> bool:
    """Whether a connection of multiprocessing is sending over a network."""
    sender = pickling.f_back
    if sender is None or sender.f_globals.get("__name__") != "multiprocessing.connection":
        return False
    connection = sender.f_locals.get("self")
    try:
        number = connection.fileno()  # type: ignore[union-attr]
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return False
        import socket  # whoever sends by one has it already

        with socket.socket(fileno=os.dup(number)) as end:
            return end.family != socket.AF_UNIX
    except (AttributeError, OSError):
        return True


# ---- arrays


def tell_subclass(cls: type) -> None:
    """Have arrays of a class that adds nothing to their memory (a record array) sent so, too."""
    begin()
    tell(cls, _subclass_by_reference, _subclass_plain)


def _array_by_reference(array: Any) -> Reduced | None:
    lease = lease_under(array) if array.nbytes >= SMALLEST and not array.flags.writeable else None
    if lease is None:
        return None
    low, high = _extent(array)
    if not (lease.address <= low and high <= lease.address + lease.nbytes and can_offer(lease)):
        return None
    return receive_array, (lease, array.dtype, array.shape, array.strides, start_of(array, lease))


def _subclass_by_reference(array: Any) -> Reduced | None:
    reduced = _array_by_reference(array)
    return None if reduced is None else (receive_subclass, (type(array), *reduced[1]))


def _extent(array: Any) -> tuple[int, int]:
    """The addresses between which all elements lie."""
    low = high = int(array.__array_interface__["data"][0])
    for count, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (count - 1) * stride
        else:
            high += (count - 1) * stride
    return low, high + array.itemsize


def _array_plain(array: Any) -> Reduced:
    np = numpy()
    return np.asarray, (array.view(np.ndarray),)


def _subclass_plain(array: Any) -> Reduced:
    reduced: Reduced = array.__reduce_ex__(4)
    return reduced


def receive_array(memory: Any, dtype: Any, *place: Any) -> Any:
    """The array that another process has sent, over the same memory."""
    cls = array_class() if type(memory) is Lease else numpy().ndarray
    return _over(cls, memory, dtype, *place)


def receive_subclass(cls: Any, memory: Any, dtype: Any, *place: Any) -> Any:
    """The same, of a class of its own."""
    tell_subclass(cls)
    return _over(cls, memory, dtype, *place)


def _over(
    cls: Any, memory: Any, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], start: int
) -> Any:
    return numpy().ndarray.__new__(cls, shape, dtype, memory, start, strides)


# ---- leases, each once in a pickle


def _lease_by_reference(lease: Any) -> Reduced | None:
    reference = offer(lease)
    return None if reference is None else (receive_lease, (reference,))


def _lease_plain(lease: Any) -> Reduced:
    """Where it could be offered a moment ago: the arrays over it have been reduced already."""
    return bytes, (bytes(lease),)


def receive_lease(reference: Reference) -> Any:
    """The lease of a value that another process has sent, or a copy of its bytes.

    Raises:
        SerializationError: it cannot be had.
    """
    return fetch(reference)[1]
