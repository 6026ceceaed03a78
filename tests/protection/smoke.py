# SPDX-License-Identifier: BSD-3-Clause
"""Do joblib and dask share results here at all?  One small run of each; no exception: they do.

Their tests proper are in tests/integrations; this is for where these take too long.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import joblib

import plib_cache
import plib_cache.integrations.joblib  # makes backend="plib" known

NAME = "smoke"


def square(n: int) -> int:
    return n * n


def use_joblib() -> None:
    """Two workers compute, then nobody; threads, since a new process takes half a minute here."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"size": "16MiB"}
        memory = joblib.Memory(folder, backend="plib", verbose=0, backend_options=options)
        cached = memory.cache(square)
        wanted = [square(n) for n in range(6)]
        assert (
            joblib.Parallel(n_jobs=2, backend="threading")(
                joblib.delayed(cached)(n) for n in range(6)
            )
            == wanted
        )
        assert all(cached.check_call_in_cache(n) for n in range(6))
        assert [cached(n) for n in range(6)] == wanted


def count(n: int) -> int:
    plib_cache.get_cache().incr("computations")
    return n


def use_dask() -> None:
    """Workers use the cache that the plugin opens for them."""
    from distributed import Client  # joblib's workers do without it

    from plib_cache.integrations.dask import PlibCachePlugin

    here: dict[str, Any] = {"dashboard_address": None, "processes": False}
    start: Callable[..., Any] = Client
    with (
        plib_cache.Cache(NAME, size="16MiB") as cache,
        start(n_workers=1, threads_per_worker=2, **here) as client,
    ):
        cache["computations"] = 0
        client.register_plugin(PlibCachePlugin(NAME, size="16MiB"))
        assert client.gather(client.map(count, range(10))) == list(range(10))
        assert cache["computations"] == 10


if __name__ == "__main__":
    use_joblib()
    print("joblib: fine", flush=True)
    use_dask()
    print("dask: fine", flush=True)
