# SPDX-License-Identifier: BSD-3-Clause
"""Calls that are made at the same time, so that those who wait, wait together.

One is made in the caller's thread and the others in threads that are kept for the next time.  At
the end of the interpreter, when there are no new threads, they are made one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_THREADS_MOST = 32

T = TypeVar("T")


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
        begun: list[Future[T]] = []
        for call in calls[1:]:
            try:
                begun.append(self._pool.submit(call))
            except RuntimeError:  # the interpreter ends, or another thread has closed this
                break
        mine = [call() for call in (calls[0], *calls[1 + len(begun) :])]
        return [mine[0], *(one.result() for one in begun), *mine[1:]]

    def close(self) -> None:
        """Let the threads go; the next calls have new ones."""
        pool = self._pool
        self._renew()
        pool.shutdown(wait=False)
