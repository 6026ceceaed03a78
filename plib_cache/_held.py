# SPDX-License-Identifier: BSD-3-Clause
"""Values that are kept and can be told of: ``Cache.hold`` and ``Cache.hold_at``.

A ``Held`` is a value in place, a lease on it, and where it lies.  With the last, which is two
numbers, another process of the machine that has the same cache open gets the same value, whatever
has become of its key meanwhile: replaced, deleted, expired.  The value is there as long as somebody
holds it, so who tells of it keeps it until the other one says that he has it.
"""

from __future__ import annotations

from typing import Any

from plib_cache._attached import Key
from plib_cache._core import Found, Lease, NotInPlaceError
from plib_cache._frame import DamagedValueError
from plib_cache._inplace import Copy, InPlace, check_copy, decode
from plib_cache.exceptions import CorruptRegionError
from plib_cache.keys import key_bytes

Where = tuple[int, int]


class Held:
    """A value, and a lease on it that lasts as long as this object.

    Attributes:
        value: the value, over the memory of the cache.
        nbytes: how many bytes it has there.
        where: for ``Cache.hold_at``, here or in another process; None: the value is a copy, as the
            limits are reached or it is a small one.
    """

    __slots__ = ("_lease", "nbytes", "value", "where")

    def __init__(self, value: Any, nbytes: int, where: Where | None, lease: Any) -> None:
        self.value = value
        self.nbytes = nbytes
        self.where = where
        self._lease = lease

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.nbytes} bytes at {self.where}>"


class Holding(InPlace):
    """The operations."""

    def hold(self, key: Key, *, copy: Copy = False) -> Held | None:
        """The value of ``key``, held; None if there is none.

        Args:
            copy: False, "cow" or "shared" as for ``get``.

        Raises:
            ValueError: copy is True, or none of them.
            SerializationError: the value cannot be made.
        """
        _check(copy)
        raw = key_bytes(key)[0]
        try:
            found = self._region.lease(raw)
        except NotInPlaceError:
            found = self._region.get(raw)
        except CorruptRegionError as error:
            self._doubt(error)
            return None
        return self._held(found, copy)

    def hold_at(self, where: Where, *, copy: Copy = False) -> Held | None:
        """The value that lies there, held; None if nobody has kept it.

        Args:
            where: of a ``Held`` of the same cache, in any process of this machine.
            copy: as for ``hold``.
        """
        _check(copy)
        return self._held(self._region.lease_told(*where), copy)

    def _held(self, found: Found | None, copy: Copy) -> Held | None:
        if found is None:
            return None
        lease = memoryview(found[1]).obj
        run = lease.run() if isinstance(lease, Lease) else None
        where = None if run is None else (run, found[3])
        if where is not None and copy == "cow":  # a private mapping cannot be told of
            found = self._region.lease_told(*where, private=True) or found
        nbytes = memoryview(found[1]).nbytes
        try:
            value = decode(self._serializer, found, copy)
        except DamagedValueError as error:
            self._doubt(error)
            return None
        return Held(value, nbytes, where, None if where is None else lease)


def _check(copy: object) -> None:
    check_copy(copy)
    if copy is True:
        raise ValueError("copy=True holds nothing: give False, 'shared' or 'cow'")
