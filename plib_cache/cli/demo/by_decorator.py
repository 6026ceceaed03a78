# SPDX-License-Identifier: BSD-3-Clause
"""One of the separately started processes that share results through ``@plib_cache.cache``."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable

from plib_cache.cli.demo import work
from plib_cache.cli.demo.child import Event, emit, options, serve
from plib_cache.cli.demo.shared import perform_shared


def main() -> None:
    """Serve the starting process."""
    given = options()
    tasks = work.tasks(given.search, given.quick)

    def plain() -> Iterable[Event]:
        return map(work.perform_plain, tasks)

    def plib() -> Iterable[Event]:
        if given.victim:
            work.computed.clear()
            work.announce = functools.partial(wait_for_death, 1 if given.quick else 3)
        return map(perform_shared, tasks)

    work.warm_up()
    serve({"plain": plain, "plib": plib})


def wait_for_death(fatal: int, what: str) -> None:
    """In that one of the computations, say so, and stay in it until the process is killed."""
    if len(work.computed) == fatal:
        emit({"event": "inside", "pid": os.getpid(), "what": what})
        sys.stdin.readline()


if __name__ == "__main__":
    main()
