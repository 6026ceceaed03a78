# SPDX-License-Identifier: BSD-3-Clause
"""Arrays over the memory of a cache that go to other processes by reference.

``SharedArray`` behaves as ``numpy.memmap`` does: what is computed from it is a plain array or a
scalar, slices and reshaped views stay over the same memory.  It says that its class is ndarray, so
that whoever asks for that (``joblib.hash``) finds no difference.

It has no attributes: which value it lies in is said by the ``Lease`` at the end of its bases
(``lease_under``), which every array over that memory has and no copy.  So to make one takes as
long as to make an array.  The class tells picklers what may go by reference (``_sending``).

NumPy is imported by the first array that is made, and the class is made then.
"""

from __future__ import annotations

import functools
from typing import Any

from plib_cache._core import Lease
from plib_cache._frame import rows_of
from plib_cache._known import digest_of
from plib_cache._ndarray import elements_of, numpy

SMALLEST = 1 << 16  # bytes that are sent by reference; below, a copy is as fast
_NDARRAY = 7  # of serialize.TypeCode; those from there on have a frame
_Form = tuple[Any, ...]


def lease_under(array: Any) -> Any | None:
    """The lease whose memory an array or a memoryview lies in, if it does."""
    np, base = numpy(), array
    while isinstance(base, np.ndarray):
        base = base.base
    owner = base.obj if isinstance(base, memoryview) else base
    return owner if type(owner) is Lease else None


# ---- the class


class _Behaviour:
    """What a SharedArray adds to an ndarray."""

    def __array_wrap__(
        self: Any, array: Any, context: Any = None, return_scalar: bool = False
    ) -> Any:
        """The result of a computation: plain."""
        plain = numpy().asarray(array)
        return plain[()] if return_scalar or plain.ndim == 0 else plain

    def copy(self: Any, order: Any = "C") -> Any:
        return numpy().array(self, order=order)

    def __deepcopy__(self: Any, memo: Any) -> Any:
        return numpy().array(self, order="K")

    def __copy__(self: Any) -> Any:
        return numpy().array(self, order="K")

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        return self.view(numpy().ndarray).__reduce_ex__(protocol)

    def __reduce__(self: Any) -> Any:
        return self.view(numpy().ndarray).__reduce__()

    def __plib_digest__(self: Any) -> bytes | None:
        """The digest of the content, if this is all of an array that was stored: as the cache has
        it, where whoever asks first has it stored."""
        lease = lease_under(self) if self.nbytes >= SMALLEST else None
        if lease is None or not _is_whole(self, lease):
            return None
        return digest_of(self.view(numpy().ndarray), lease, form_of(self, lease))


def form_of(array: Any, lease: Any) -> _Form:
    """What tells arrays over one value from each other."""
    return start_of(array, lease), array.shape, array.strides, array.dtype


def start_of(array: Any, lease: Any) -> int:
    """Where in the value the first element lies."""
    return int(array.__array_interface__["data"][0]) - int(lease.address)


def _is_whole(array: Any, lease: Any) -> bool:
    """Whether it has all elements of an array that was stored, and once each."""
    if not array.flags.forc:
        return False
    data = memoryview(lease)
    if lease.type_code == _NDARRAY:
        spans = [(len(data) - (length := len(elements_of(data))), length)]
    else:
        spans = rows_of(data)
    return (start_of(array, lease), array.nbytes) in spans


@functools.lru_cache(maxsize=1)
def shared_class() -> Any:
    """``SharedArray``."""
    np = numpy()
    body: dict[str, Any] = {
        name: value for name, value in vars(_Behaviour).items() if callable(value)
    }
    body["__class__"] = np.ndarray
    body["__slots__"] = ()
    body["__module__"], body["__doc__"] = __name__, __doc__
    return type("SharedArray", (np.ndarray,), body)
