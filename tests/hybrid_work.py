# SPDX-License-Identifier: BSD-3-Clause
"""What the processes of the nodes of ``test_hybrid.py`` compute, and how each result was had.

``square`` is memorized by joblib's ``Memory`` with memcached servers behind it, in any process;
``cube`` is decorated, and in a dask worker has the cluster's other nodes behind it.  Both are in
one region of the node, so that joblib's processes and the dask worker of a node share it.
"""

from __future__ import annotations

import functools
import os
import time
from typing import Any

import numpy as np

import plib_cache
from plib_cache import Cache
from plib_cache.integrations.joblib import Memory

REGION = "hybrid"
LATER = 100  # numbers from here on take their time


def _note(*words: Any) -> None:
    """A line in the log of all nodes."""
    line = " ".join(map(str, (*words, os.environ["HYBRID_NODE"], os.getpid())))
    log = os.open(os.environ["HYBRID_LOG"], os.O_WRONLY | os.O_APPEND)
    os.write(log, line.encode() + b"\n")
    os.close(log)


_computed: set[tuple[str, int]] = set()  # by this process, since that was asked


def _computed_here(name: str, x: int) -> bool:
    there = (name, x) in _computed
    _computed.discard((name, x))
    return there


def _compute(name: str, x: int, power: int) -> Any:
    _note("computed", name, x)
    _computed.add((name, x))
    if x >= LATER:
        time.sleep(0.2)
    return np.full(1000, x**power)


def square(x: int) -> Any:
    """An array of x * x."""
    return _compute("square", x, 2)


@plib_cache.cache
def cube(x: int) -> Any:
    """An array of x * x * x."""
    return _compute("cube", x, 3)


@functools.cache
def _memorized(url: str) -> Any:
    memory = Memory(REGION, verbose=0, remote=url, backend_options={"size": "64MiB"})
    return memory.cache(square), Cache(REGION, remote=url)  # the second: to see what is counted


@functools.cache
def _configured(url: str) -> None:
    plib_cache.configure(REGION, remote=url)


def outcome(who: str, name: str, x: int, url: str) -> dict[str, Any]:
    """A result, who had it, and by what: "computed", "remote", or "memory" of the node."""
    _note("asked", who, name, x)
    if name == "square":
        function, cache = _memorized(url)
    else:
        if who == "joblib":
            _configured(url)
        function, cache = cube, plib_cache.get_cache()
    before = cache.stats().remote.hits
    value = function(x)
    hits = cache.stats().remote.hits - before
    by = "computed" if _computed_here(name, x) else "remote" if hits else "memory"
    if by == "computed" and who == "dask":
        cache.wait_remote(30)
    return {"x": x, "value": int(value.min()), "same": bool((value == value[0]).all()), "by": by}
