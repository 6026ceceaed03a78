# SPDX-License-Identifier: BSD-3-Clause
"""Values of a worker in the region: put there, held, and taken from where others have put them.

Who holds a value has a lease on it: it cannot be evicted, and when the last of those who hold it
is gone, by SIGKILL too, its memory is free.  So a value has no name in the region beyond the moment
in which it is put there, and nothing is left behind that somebody would have to clean up.  (Results
that are to outlive the cluster keep theirs.)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import dask.sizeof

from plib_cache import Held, RegionFullError, SerializationError, ValueTooLargeError
from plib_cache.integrations.dask._config import Options
from plib_cache.integrations.dask._counts import Counts
from plib_cache.integrations.dask._region import Opened, Proof

Where = tuple[int, int]

_sizeof: Any = dask.sizeof.sizeof
_unknown_size = _sizeof.dispatch(object)

_NAME = b"plib_cache.dask "
# Rebuilt by copying, wherever they lie.
_COPIED = (bytes, str, bytearray, memoryview, int, float, complex, bool, type(None))
_ARRIVALS_S = 60.0  # for which a value that came by reference waits to be stored

# What came by reference and was not stored in a ``worker.data`` yet, by identity.  Of this process:
# a message is decoded before it is known whose it is.
_arrived: dict[int, tuple[float, Held]] = {}
_stores: dict[Proof, list[Store]] = {}
_lock = threading.Lock()


class HeldValues(dict[Any, Held]):
    """What a worker's mapping has in the region, by the task's key; changed by these methods only.

    Attributes:
        nbytes: of all of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0

    def __setitem__(self, key: Any, held: Held) -> None:
        self.pop(key, None)
        self.nbytes += held.nbytes
        super().__setitem__(key, held)

    def pop(self, key: Any, default: Any = None) -> Any:
        """Take a value out; the default if there is none."""
        found = super().pop(key, None)
        if found is None:
            return default
        self.nbytes -= found.nbytes
        return found

    def clear(self) -> None:
        """Take out all."""
        super().clear()
        self.nbytes = 0


class Store:
    """The values of one worker.

    Attributes:
        held: what the worker's mapping has in the region.
    """

    def __init__(self, opened: Opened, options: Options, counts: Counts) -> None:
        self.cache = opened.cache
        self._serializer = opened.serializer
        self.proof = opened.proof
        self.threshold = max(options.threshold, self.cache.info().in_place_from)
        self.writeable = options.writeable
        self.counts = counts
        self.held = HeldValues()
        with _lock:
            _stores.setdefault(self.proof, []).append(self)

    def close(self) -> None:
        """Nothing is taken for this worker any more; what is held stays with who holds it."""
        with _lock:
            _stores[self.proof].remove(self)
            if not _stores[self.proof]:
                del _stores[self.proof]

    def shareable(self, value: Any) -> int:
        """About how many bytes a value is, if the region is the place for it; else 0."""
        if type(value) in _COPIED:
            return 0
        nbytes = self._size(value)
        return nbytes if nbytes >= self.threshold else 0

    def place(self, value: Any) -> Held | None:
        """The value in the region; None if it cannot be there.

        Raises:
            PlibCacheError: something is wrong with the region.
        """
        try:
            held = self._put(_NAME + os.urandom(16), value)
        except (RegionFullError, ValueTooLargeError, SerializationError):
            return None
        return None if held is None or held.where is None else held

    def _put(self, name: bytes, value: Any) -> Held | None:
        self.cache.set(name, value)
        try:
            return self.cache.hold(name, copy=self._copy(self.writeable))
        finally:
            self.cache.delete(name)

    def _size(self, value: Any) -> int:
        """About how large a value is, of a class that dask knows or that can be pickled."""
        try:
            if _sizeof.dispatch(type(value)) is _unknown_size:
                return self._serializer.dumps(value).nbytes
            return int(_sizeof(value))
        except SerializationError:
            return 0
        except Exception as error:  # of anybody's class
            self.counts.failed("the size of a value is not known", error)
            return 0

    def _copy(self, writeable: bool) -> Any:
        return "cow" if writeable else False

    def take(self, where: Where) -> Any:
        """The value that another worker holds; ``store`` will know it again.

        Raises:
            LookupError: nobody has kept it.
            Exception: it cannot be rebuilt.
        """
        held = self.cache.hold_at(where, copy=self._copy(self.writeable))
        if held is None:
            raise LookupError("a value that was sent by reference is not there")
        self.counts.taken += 1
        self.counts.taken_bytes += held.nbytes
        if held.where is not None:
            _expire()
            _arrived[id(held.value)] = (time.monotonic(), held)
        return held.value

    def find(self, name: bytes) -> Held | None:
        """What is stored under a name; ``store`` will know its value again.

        Raises:
            PlibCacheError: it cannot be had.
        """
        held = self.cache.hold(name, copy=self._copy(self.writeable))
        if held is not None and held.where is not None and held.nbytes >= self.threshold:
            _expire()
            _arrived[id(held.value)] = (time.monotonic(), held)
        return held

    def arrived(self, value: Any) -> Held | None:
        """What is known of a value that came by reference, once."""
        if not _arrived:
            return None
        found = _arrived.pop(id(value), None)
        return None if found is None else found[1]

    def make_writeable(self, key: Any) -> None:
        """Have the value of a key, from now on, in memory that can be written to."""
        held = self.held.get(key)
        if held is None or self.writeable or held.where is None:
            return
        again = self.cache.hold_at(held.where, copy="cow")
        if again is not None:
            self.held[key] = again


def store_of(proof: Proof) -> Store | None:
    """The store of a worker of this process that has that region open."""
    with _lock:
        stores = _stores.get(proof)
        return stores[0] if stores else None


def sweep() -> None:
    """Let go of what came and was never stored, as its task was cancelled meanwhile."""
    _expire()


def _expire() -> None:
    """The dict is in the order of arrival."""
    limit = time.monotonic() - _ARRIVALS_S
    for number in list(_old(limit)):
        _arrived.pop(number, None)


def _old(limit: float) -> Iterator[int]:
    for number, (since, _) in list(_arrived.items()):
        if since > limit:
            return
        yield number
