# SPDX-License-Identifier: BSD-3-Clause
"""Arrays over the memory of a cache that go to other processes by reference.

``SharedArray`` behaves as ``numpy.memmap`` does: what is computed from it is a plain array or a
scalar, slices and reshaped views stay over the same memory.  It says that its class is ndarray, so
that whoever asks for that (``joblib.hash``) finds no difference.

Where its pickle is sure to be read on this machine, it holds a reference (``_handing``): in what
multiprocessing sends (so in ProcessPoolExecutor too), in what loky sends, and in what joblib's
"multiprocessing" backend sends.  Everywhere else (pickle, cloudpickle, dask, ``joblib.dump``, what
multiprocessing sends over a network) it is a plain array.  A part of the value goes by reference
as the whole does; what has less than 64 KiB goes by value.

NumPy is imported by the first array that is made, and the class is made then.
"""

from __future__ import annotations

import functools
import importlib
import os
import socket
import stat
import sys
from types import FrameType
from typing import Any, NamedTuple

from plib_cache._core import Lease, Region
from plib_cache._handing import Reference, address_of, fetch, look_at_the_end, offer
from plib_cache._known import digest_of
from plib_cache._ndarray import numpy

SMALLEST = 1 << 16  # bytes that are sent by reference; below, a copy is as fast
_LOKY = ("joblib.externals.loky.backend.reduction", "loky.backend.reduction")
_registered: set[str] = set()


class Leased(NamedTuple):
    """The value over whose memory an array lies."""

    lease: Any
    address: int
    nbytes: int
    path: str
    token: int
    form: tuple[Any, ...]  # of the array that was shared first, of which the digest is
    digest: bytes | None


def shared(array: Any, region: Region | str, token: int, *, digest: bytes | None = None) -> Any:
    """The array, such that it goes to other processes by reference.

    Args:
        array: over what ``Region.lease`` gave; any other one is returned as it is.
        region: where that was, or its path.
        token: which value it was.
        digest: of the array's content, to be told by ``__plib_digest__``.
    """
    lease = _lease_under(array)
    if lease is None or lease.run() is None or array.dtype.hasobject:
        return array
    view = memoryview(lease)
    address = address_of((0, view, 0, 0))
    path = region if isinstance(region, str) else region.path
    form = _form(array, address)
    array = array.view(_shared_class())
    array._plib = Leased(lease, address, view.nbytes, path, token, form, digest)
    _register_reducers()
    return array


def share(value: Any, region: Region, token: int) -> Any:
    """The value of a lease with its arrays shared, also those in lists, tuples and dicts."""
    np: Any = sys.modules.get("numpy")
    if np is not None and type(value) is np.ndarray:
        return shared(value, region, token)
    if type(value) in (list, tuple):
        return type(value)(share(one, region, token) for one in value)
    if type(value) is dict:
        return {key: share(one, region, token) for key, one in value.items()}
    return value


def _lease_under(array: Any) -> Any | None:
    """The lease whose memory an array lies in, if it does."""
    np, base = numpy(), array
    while isinstance(base, np.ndarray):
        base = base.base
    owner = base.obj if isinstance(base, memoryview) else base
    return owner if isinstance(owner, Lease) else None


def _extent(array: Any) -> tuple[int, int]:
    """The addresses between which all elements lie."""
    low = high = int(array.__array_interface__["data"][0])
    for count, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (count - 1) * stride
        else:
            high += (count - 1) * stride
    return low, high + array.itemsize


# ---- the class


