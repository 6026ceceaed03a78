# SPDX-License-Identifier: BSD-3-Clause
"""What is asked for, one after the other: traces that the same seed draws alike on any machine.

Zipf's distribution is drawn by its exact sums, popular records scattered.  A loop is a circle
through records.  The memoization traces are made of ``calls``: what was computed, how long it took,
what it left.  A call with another data set is another call of the same seconds and bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.calls import Call, recorded

if TYPE_CHECKING:  # NumPy is a peer's need: the rows are listed without it
    import numpy as np

VALUE_BYTES = 1000
KEY_BYTES = 16
PREPARING = ("scaled", "components", "rolled", "merged")
FITTING = ("forest", "logistic", "clusters", "score")


@dataclass(frozen=True)
class Trace:
    """Requests: of each its number; of each number its value's bytes and its seconds."""

    name: str
    seed: int
    ids: np.ndarray[Any, np.dtype[np.uint32]]
    nbytes: np.ndarray[Any, np.dtype[np.uint32]]
    seconds: np.ndarray[Any, np.dtype[np.float64]]

    @property
    def data_bytes(self) -> int:
        """Keys and values of all that is asked for at all."""
        return int((self.nbytes + KEY_BYTES).sum())


def _numpy() -> Any:
    from benchmarks.bench import module

    return module("numpy")


def _drawn(chance: Any, n: int, exponent: float, count: int) -> Any:
    """So many numbers below n by Zipf's law; which are popular is chance."""
    np = _numpy()
    sums = np.cumsum(np.arange(1, n + 1, dtype=float) ** -exponent)
    ranks = np.searchsorted(sums, chance.random(count) * sums[-1])
    return chance.permutation(n).astype(np.uint32)[ranks]


def _alike(name: str, seed: int, ids: Any) -> Trace:
    """Requests of values that are all alike; none took any time."""
    np = _numpy()
    n = int(ids.max()) + 1
    return Trace(name, seed, ids.astype(np.uint32), np.full(n, VALUE_BYTES, np.uint32), np.zeros(n))


def zipf(cache_bytes: int, seed: int, exponent: float) -> Trace:
    """Records of which a tenth fits into the cache; eight requests for each."""
    n = 10 * cache_bytes // (VALUE_BYTES + KEY_BYTES)
    ids = _drawn(_numpy().random.default_rng(seed), n, exponent, 8 * n)
    return _alike(f"zipf-{exponent}", seed, ids)


def scan_mixed(cache_bytes: int, seed: int) -> Trace:
    """The same with exponent 1; three of ten requests are for what is never asked for again."""
    np = _numpy()
    chance = np.random.default_rng(seed)
    n = 10 * cache_bytes // (VALUE_BYTES + KEY_BYTES)
    ids = _drawn(chance, n, 1.0, 8 * n)
    scan = np.flatnonzero(chance.random(8 * n) < 0.3)
    ids[scan] = n + np.arange(len(scan))
    return _alike("scan-mixed", seed, ids)


def loop(cache_bytes: int, seed: int) -> Trace:
    """A quarter more than fits, in one order, 16 times."""
    np = _numpy()
    n = cache_bytes * 5 // 4 // (VALUE_BYTES + KEY_BYTES)
    return _alike("loop", seed, np.tile(np.random.default_rng(seed).permutation(n), 16))


# ---- memoization


def _of_calls(name: str, seed: int, calls: list[Call], which: Any, ids: Any) -> Trace:
    """A trace of which number i is a call of ``calls[which[i]]``."""
    np = _numpy()
    nbytes = np.array([call.nbytes for call in calls], np.uint32)[which]
    seconds = np.array([call.seconds for call in calls])[which]
    return Trace(name, seed, ids.astype(np.uint32), nbytes, seconds)


def _sets(calls: list[Call], cache_bytes: int) -> int:
    """Of how many data sets the results are ten times what fits."""
    return int(10 * cache_bytes // sum(call.nbytes + KEY_BYTES for call in calls)) + 1


def memo_zipf(cache_bytes: int, seed: int) -> Trace:
    """Every recorded call with each of many data sets, popular by Zipf's law, exponent 0.9."""
    np = _numpy()
    calls = recorded()
    n = len(calls) * _sets(calls, cache_bytes)
    ids = _drawn(np.random.default_rng(seed), n, 0.9, max(20 * n, 200_000))
    return _of_calls("memo-zipf", seed, calls, np.arange(n) % len(calls), ids)


def memo_scans(cache_bytes: int, seed: int) -> Trace:
    """The same with exponent 1; three of ten calls are made once and never again."""
    np = _numpy()
    calls = recorded()
    chance = np.random.default_rng(seed)
    n = len(calls) * _sets(calls, cache_bytes)
    count = max(20 * n, 200_000)
    ids = _drawn(chance, n, 1.0, count)
    scan = np.flatnonzero(chance.random(count) < 0.3)
    ids[scan] = n + np.arange(len(scan))
    which = np.concatenate([np.arange(n) % len(calls), chance.integers(0, len(calls), len(scan))])
    return _of_calls("memo-scans", seed, calls, which, ids)


def memo_grid(cache_bytes: int, seed: int) -> Trace:
    """Sessions of grid search, as joblib's ``Memory`` in a pipeline sees them.

    A session takes a data set (Zipf's law, exponent 0.8), a preparing and a fitting function, and
    six neighbouring arguments of each of the 24 recorded.  For each preparing one and each fitting
    one it asks for both: the fitted model belongs to both arguments.  One to three times over, as a
    notebook is run again; then comes the next session.
    """
    np = _numpy()
    calls = recorded()
    chance = np.random.default_rng(seed)
    of = {name: [i for i, call in enumerate(calls) if call.function == name]
          for name in (*PREPARING, *FITTING)}  # fmt: skip
    sets = _sets([call for call in calls if call.function in of], cache_bytes)
    names: dict[
        tuple[int, int, int], int
    ] = {}  # (data set, preparing call, fitting call or -1) -> number
    ids: list[int] = []
    for data_set in _drawn(chance, sets, 0.8, 100 * sets).tolist():
        prepare, fit = (of[str(chance.choice(kind))] for kind in (PREPARING, FITTING))
        first, other = (6 * int(chance.integers(0, 4)) for _ in range(2))
        once = [names.setdefault((data_set, a, b), len(names))
                for a in prepare[first : first + 6] for model in fit[other : other + 6]
                for b in (-1, model)]  # fmt: skip
        ids += once * int(chance.integers(1, 4))
    which = np.array([a if b < 0 else b for _, a, b in names])
    return _of_calls("memo-grid", seed, calls, which, np.array(ids))


HITS: list[Callable[[int, int], Trace]] = [
    lambda size, seed: zipf(size, seed, 0.8),
    lambda size, seed: zipf(size, seed, 1.0),
    lambda size, seed: zipf(size, seed, 1.2),
    scan_mixed,
    loop,
]
SECONDS = [memo_zipf, memo_scans, memo_grid]
