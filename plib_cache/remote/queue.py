# SPDX-License-Identifier: BSD-3-Clause
"""Writes and deletes on their way to the tiers, in the background.

There is one entry for each key: a later operation on it replaces one that still waits, so what is
delivered last is what was done last.  Until it is delivered a key is *hidden*: what a tier has of
it is older than what this process did, and is no hit.

A write that cannot be delivered is dropped and counted.  A delete is kept until it is delivered,
and a dropped write of a value that may change becomes a delete, for an older value may be there.
Bounds: 4,096 writes of together 64 MiB; 100,000 deletes, of which the oldest are given up beyond
that.  What is given up, and what a process had not delivered when it was killed, ends with the
``max_age`` of the value that is there.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from plib_cache.remote.counts import Counts
from plib_cache.remote.layer import Write

WRITES_MOST = 4096
BYTES_MOST = 64 << 20
DELETES_MOST = 100_000
_BATCH = 64
_BATCH_BYTES = 1 << 20
_DELETE_BATCH = 1000
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 4.0


class Delivery(NamedTuple):
    """Who does the work, in the background or at once: each gives the keys that failed."""

    write: Callable[[Sequence[Write]], Collection[bytes]]
    delete: Callable[[Sequence[bytes]], Collection[bytes]]
    tend: Callable[[], float | None]
    end: Callable[[], None]  # the thread is done


class Queue:
    """The queue and its thread, which is started when there is something to do."""

    def __init__(self, delivery: Delivery, counts: Counts, name: str) -> None:
        self._deliver = delivery
        self._counts = counts
        self._name = name
        self._writes: dict[bytes, Write] = {}
        self._deletes: dict[bytes, None] = {}
        self._failed: dict[bytes, None] = {}  # deletes that are to be tried again
        self._flying: frozenset[bytes] = frozenset()
        self.changes = 0  # how often something was deleted or stored here
        self._renew_locks()

    def _renew_locks(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._bytes = sum(write.nbytes for write in self._writes.values())
        self._pause = _FIRST_PAUSE_S
        self._again_at = 0.0
        self._nudged = False
        self._resting = False  # the thread ends when nothing waits

    def __len__(self) -> int:
        return len(self._writes) + len(self._deletes) + len(self._failed) + len(self._flying)

    def hidden(self, key: bytes) -> bool:
        """Whether what a tier has of a key is older than what this process did."""
        return self._waits(key) or key in self._failed or key in self._flying

    # ---- from the callers

    def put(self, write: Write) -> None:
        """A value to be stored; if there is no room, it is dropped."""
        with self._changed:
            self.changes += 1
            self._forget(write.key)
            if len(self._writes) >= WRITES_MOST or self._bytes + write.nbytes > BYTES_MOST:
                self._counts.add("dropped")
                self._drop(write)
            else:
                self._enter(write)
            self._wake()

    def pass_on(self, write: Write, changes: int) -> None:
        """A value that a tier had; not if anything was changed here since ``changes`` was read."""
        with self._changed:
            if self.changes == changes and len(self._writes) < WRITES_MOST:
                self._forget(write.key)
                self._enter(write)
                self._wake()

    def _enter(self, write: Write) -> None:
        self._writes[write.key] = write
        self._bytes += write.nbytes

    def delete(self, keys: Iterable[bytes]) -> None:
        """Keys to be removed."""
        with self._changed:
            self.changes += 1
            for key in keys:
                self._forget(key)
                self._deletes[key] = None
            self._bound()
            self._wake()

    def _forget(self, key: bytes) -> None:
        """What waits for a key is out of date."""
        self._deletes.pop(key, None)
        self._failed.pop(key, None)
        write = self._writes.pop(key, None)
        self._bytes -= 0 if write is None else write.nbytes

    def _drop(self, write: Write) -> None:
        if not write.lasting:
            self._deletes[write.key] = None
            self._bound()

    def _bound(self) -> None:
        while len(self._deletes) + len(self._failed) > DELETES_MOST:
            oldest = self._failed or self._deletes
            del oldest[next(iter(oldest))]
            self._counts.add("deletes_given_up")

    def put_now(self, write: Write) -> None:
        """Store a value in this thread, and come back when that is done or has failed."""
        with self._changed:
            self.changes += 1
            self._forget(write.key)
        if not self._deliver.write([write]):
            self._counts.add("writes_delivered")
            return
        self._counts.add("dropped")
        with self._changed:
            self._drop(write)
            self._wake()

    def delete_now(self, keys: Sequence[bytes]) -> None:
        """Remove keys in this thread; those that cannot be are removed later."""
        with self._changed:
            self.changes += 1
            for key in keys:
                self._forget(key)
        failed = self._deliver.delete(keys)
        self._counts.add("deletes_delivered", len(keys) - len(failed))
        if failed:
            with self._changed:
                self._failed.update(dict.fromkeys(failed))
                self._bound()
                self._wake()

    def nudge(self) -> None:
        """A server went away or came back: look again."""
        with self._changed:
            self._nudged, self._pause, self._again_at = True, _FIRST_PAUSE_S, 0.0
            self._wake()

    def nudge_later(self) -> None:
        """Something is to be tended: ask when."""
        with self._changed:
            self._nudged = True
            self._wake()

    def drop_writes(self, limit: float) -> None:
        """Deliver no write that waits; what is under way has so many seconds to end."""
        with self._changed:
            self._counts.add("dropped", len(self._writes))
            self._writes, self._bytes = {}, 0
            self._changed.wait_for(lambda: not self._flying, limit)

    def drop_deletes(self) -> None:
        """No delete is needed any more, for everything was removed."""
        with self._changed:
            self._deletes, self._failed = {}, {}
            self._changed.notify_all()

    def wait(self, limit: float, tried: bool = False) -> bool:
        """Wait until nothing waits any more; False if that takes longer than so many seconds.

        Args:
            tried: do not wait for deletes that failed and are to be tried again.
        """

        def done() -> bool:
            return len(self) - (len(self._failed) if tried else 0) == 0

        with self._changed:
            return self._changed.wait_for(done, limit)

    def rest(self) -> None:
        """Have the thread end once nothing waits and nothing is due; a new one starts at need."""
        with self._changed:
            self._resting = self._thread is not None
            self._changed.notify_all()

    # ---- in the background

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            with contextlib.suppress(RuntimeError):  # the interpreter ends
                self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            due = self._guarded(self._deliver.tend)
            with self._changed:
                if self._resting and due is None and not self._nudged and not len(self):
                    self._thread, self._resting = None, False
                    break
                self._pace(due)
                deletes, writes = self._take()
            self._guarded(functools.partial(self._send_deletes, deletes))
            self._guarded(functools.partial(self._send_writes, writes))
            with self._changed:
                self._flying = frozenset()
                self._changed.notify_all()
        self._deliver.end()

    def _guarded(self, act: Callable[[], float | None]) -> float | None:
        """Whatever a tier does, the thread goes on."""
        try:
            return act()
        except Exception as error:
            self._counts.add("errors")
            with contextlib.suppress(Exception):  # where warnings are errors
                self._counts.warn(f"{error!r:.200}")
            return None

    def _pace(self, due: float | None) -> None:
        """Wait until there is something to do."""
        if not (self._writes or self._deletes or self._nudged):
            waits = [] if due is None else [due]
            if self._failed:
                waits.append(max(0.0, self._again_at - time.monotonic()))
            self._changed.wait(min(waits, default=None))
        self._nudged = False

    def _take(self) -> tuple[list[bytes], list[Write]]:
        deletes = _first(self._deletes, _DELETE_BATCH)
        if not deletes and time.monotonic() >= self._again_at:
            deletes = _first(self._failed, _DELETE_BATCH)
        writes: list[Write] = []
        nbytes = 0
        for write in self._writes.values():
            if writes and (len(writes) >= _BATCH or nbytes + write.nbytes > _BATCH_BYTES):
                break
            writes.append(write)
            nbytes += write.nbytes
        self._flying = frozenset(deletes).union(write.key for write in writes)
        for key in self._flying:
            self._forget(key)
        return deletes, writes

    def _send_deletes(self, keys: list[bytes]) -> None:
        failed: Collection[bytes] = keys
        try:
            failed = self._deliver.delete(keys) if keys else ()
        finally:
            with self._changed:
                self._counts.add("deletes_delivered", len(keys) - len(failed))
                self._counts.add("deletes_retried", len(failed))
                again = (key for key in failed if not self._waits(key))
                self._failed.update(dict.fromkeys(again))
                self._bound()
                if failed:
                    self._again_at = time.monotonic() + self._pause
                    self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)

    def _send_writes(self, writes: list[Write]) -> None:
        failed: Collection[bytes] = [write.key for write in writes]
        try:
            failed = self._deliver.write(writes) if writes else ()
        finally:
            with self._changed:
                self._counts.add("writes_delivered", len(writes) - len(failed))
                self._counts.add("dropped", len(failed))
                for write in writes:
                    if write.key in failed and not self._waits(write.key):
                        self._drop(write)

    def _waits(self, key: bytes) -> bool:
        return key in self._writes or key in self._deletes

    def after_fork(self) -> None:
        """In the child: the parent delivers its writes; deletes may well be delivered twice."""
        self._deletes = {**self._failed, **self._deletes, **dict.fromkeys(self._flying)}
        self._writes, self._failed, self._flying = {}, {}, frozenset()
        self._renew_locks()


def _first(keys: dict[bytes, None], most: int) -> list[bytes]:
    return [key for key, _ in zip(keys, range(most), strict=False)]
