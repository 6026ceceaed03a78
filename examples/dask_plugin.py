"""Two dask clusters, one behind the other: the second one finds the results of the first."""

from distributed import Client, LocalCluster

import plib_cache
from plib_cache.integrations.dask import PlibCachePlugin

NAME = "example-dask"


@plib_cache.cache  # uses the cache that the plugin opens in each worker
def slow(n: int) -> int:
    """Count the computations of all workers, and compute."""
    plib_cache.get_cache().incr("computations")
    return sum(i * i for i in range(n))


def run_cluster() -> list[int]:
    """Start workers, let them compute, end them."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(PlibCachePlugin(NAME, size="16MiB"))
        return client.gather(client.map(slow, range(100_000, 100_010)))


def main() -> None:
    """Run two clusters and see who computed."""
    with plib_cache.Cache(NAME, size="16MiB") as cache:
        cache.clear()
        cache["computations"] = 0
        first = run_cluster()
        print("the first cluster computed", cache["computations"], "results")
        second = run_cluster()
        print("both clusters together computed", cache["computations"])
        print("equal:", first == second)


if __name__ == "__main__":
    main()
