# SPDX-License-Identifier: BSD-3-Clause
"""The searches by ``joblib.Parallel`` in worker processes, with plib_cache's ``Memory``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import joblib

from plib_cache.cli.demo import work
from plib_cache.cli.demo.child import Event, options, serve
from plib_cache.integrations.joblib import Memory

SIZE = "256MiB"


def main() -> None:
    """Serve the starting process."""
    given = options()
    memory = Memory(given.folder, verbose=0, backend_options={"size": SIZE})
    features, accuracy = memory.cache(work.features), memory.cache(work.accuracy)
    workers = work.workers(given.quick)
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    tasks = mixed(given.quick)
    list(parallel(joblib.delayed(work.warm_up)() for _ in range(2 * workers)))  # all are ready

    def search(*functions: Any) -> Iterable[Event]:
        found: Iterable[Event] = parallel(
            joblib.delayed(work.perform)(task, *functions) for task in tasks
        )
        return found

    serve(
        {
            "plain": lambda: search(work.features, work.accuracy),
            "plib": lambda: search(features, accuracy),
        }
    )


def mixed(quick: bool) -> list[work.Task]:
    """The tasks of all searches, in turn."""
    rows = itertools.zip_longest(*(work.tasks(n, quick) for n in range(work.SEARCHES)))
    return [task for row in rows for task in row if task is not None]


if __name__ == "__main__":
    main()
