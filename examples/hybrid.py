"""Two nodes (folders of one machine) with joblib, dask and memcached; then the network is gone."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
from distributed import Client, LocalCluster

from plib_cache.integrations.dask import PlibCachePlugin
from plib_cache.integrations.joblib import Memory

NAME, SIZE = "example-hybrid", "16MiB"


def squares(n: int) -> np.ndarray:
    """Some array that takes a while."""
    print("computing", n, flush=True)
    return np.arange(10_000) ** 2 + n


def node(servers: str) -> None:
    """What runs on each node: two joblib processes, and then a dask worker."""
    from hybrid import squares  # by its module's name, which means the same in all processes

    cached = Memory(NAME, verbose=0, remote=servers, backend_options={"size": SIZE}).cache(squares)
    by_joblib = joblib.Parallel(n_jobs=2)(joblib.delayed(cached)(n) for n in range(6))
    with LocalCluster(n_workers=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.register_plugin(PlibCachePlugin(NAME, size=SIZE))
        by_dask = client.gather(client.map(cached, range(6)))
    for n, pair in enumerate(zip(by_joblib, by_dask, strict=True)):
        assert all(np.array_equal(one, np.arange(10_000) ** 2 + n) for one in pair)


def run(name: str, folder: str, servers: str) -> None:
    """Run a node to its end, and say how many results it had to compute."""
    env = {**os.environ, "PLIB_CACHE_DIR": f"{folder}/{name}"}
    command = [sys.executable, __file__, servers]
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    print(f"{name} computed {done.stdout.count('computing')} of 6 results")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(node(sys.argv[1]))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = f"{folder}/memcached"
        with subprocess.Popen(["memcached", "-u", "root", "-s", path]) as server:
            while not Path(path).exists():
                time.sleep(0.01)
            for name in ("node-1", "node-2"):
                run(name, folder, f"memcached://{path}?write=sync")
            server.kill()
        run("node-2", folder, f"memcached://{path}?write=sync")  # of its own memory
