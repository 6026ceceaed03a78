# SPDX-License-Identifier: BSD-3-Clause
"""Real computations that one would memorize, and what each took and left: calls.csv.

The traces of ``policy_rows`` are made of these calls, so that costs and sizes belong together as
they do in life: a score is small and dear, a scaled table large and cheap.  The file is recorded
once and kept, because seconds differ from run to run and a trace shall not; it says where.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python -m benchmarks.calls > benchmarks/calls.csv

A line is a function, its argument, the seconds of the faster one of two calls (of one, when that
took half a second), and the bytes of the result as pickle protocol 5 makes them.
"""

from __future__ import annotations

import csv
import io
import math
import pickle
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("calls.csv")
LONG_S = 0.5  # such a call is not made twice


@dataclass(frozen=True)
class Call:
    """One recorded computation."""

    function: str
    argument: int
    seconds: float
    nbytes: int


def recorded(path: Path = RECORDED) -> list[Call]:
    """The calls of a file that this module has written."""
    lines = [line for line in path.read_text("ascii").splitlines() if not line.startswith("#")]
    return [
        Call(row["function"], int(row["argument"]), float(row["seconds"]), int(row["bytes"]))
        for row in csv.DictReader(lines)
    ]


# ---- pure Python


def primes(n: int) -> list[int]:
    """All primes below n."""
    sieve = bytearray([1]) * n
    for i in range(2, math.isqrt(n) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, n, i)))
    return [i for i in range(2, n) if sieve[i]]


def collatz(n: int) -> int:
    """The longest way down to 1 of all numbers below n."""
    longest = 0
    for i in range(1, n):
        steps = 0
        while i != 1:
            i = 3 * i + 1 if i & 1 else i >> 1
            steps += 1
        longest = max(longest, steps)
    return longest


def distance(n: int) -> int:
    """Levenshtein's distance of two texts of n letters."""
    one, other = ("".join(chr(97 + k * i * i % 26) for i in range(n)) for k in (3, 7))
    row = list(range(n + 1))
    for i, a in enumerate(one):
        before, row[0] = row[0], i + 1
        for j, b in enumerate(other):
            before, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, before + (a != b))
    return row[n]


def mandelbrot(n: int) -> bytes:
    """The set in n by n pixels."""
    image = bytearray()
    for y in range(n):
        for x in range(n):
            c, z, i = complex(3 * x / n - 2, 2 * y / n - 1), 0j, 0
            while abs(z) < 2 and i < 40:
                z, i = z * z + c, i + 1
            image.append(i)
    return bytes(image)


# ---- NumPy, pandas, scikit-learn: imported only by who records


def _array(rows: int, columns: int = 20) -> Any:
    import numpy as np

    return np.random.default_rng(rows).normal(size=(rows, columns))


def singular(n: int) -> Any:
    """The singular values of an n by n array, with their vectors."""
    import numpy as np

    return np.linalg.svd(_array(n, n))


def spectrum(n: int) -> Any:
    """The strengths of 16 bands of a signal of n samples."""
    import numpy as np

    return np.abs(np.fft.rfft(_array(n, 1)[:, 0]))[: n // 32 * 16].reshape(16, -1).sum(axis=1)


def scaled(n: int) -> Any:
    """A table of n rows of which every column has mean 0 and deviation 1."""
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit_transform(_array(n))


def components(n: int) -> Any:
    """The five principal components of n rows, and the rows in their terms."""
    from sklearn.decomposition import PCA

    return PCA(5, random_state=0).fit_transform(_array(n))


def _table(n: int) -> Any:
    import numpy as np
    import pandas as pd

    chance = np.random.default_rng(n)
    return pd.DataFrame({"g": chance.integers(0, 50, n), "x": chance.normal(size=n)})


def grouped(n: int) -> Any:
    """Five statistics of each of 50 groups."""
    return _table(n).groupby("g")["x"].agg(["mean", "std", "min", "max", "median"])


def rolled(n: int) -> Any:
    """The median of each 50 rows that follow each other."""
    return _table(n)["x"].rolling(50).median()


def merged(n: int) -> Any:
    """Rows with what is known of their group."""
    return _table(n).merge(grouped(n), on="g")


def _labelled(n: int) -> tuple[Any, Any]:
    data = _array(n)
    return data, (data[:, 0] + data[:, 1] * data[:, 2] > 0).astype(int)


def clusters(n: int) -> Any:
    """A model of eight clusters of n rows."""
    from sklearn.cluster import KMeans

    return KMeans(8, n_init=4, random_state=0).fit(_array(n)).cluster_centers_


def forest(n: int) -> Any:
    """A forest of 10 trees, fitted to n rows."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(10, max_depth=8, random_state=0, n_jobs=1).fit(*_labelled(n))


def logistic(n: int) -> Any:
    """A logistic regression, fitted to n rows."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(*_labelled(n))


def score(n: int) -> Any:
    """The five scores of a forest's cross-validation on n rows."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    model = RandomForestClassifier(5, max_depth=6, random_state=0, n_jobs=1)
    return cross_val_score(model, *_labelled(n), cv=5)


def _sizes(least: int, most: int, count: int = 24) -> list[int]:
    """So many numbers, each larger than the one before by the same part."""
    return [round(least * (most / least) ** (i / (count - 1))) for i in range(count)]


WORK: list[tuple[Callable[[int], Any], list[int]]] = [
    (primes, _sizes(500, 400_000)),
    (collatz, _sizes(100, 20_000)),
    (distance, _sizes(20, 700)),
    (mandelbrot, _sizes(10, 200)),
    (singular, _sizes(4, 160)),
    (spectrum, _sizes(1_000, 1_000_000)),
    (scaled, _sizes(50, 3_000)),
    (components, _sizes(50, 10_000)),
    (grouped, _sizes(500, 1_000_000)),
    (rolled, _sizes(200, 50_000)),
    (merged, _sizes(200, 8_000)),
    (clusters, _sizes(50, 10_000)),
    (forest, _sizes(50, 8_000)),
    (logistic, _sizes(50, 20_000)),
    (score, _sizes(50, 4_000)),
]


def measured(function: Callable[[int], Any], argument: int) -> Call:
    """Call it, once or twice."""
    fastest = math.inf
    for _ in range(2):
        before = time.perf_counter()
        result = function(argument)
        fastest = min(fastest, time.perf_counter() - before)
        if fastest >= LONG_S:
            break
    nbytes = len(pickle.dumps(result, protocol=5))
    return Call(function.__name__, argument, fastest, nbytes)


def record() -> Iterator[Call]:
    """Everything that is worth recording, measured now; what is imported is not counted."""
    for function, arguments in WORK:
        function(arguments[0])
        for argument in arguments:
            yield measured(function, argument)


def main() -> None:
    """Write calls.csv to standard output."""
    out = io.StringIO()
    print(f"# recorded {time.strftime('%Y-%m-%d')} by python -m benchmarks.calls", file=out)
    print(f"# {platform.machine()}, Linux {platform.release()}, Python "
          f"{platform.python_version()}, one thread of BLAS", file=out)  # fmt: skip
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["function", "argument", "seconds", "bytes"])
    for call in record():
        writer.writerow([call.function, call.argument, f"{call.seconds:.3g}", call.nbytes])
    sys.stdout.write(out.getvalue())


if __name__ == "__main__":
    main()