class _Behaviour:
    """What a SharedArray adds to an ndarray."""

    _plib: Leased | None

    def __array_finalize__(self: Any, source: Any) -> None:
        """A view goes on holding the value; what has memory of its own does not."""
        self._plib = None if self.flags.owndata else getattr(source, "_plib", None)

    def __array_wrap__(
        self: Any, array: Any, context: Any = None, return_scalar: bool = False
    ) -> Any:
        """The result of a computation: plain."""
        plain = numpy().asarray(array)
        return plain[()] if return_scalar or plain.ndim == 0 else plain

    def __deepcopy__(self: Any, memo: Any) -> Any:
        return numpy().array(self, order="K")

    def __copy__(self: Any) -> Any:
        return numpy().array(self, order="K")

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        """As a plain array; joblib's pool has a pickler whose reducers nobody can add to."""
        if sys._getframe(1).f_globals.get("__name__") == "joblib.pool":
            return _reduce(self)
        return self.view(numpy().ndarray).__reduce_ex__(protocol)

    def __reduce__(self: Any) -> Any:
        return self.view(numpy().ndarray).__reduce__()

    def __plib_digest__(self: Any) -> bytes | None:
        """The digest of the content, if this is still the array that was shared: read from the
        cache, where whoever asks first has it stored."""
        if not _is_whole(self) or self.nbytes < SMALLEST:
            return None
        if self._plib.digest is None:
            digest = digest_of(self.view(numpy().ndarray), self._plib)
            self._plib = self._plib._replace(digest=digest)
        found: bytes | None = self._plib.digest
        return found


def _form(array: Any, address: int) -> tuple[Any, ...]:
    """What tells arrays over one value from each other: a digest is of all of it."""
    start = int(array.__array_interface__["data"][0]) - address
    return start, array.shape, array.strides, array.dtype


def _is_whole(array: Any) -> bool:
    """Whether it is the array that was shared: no part of it, and in no other shape or type."""
    leased = array._plib
    return leased is not None and _form(array, leased.address) == leased.form


@functools.lru_cache(maxsize=1)
def _shared_class() -> Any:
    np = numpy()
    body = {name: value for name, value in vars(_Behaviour).items() if callable(value)}
    body["__class__"] = property(lambda self: np.ndarray)
    body["__module__"], body["__doc__"] = __name__, __doc__
    return type("SharedArray", (np.ndarray,), body)


# ---- sending


def _reduce(array: Any) -> tuple[Any, ...]:
    """How an array is sent to another process of this machine."""
    leased = array._plib
    if leased is not None and array.nbytes >= SMALLEST and not array.flags.writeable:
        low, high = _extent(array)
        inside = leased.address <= low and high <= leased.address + leased.nbytes
        reference = inside and offer(leased.lease, leased.path, leased.token, leased.address)
        if reference:
            start = int(array.__array_interface__["data"][0]) - leased.address
            return receive, (
                reference, array.dtype, array.shape, array.strides, start,
                leased.digest if _is_whole(array) else None,
            )  # fmt: skip
    np = numpy()
    return np.asarray, (array.view(np.ndarray),)


def _reduce_forking(array: Any) -> tuple[Any, ...]:
    """The same, for multiprocessing, which also sends to other machines."""
    if _leaves_the_machine(sys._getframe(1)):
        np = numpy()
        return np.asarray, (array.view(np.ndarray),)
    return _reduce(array)


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
        with socket.socket(fileno=os.dup(number)) as end:
            return end.family != socket.AF_UNIX
    except (AttributeError, OSError):
        return True


def _register_reducers() -> None:
    """Tell multiprocessing, and loky if the program uses it; each once."""
    cls = _shared_class()
    if "multiprocessing" not in _registered:
        from multiprocessing.reduction import ForkingPickler

        ForkingPickler.register(cls, _reduce_forking)
        look_at_the_end()
        _registered.add("multiprocessing")
    for name in _LOKY:
        if name not in _registered and name.partition(".")[0] in sys.modules:
            _registered.add(name)
            try:
                importlib.import_module(name).register(cls, _reduce)
            except (ImportError, AttributeError):  # not a public part of joblib: then by value
                continue


# ---- receiving


def receive(
    reference: Reference,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    start: int,
    digest: bytes | None,
) -> Any:
    """The array that another process has sent, over the same memory.

    Raises:
        SerializationError: it cannot be had.
    """
    found = fetch(reference)
    array = numpy().ndarray(shape, dtype, memoryview(found[1]), start, strides)
    return shared(array, reference.place.path, reference.token, digest=digest)
