# SPDX-License-Identifier: BSD-3-Clause
"""Calls that are made at the same time, so that those who wait, wait together.

One is made in the caller's thread and the others in threads that are kept for the next time.  At
the end of the interpreter, when there are no new threads, they are made one after the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_THREADS_MOST = 32

T = TypeVar("T")


def _make(left: list[Callable[[], T]], done: Future[T]) -> None:
    """Make a call, once: what could not be begun for want of threads stays in the pool's queue, and
    to store a value again when there are some might be after it was deleted."""
    with contextlib.suppress(IndexError):
        call = left.pop()
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)


class Together:
    """Makes calls at the same time, for any number of threads, also after a fork."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._pool = ThreadPoolExecutor(_THREADS_MOST, "plib_cache asks servers")

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What the calls give, in their order; the first error that one of them raises."""
        if not calls:
            return []
        if self._pid != os.getpid():
            self._renew()  # the threads are the parent's
        others = [([call], Future[T]()) for call in calls[1:]]
        begun = 0
        for left, done in others:
            try:
                self._pool.submit(_make, left, done)
            except RuntimeError:  # no more threads, the interpreter ends, or this was closed
                break
            begun += 1
        first = calls[0]()
        for left, done in others[begun:]:
            _make(left, done)
        return [first, *(done.result() for _, done in others)]

    def close(self) -> None:
        """Let the threads go; the next calls have new ones."""
        pool = self._pool
        self._renew()
        pool.shutdown(wait=False)
