# SPDX-License-Identifier: BSD-3-Clause
"""``Reservation``: a value that is written where it will lie, and seen by nobody before then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from plib_cache._moments import Expire, deadline_ms

if TYPE_CHECKING:
    from plib_cache._core import Region


class Reservation:
    """Room for one value in a cache, from ``Cache.reserve`` or ``Cache.reserve_array``.

    Fill ``buffer`` or ``array``, then ``seal``; or use it as a context manager, which seals it at
    the end of the block, and gives it back if the block raises.  What is neither sealed nor
    aborted is given back when the object goes, or the process ends.

    Notes:
        From sealing on the memory can only be read, by its writer too.  ``buffer`` and ``array``
        are read-only then; writing through something that was derived from them before (a slice
        of the buffer, a view of the array) ends the process with SIGSEGV.  What the kernel was
        asked to write there asynchronously (io_uring, O_DIRECT) must have ended before.
        After a fork the reservation stays the parent's: in the child its memory is zeros that go
        nowhere, and it cannot be sealed.
    """

    def __init__(self, region: Region, key: bytes, filling: Any, expire: Expire) -> None:
        self._region = region
        self._key = key
        self._filling = filling
        self._expire = expire
        self._buffer: memoryview | None = memoryview(filling)
        self._array: Any = None
        self._state = "open"
        self.sealed: Callable[[], None] | None = None  # is called when the value is there

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key!r:.80}, {self._state}>"

    @property
    def buffer(self) -> memoryview:
        """The value's bytes: writable until it is sealed, and read-only from then on.

        Raises:
            ValueError: it was given back.
        """
        if self._buffer is None:
            if self._state == "aborted":
                raise ValueError(
                    "the reservation was given back, and its buffer with it: reserve the key again"
                )
            self._buffer = memoryview(self._filling)
        return self._buffer

    @property
    def array(self) -> Any:
        """The array over the buffer; only of what ``reserve_array`` reserved."""
        if self._array is None:
            raise AttributeError(
                "only a reservation made by reserve_array has an array: use buffer"
            )
        return self._array

    @array.setter
    def array(self, value: Any) -> None:
        if value is not self._array or value is None:  # ``room.array *= 2`` gives back what it got
            raise AttributeError("the array lies in the cache: write into it, array[...] = value")

    def seal(self) -> None:
        """Publish the value under its key, in one step; what was there before is replaced.

        Raises:
            ValueError: it was sealed or given back before, or belongs to the parent of this
                process.
            BusyError: others are in the way; it is still reserved, and may be sealed again.
            ClosedError: the cache was closed.
        """
        if self._state in ("sealed", "aborted"):
            raise ValueError(f"the reservation was {self._state} already: reserve the key again")
        self._state = "being sealed"
        self._withdraw()
        self._region.seal(self._filling, self._key, deadline_ms(self._expire))
        self._state = "sealed"
        if self.sealed is not None:
            self.sealed()

    def abort(self) -> None:
        """Give the room back; nothing was stored.  After ``seal`` it does nothing."""
        if self._state != "sealed":
            self._state = "aborted"
            self._withdraw()
            self._filling.abort()

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abort()
        elif self._state == "open":
            self.seal()

    def _place_array(self, head: bytes, shape: Any, dtype: Any, order: str) -> None:
        """Write the head of an array's frame, and have ``array`` lie behind it."""
        from plib_cache._ndarray import numpy

        buffer = memoryview(self._filling)
        buffer[: len(head)] = head
        self._array = numpy().ndarray(shape, dtype, buffer, len(head), order=order)

    def _withdraw(self) -> None:
        """Nobody is to write through what was handed out, as far as Python can see to it."""
        if self._array is not None:
            self._array.setflags(write=False)
        if self._buffer is not None:
            with contextlib.suppress(BufferError):  # something derived from it is alive
                self._buffer.release()
            self._buffer = None
