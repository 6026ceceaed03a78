# SPDX-License-Identifier: BSD-3-Clause
"""Values in place: views of what is stored, and room to write a value where it will lie."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any, Literal

from plib_cache import _ndarray
from plib_cache._attached import Attached, Key
from plib_cache._core import Found, NotInPlaceError, Region
from plib_cache._flight import MISSING, Missing
from plib_cache._frame import DamagedValueError
from plib_cache._moments import Expire
from plib_cache._reserve import Reservation
from plib_cache.exceptions import ConfigurationError, CorruptRegionError
from plib_cache.keys import key_bytes
from plib_cache.serialize import DefaultSerializer, Encoded, Serializer, TypeCode, buffer_of

Copy = bool | Literal["cow", "shared"]


def check_copy(copy: object) -> None:
    """Refuse what is no way to read.

    Raises:
        ValueError: it is neither True, False, "shared" nor "cow".
    """
    if not isinstance(copy, bool) and copy not in (
        "cow",
        "shared",
    ):  # what is only equal to them (0, 1) is a mistake
        raise ValueError(
            f"copy={copy!r}: give True, False (in place), 'shared' (in place, and by reference to "
            "workers) or 'cow' (copy on write)"
        )


def read_in_place(region: Region, raw: bytes, name: int = 0, *, private: bool) -> Found | None:
    """What is stored under a key, in place if that can be, and else as a copy; see ``get``."""
    try:
        return region.lease(raw, name, private=private)
    except NotInPlaceError:
        found = region.get(raw, name)
        if found is None or private:
            return found
        return (found[0], memoryview(found[1]).toreadonly(), *found[2:])


def reader(copy: Copy) -> Callable[..., Found | None]:
    """The function of region, key and name that reads so.

    Raises:
        ValueError: it is no way to read.
    """
    check_copy(copy)
    if copy is True:
        return Region.get
    return functools.partial(read_in_place, private=copy == "cow")


def decode(serializer: Serializer, found: Found, copy: Copy) -> Any:
    """The value of what was read so.

    Raises:
        SerializationError: it cannot be made.
    """
    if copy == "shared":
        from plib_cache._sharing import load_shared  # and all about workers

        return load_shared(serializer, found)
    return serializer.loads(found[0], memoryview(found[1]))


class InPlace(Attached):
    """Reading and writing without a copy."""

    def view(self, key: Key) -> memoryview:
        """The bytes of a value, where they lie in the cache: no copy, whatever their number.

        Of bytes, bytearray, memoryview and str (its UTF-8) all bytes, of a NumPy array its
        elements.  The view is read-only, and holds what was stored when it was taken: also when
        the key is replaced, deleted or evicted meanwhile, when the cache is closed, and in a
        forked child.  That ends, and the memory is free, with the last object derived from the
        view (slices, arrays by ``numpy.frombuffer``, tables over them), or when the process dies.

        Notes:
            As a context manager it gives up this one view at the end; what was derived from it
            goes on, but what holds this view itself, as a pyarrow buffer or a PickleBuffer does,
            makes that end a BufferError: let it go first.
            A small value (less than ``info().in_place_from``) comes as a copy, and so does one
            that is beyond the limits; see ``get``.

        Raises:
            KeyError: there is no such value.
            TypeError: it is no buffer; ``get(key, copy=False)`` rebuilds it in place.
        """
        found = self._find_in_place(key_bytes(key)[0], False)
        if found is None:
            raise KeyError(key)
        return buffer_of(found[0], memoryview(found[1]).toreadonly())

    def reserve(
        self,
        key: Key,
        nbytes: int,
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> Reservation:
        """Room for a bytes value, to be written in place and then sealed; see ``Reservation``.

        Args:
            nbytes: its length; the room begins at a page, and holds whatever lay there before.
            expire: counts from sealing on; the others as for ``set``.

        Raises:
            ValueTooLargeError: it can never fit into this region.
            RegionFullError: not now, or too much is leased and reserved already.
        """
        return self._reserve(key, TypeCode.BYTES, _length(nbytes), expire, namespace, tags)

    def reserve_array(
        self,
        key: Key,
        shape: int | tuple[int, ...],
        dtype: Any,
        expire: Expire = None,
        *,
        order: Literal["C", "F"] = "C",
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> Reservation:
        """Room for a NumPy array: compute into its ``array`` (``out=``), then seal it.

        Raises:
            TypeError, ValueError: no array of that shape and dtype can be written in place.
            ValueTooLargeError, RegionFullError: as for ``reserve``.
        """
        head, nbytes = _ndarray.array_head(shape, dtype, order)
        made = self._reserve(key, TypeCode.NDARRAY, len(head) + nbytes, expire, namespace, tags)
        made._place_array(head, shape, dtype, order)
        return made

    def _reserve(
        self,
        key: Key,
        code: TypeCode,
        nbytes: int,
        expire: Expire,
        namespace: str | None,
        tags: Iterable[str],
    ) -> Reservation:
        if not isinstance(self._serializer, DefaultSerializer):
            raise ConfigurationError(
                f"{type(self._serializer).__name__} decides how this cache's values are stored, so "
                "none can be written in place: use set, or a cache with the default serializer"
            )
        raw, text = key_bytes(key)
        terms = self._terms(text, expire, namespace, tags)
        filling = self._region.reserve(raw, Encoded(code, [], nbytes), terms)
        return Reservation(self._region, raw, filling, expire)

    def _find_in_place(self, raw: bytes, private: bool) -> Found | None:
        """What is stored under a key, in place if that can be, and else as a copy."""
        try:
            return read_in_place(self._region, raw, private=private)
        except CorruptRegionError as error:
            self._doubt(error)
            return None

    def _load_in_place(self, raw: bytes, copy: Copy) -> Any | Missing:
        """The value of a key, over the memory of the cache."""
        found = self._find_in_place(raw, copy == "cow")
        if found is None:
            return MISSING
        type_code, data = found[0], memoryview(found[1])
        if type_code == 0 and self._plain:
            return bytes(data)
        try:
            return decode(self._serializer, found, copy)
        except DamagedValueError as error:
            self._doubt(error)
            return MISSING


def _length(nbytes: object) -> int:
    try:
        length = operator.index(nbytes)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"nbytes is a {type(nbytes).__name__}: give an int") from None
    if length < 0:
        raise ValueError(f"nbytes={length}: give 0 or more")
    return length
