"""Which number of neighbours reads handwritten digits best?  Workers share data and results."""

from typing import Any

import dask
import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import plib_cache
from plib_cache.integrations.dask import PlibCachePlugin, counts

NAME = "example-dask-cluster"


def score(neighbours: int, data: Any) -> float:
    """How many digits are read right."""
    model = KNeighborsClassifier(neighbours)
    return float(cross_val_score(model, *data, cv=5).mean())


def run_cluster() -> tuple[list[float], dict[str, float]]:
    """Start workers, let them compute, and ask what was shared."""
    with (
        LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        plugin = PlibCachePlugin(NAME, size="64MiB", threshold="256 KiB", keep=("score",))
        client.register_plugin(plugin)
        data = dask.delayed(load_digits, pure=True)(return_X_y=True).persist()  # images and digits
        client.replicate(data)  # to all workers, who have them once
        scores = dask.compute(*[dask.delayed(score, pure=True)(n, data) for n in range(1, 7)])
        told = client.run(counts).values()
        return scores, {name: sum(one[name] for one in told) for name in ("taken", "found")}


def main() -> None:
    """Two clusters, one behind the other."""
    with plib_cache.Cache(NAME, size="64MiB") as cache:
        cache.clear()
        scores, shared = run_cluster()
        print("best:", 1 + int(np.argmax(scores)), "neighbours; images passed by reference:",
              shared["taken"], "times")  # fmt: skip
        again, shared = run_cluster()
        print("the second cluster found", shared["found"], "of", len(again), "results")
        assert again == scores


if __name__ == "__main__":
    main()
