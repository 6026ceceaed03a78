# SPDX-License-Identifier: BSD-3-Clause
"""The searches by a dask cluster of worker processes, with ``PlibCachePlugin``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from distributed import Client, LocalCluster, as_completed

from plib_cache.cli.demo import work
from plib_cache.cli.demo.by_joblib import mixed
from plib_cache.cli.demo.child import Event, options, serve
from plib_cache.cli.demo.shared import perform_shared
from plib_cache.integrations.dask import PlibCachePlugin

CACHE = "dask"


def main() -> None:
    """Serve the starting process."""
    given = options()
    tasks = mixed(given.quick)
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=work.workers(given.quick),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=given.folder,
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        client.register_plugin(PlibCachePlugin(CACHE))
        client.run(work.warm_up)

        def search(perform: Callable[[work.Task], Event]) -> Iterable[Event]:
            futures = client.map(perform, tasks, pure=False)
            done = as_completed(futures, with_results=True)  # type: ignore[no-untyped-call]
            return (result for _, result in done)

        serve(
            {
                "plain": lambda: search(work.perform_plain),
                "plib": lambda: search(perform_shared),
            }
        )


if __name__ == "__main__":
    main()
