# SPDX-License-Identifier: BSD-3-Clause
"""Sending Arrow data, tables of pandas' and masked arrays by reference; see ``_sending``.

A buffer of Arrow does not say whose memory it holds.  So the leases over which there are some are
known by their addresses, one for each value (``anchor``), for as long as they live: where such a
buffer is, its lease is there too, or it would have no memory.

Most of a table of pandas' is arrays and needs nothing.  Its columns of text are Arrow data, which
pandas copies when it pickles them, to leave out the rest of what a column was cut from; toward
workers one that has 64 KiB or more and is in one piece goes as it is.  An index makes a plain array
of its own of what it is given, and a masked array of its parts; both say again where it lies.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

from plib_cache._core import Lease
from plib_cache._handing import can_offer
from plib_cache._ndarray import numpy
from plib_cache._out_of_band import make_masked
from plib_cache._sending import Reduced, begin, shared, tell
from plib_cache._shared_array import SMALLEST, lease_under

# By the address where the value begins.
_anchors: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def anchor(lease: Any) -> Any:
    """A lease of the same value, the one by which its memory is known."""
    found = _anchors.get(lease.address)
    if found is lease:
        return lease
    if found is None or found.run() != lease.run():  # one of before a fork, perhaps
        _anchors[lease.address] = found = lease
    return found


def lease_around(address: int, nbytes: int) -> Any | None:
    """The lease in whose memory so many bytes lie, if one is known."""
    for lease in list(_anchors.values()):
        if lease.address <= address and address + nbytes <= lease.address + lease.nbytes:
            return lease
    return None


def _plain(value: Any) -> Reduced:
    """What every pickler of protocol 2 or later does."""
    reduced: Reduced = value.__reduce_ex__(4)
    return reduced


# ---- Arrow


def tell_buffers() -> None:
    """Have buffers of Arrow sent by reference, if the program has any."""
    pa: Any = sys.modules.get("pyarrow")
    if pa is not None:
        begin()
        tell(pa.Buffer, _buffer_by_reference, _plain)


def shared_buffer(raw: Any) -> Any:
    """``pyarrow.py_buffer`` of memory that goes to other processes by reference."""
    pa: Any = sys.modules["pyarrow"]
    buffer = pa.py_buffer(raw)
    view = memoryview(raw)
    lease: Any = view.obj
    if type(lease) is Lease and (known := anchor(lease)) is not lease:
        start = buffer.address - lease.address
        return pa.py_buffer(memoryview(known)[start : start + view.nbytes])
    return buffer


def _buffer_by_reference(buffer: Any) -> Reduced | None:
    lease = lease_around(buffer.address, buffer.size) if buffer.size >= SMALLEST else None
    if lease is None or buffer.is_mutable or not can_offer(lease):
        return None
    return receive_buffer, (lease, buffer.address - lease.address, buffer.size)


def receive_buffer(memory: Any, start: int, nbytes: int) -> Any:
    """The buffer that another process has sent."""
    import pyarrow  # noqa: F401 - the sender has it, and so this process needs it

    tell_buffers()
    return shared_buffer(memoryview(memory)[start : start + nbytes])


# ---- pandas: columns that are made of Arrow data, and indexes, which make plain arrays of theirs


def tell_column(cls: type) -> None:
    """Have columns of that class of pandas' sent by reference."""
    begin()
    tell(cls, _column_by_reference, _plain)


def _column_by_reference(column: Any) -> Reduced | None:
    chunks: Any = getattr(getattr(column, "_pa_array", None), "chunks", ())
    if len(chunks) != 1 or chunks[0].nbytes < SMALLEST:
        return None
    buffers = [one for one in chunks[0].buffers() if one is not None]
    if not any(lease_around(one.address, one.size) for one in buffers):
        return None
    state = {**column.__dict__, "_pa_array": chunks[0]}
    if "_cache" in state:
        state["_cache"] = {}
    return receive_column, (type(column), state)


def receive_column(cls: Any, state: dict[str, Any]) -> Any:
    """The column that another process has sent."""
    tell_column(cls)
    column: Any = cls.__new__(cls)
    column.__setstate__(state)
    return column


def shared_index(make: Any, cls: type, parts: dict[str, Any]) -> Any:
    """What ``make``, pandas' own function, makes of the parts of an index."""
    begin()
    tell(cls, _index_by_reference, _plain)
    return make(cls, parts)


def _index_by_reference(index: Any) -> Reduced | None:
    data: Any = getattr(index, "_data", None)
    if type(data) is not numpy().ndarray or data.nbytes < SMALLEST or lease_under(data) is None:
        return None
    make, (cls, parts), *_ = index.__reduce__()
    return shared_index, (make, cls, {**parts, "data": shared(data)})


# ---- masked arrays


def shared_masked(cls: Any, data: Any, mask: Any, fill_value: Any, hard: bool) -> Any:
    """``_out_of_band.make_masked``, of arrays over memory that goes by reference."""
    np = numpy()
    begin()
    tell(cls, _masked_by_reference, _plain)
    plain = None if mask is None else np.asarray(mask).view(np.ndarray)
    return make_masked(cls, np.asarray(data).view(np.ndarray), plain, fill_value, hard)


def _masked_by_reference(array: Any) -> Reduced | None:
    data = array.data
    if lease_under(data) is None or array.nbytes < SMALLEST:
        return None
    mask = None if array.mask is numpy().ma.nomask else shared(array.mask)
    parts = type(array), shared(data), mask, array._fill_value, array.hardmask
    return receive_masked, parts


def receive_masked(*parts: Any) -> Any:
    """The masked array that another process has sent."""
    return shared_masked(*parts)
