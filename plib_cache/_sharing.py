# SPDX-License-Identifier: BSD-3-Clause
"""Reading a value in place such that whatever has memory in it goes to others by reference.

That is the work of ``copy="shared"``: the value is what ``copy=False`` gives, but the arrays in
it are of ``SharedArray``, wherever they are: in lists and dicts, in objects of a user's, as the
columns of a DataFrame, as the data of a sparse matrix.  They are made so when the value is
unpickled, by other functions than those that its pickle names.  Arrow data and masked arrays stay
what they are, and are known as ``_sending_tables`` says.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from plib_cache._core import Found, Lease
from plib_cache._frame import DamagedValueError, parse_frame
from plib_cache._ndarray import decode_array, numpy
from plib_cache._out_of_band import make_array
from plib_cache._pickling import Unpickler, load
from plib_cache._sending import array_class, shared, tell_subclass
from plib_cache._sending_tables import (
    anchor,
    shared_buffer,
    shared_index,
    shared_masked,
    tell_buffers,
    tell_column,
)
from plib_cache.serialize import DECODERS, DefaultSerializer, Serializer, TypeCode


def load_shared(serializer: Serializer, found: Found) -> Any:
    """The value of what was read in place; of a copy, the value as always.

    Raises:
        SerializationError: it cannot be made.
    """
    code, lease = found[0], found[1]
    if type(lease) is not Lease:
        return serializer.loads(code, memoryview(lease))
    if type(serializer) is DefaultSerializer:
        return serializer.loads(code, memoryview(lease), _DECODERS)
    return share(serializer.loads(code, memoryview(lease)))


def share(value: Any) -> Any:
    """The value of a lease with its arrays shared, also those in lists, tuples and dicts."""
    np: Any = sys.modules.get("numpy")
    if np is not None and type(value) is np.ndarray:
        return shared(value)
    if type(value) in (list, tuple):
        return type(value)(map(share, value))
    if type(value) is dict:
        return {key: share(one) for key, one in value.items()}
    return value


class _Unpickler(Unpickler):
    """Makes arrays that go by reference."""

    def find_class(self, module: str, name: str, /) -> Any:
        found = super().find_class(module, name)
        if name in _INSTEAD:
            package, instead = _INSTEAD[name]
            return instead(found) if module.startswith(package) else found
        return found


def _array_maker(found: Any) -> Any:
    """NumPy's function makes an array over a buffer, which may be one inside of the pickle."""
    cls = array_class()

    def make(raw: Any, *rest: Any) -> Any:
        array = found(raw, *rest)
        return array.view(cls) if type(raw) is memoryview else array

    return make


def _make_array(cls: Any, *rest: Any) -> Any:
    """Ours makes those that NumPy would copy."""
    if cls is numpy().ndarray:
        return make_array(array_class(), *rest)
    tell_subclass(cls)
    return make_array(cls, *rest)


def _buffer_maker(_: Any) -> Any:
    tell_buffers()
    return shared_buffer


def _told_column(found: Any) -> Any:
    tell_column(found)
    return found


# What is called instead of what a pickle names: by its name, the package that it is in, and what
# gives the other.
_INSTEAD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "_frombuffer": ("numpy.", _array_maker),
    "make_array": ("plib_cache.", lambda _: _make_array),
    "make_masked": ("plib_cache.", lambda _: shared_masked),
    "py_buffer": ("pyarrow", _buffer_maker),
    "_new_Index": ("pandas.", lambda found: functools.partial(shared_index, found)),
    "ArrowStringArray": ("pandas.", _told_column),
    "ArrowStringArrayNumpySemantics": ("pandas.", _told_column),
    "ArrowExtensionArray": ("pandas.", _told_column),
}


def _decode_array(data: memoryview) -> Any:
    return decode_array(data, array_class())


def _decode_pickle(data: memoryview) -> object:
    try:
        return load(*parse_frame(data), _Unpickler)
    except DamagedValueError:  # or something in it insists on arrays of exactly ndarray
        return load(*parse_frame(data))


def _decode_plain(data: memoryview) -> object:
    """Arrow data does not come through here by itself, so its memory is made known in any case."""
    value = DECODERS[TypeCode.DATA](memoryview(anchor(data.obj)))
    tell_buffers()
    return share(value)


_DECODERS = {
    **DECODERS,
    TypeCode.NDARRAY: _decode_array,
    TypeCode.PICKLE5: _decode_pickle,
    TypeCode.CLOUDPICKLE: _decode_pickle,
    TypeCode.DATA: _decode_plain,
}
