# SPDX-License-Identifier: BSD-3-Clause
"""joblib.Memory: hits and misses, next to joblib's own files on the same memory.

``joblib's floor`` is a store of which each method is a look into a dict: what no store can beat,
for joblib binds and hashes the arguments at each call.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bench import MIB, Bench, module
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.large import a_array, calm, repeated
from benchmarks.programs import BrokenError
from benchmarks.python_rows import hits, quiet
from benchmarks.turns import Candidate, take_turns

FLOOR, STOCK, STOCK_R = "joblib's floor", "joblib, files", "joblib, files, mmap_mode='r'"
OURS_R = "ours, mmap_mode='r'"
SMALL_RESULTS = 100_000
BATCH = 1000


def answer(number: int) -> bytes:
    """128 bytes."""
    return bytes([number % 256]) * 128


def integration() -> Any:
    """``plib_cache.integrations.joblib``, if joblib is there."""
    module("joblib")
    return importlib.import_module("plib_cache.integrations.joblib")


def stock(bench: Bench, **options: Any) -> Any:
    """joblib's own Memory, in files."""
    return module("joblib").Memory(str(bench.fresh("files")), verbose=0, **options)


def backend(bench: Bench, size: int = 256 * MIB, **options: Any) -> Any:
    """joblib's own Memory, with our store."""
    integration()
    place = str(bench.fresh("backend"))
    given = {"size": size, "memory": False}
    joblib = module("joblib")
    return joblib.Memory(place, backend="plib", verbose=0, backend_options=given, **options)


def memory(bench: Bench, size: int = 256 * MIB, **options: Any) -> Any:
    """Our Memory."""
    place, given = Path(bench.fresh("memory")), {"size": size}
    return integration().Memory(place, verbose=0, backend_options=given, **options)


def floor() -> Any:
    """joblib's own Memory with a store that does nothing but remember."""
    joblib = module("joblib")
    base = importlib.import_module("joblib._store_backends")
    kept: dict[Any, Any] = {}

    class Remembering(base.StoreBackendBase, base.StoreBackendMixin):  # type: ignore[misc,name-defined]
        """Each method is one look into a dict."""

        def configure(self, location: str, verbose: int = 1, backend_options: Any = None) -> None:
            self.location, self.verbose = location, verbose

        def _nothing(self, *_: Any, **__: Any) -> None:
            """What a store of files would do."""

        _open_item = _item_exists = _move_item = create_location = clear_location = _nothing
        get_items = store_metadata = _nothing

        def contains_item(self, call_id: Any) -> bool:
            return call_id in kept

        def get_metadata(self, _: Any) -> dict[str, Any]:
            return {}

        def load_item(self, call_id: Any, *_: Any, **__: Any) -> Any:
            return kept[call_id]

        def dump_item(self, call_id: Any, item: Any, verbose: int = 1) -> None:
            kept[call_id] = item

        def store_cached_func_code(self, call_id: Any, func_code: str | None = None) -> None:
            if func_code is not None:
                kept["code", call_id[0]] = func_code

        def get_cached_func_code(self, call_id: Any) -> str:
            if ("code", call_id[0]) not in kept:
                raise FileNotFoundError
            return str(kept["code", call_id[0]])

        def get_cached_func_info(self, _: Any) -> dict[str, str]:
            return {"location": ""}

    joblib.register_store_backend("floor", Remembering)
    return joblib.Memory("nowhere", backend="floor", verbose=0)


def small(bench: Bench, work: str) -> list[Line]:
    """Hits of a function of one int that returns 128 bytes."""
    with quiet(bench):
        memories = {
            "ours": memory(bench), "backend": backend(bench), STOCK: stock(bench), FLOOR: floor()
        }  # fmt: skip
        candidates = {name: hits(bench, one.cache(answer)) for name, one in memories.items()}
        samples = take_turns(candidates, bench.rounds)
    with_backend = f"{work}, joblib.Memory with our backend"
    return [
        Line(work, unit="us", ours=Spread.of([ns / 1e3 for ns in samples["ours"]]),
             goal=Goal(most=3, unit="us")),
        compared(work, STOCK, samples["ours"], samples[STOCK], goal=Goal(least=15)),
        compared(with_backend, FLOOR, samples["backend"], samples[FLOOR],
                 direction="ours / theirs", goal=Goal(most=1.25)),
        compared(with_backend, STOCK, samples["backend"], samples[STOCK]),
    ]  # fmt: skip


def array(bench: Bench, work: str, nbytes: int, least: float) -> list[Line]:
    """Hits of a function that returns an array; least: times faster than files, copied."""
    nbytes = bench.scaled(nbytes, MIB)
    size = 8 * nbytes + 64 * MIB
    bench.room(3 * size)

    def made(_: int) -> Any:
        return a_array(nbytes)

    with calm(bench):
        memories = {
            "ours": backend(bench, size, mmap_mode="r"),
            STOCK: stock(bench),
            STOCK_R: stock(bench, mmap_mode="r"),
            "our Memory": memory(bench, size, mmap_mode="r"),
        }
        calls = {name: _called(one.cache(made)) for name, one in memories.items()}
        samples = take_turns(
            {name: repeated(bench, call) for name, call in calls.items()}, bench.rounds
        )
    own = f"{work}, our Memory"
    return [
        compared(work, STOCK, samples["ours"], samples[STOCK], goal=Goal(least=least)),
        compared(work, STOCK_R, samples["ours"], samples[STOCK_R], goal=Goal(least=3)),
        compared(own, STOCK, samples["our Memory"], samples[STOCK]),
        compared(own, STOCK_R, samples["our Memory"], samples[STOCK_R]),
    ]


def _called(function: Any) -> Callable[[], object]:
    function(1)
    return lambda: function(1)


def many(bench: Bench, work: str) -> list[Line]:
    """100,000 small results: storing all of them, then reading all; and the files that they are."""
    count = bench.scaled(SMALL_RESULTS, BATCH) // BATCH * BATCH
    with quiet(bench):
        memories = {"ours": memory(bench, 1 << 30), STOCK: stock(bench)}  # none is evicted
        functions = {name: one.cache(answer) for name, one in memories.items()}
        for function in functions.values():
            function(-1)  # where its results will be is made now
        before = {name: _files(one) for name, one in memories.items()}
        stored = _by_turns(functions, count)
        read = _by_turns(functions, count)
        more = {name: _files(one) - before[name] for name, one in memories.items()}
    lines = [
        compared(f"{work}, store all", STOCK, stored["ours"], stored[STOCK], goal=Goal(least=20)),
        compared(f"{work}, read all", STOCK, read["ours"], read[STOCK], goal=Goal(least=10)),
        Line(f"{work}, files more", unit="files", ours=Spread.of([more["ours"]]),
             goal=Goal(most=0, unit="files")),
    ]  # fmt: skip
    lines[2].facts.append(f"{more[STOCK]} files of joblib's own")
    return lines


def _files(one: Any) -> int:
    """How many files there are where a Memory has its results, besides the region's first."""
    found = [path for path in _folder(one).rglob("*") if path.is_file()]
    return sum(path.name != "region.plib" for path in found)


def _folder(one: Any) -> Path:
    return Path(one.store_backend.location)


def _by_turns(functions: dict[str, Any], count: int) -> dict[str, list[float]]:
    """Nanoseconds for each call, of batches that take turns."""
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for first in range(0, count, BATCH):
        for name, function in functions.items():
            began = time.perf_counter_ns()
            for number in range(first, first + BATCH):
                function(number)
            samples[name].append((time.perf_counter_ns() - began) / BATCH)
    return samples


def flight(bench: Bench, work: str) -> list[Line]:
    """Eight loky workers call one missing key together: how often it is computed."""
    joblib, workers = module("joblib"), 8
    computed: dict[str, list[float]] = {"ours": [], STOCK: []}
    for number in range(3):
        for name, one in (("ours", memory(bench)), (STOCK, stock(bench))):
            folder = bench.fresh("computed")
            folder.mkdir()
            function = one.cache(slow)
            results = joblib.Parallel(workers, backend="loky", batch_size=1)(
                joblib.delayed(_together)(function, number, str(folder), workers, i)
                for i in range(workers)
            )
            if results != [number] * workers:
                raise BrokenError(f"{name}: workers have got {results}")
            computed[name].append(float(len(list(folder.glob("by-*")))))
    return [
        Line(work, unit="computations", ours=Spread.of(computed["ours"]),
             goal=Goal(most=1, unit="computations"),
             facts=[f"{STOCK}: {Spread.of(computed[STOCK]).median:g}"])
    ]  # fmt: skip


def slow(number: int, folder: str) -> int:
    """Long enough for all to miss it."""
    for attempt in itertools.count():
        path = Path(folder, f"by-{attempt}")
        try:
            path.touch(exist_ok=False)
            break
        except FileExistsError:
            continue
    time.sleep(0.5)
    return number


def _together(function: Any, number: int, folder: str, workers: int, me: int) -> Any:
    """Call it when all workers are there."""
    Path(folder, f"here-{me}").touch()
    until = time.monotonic() + 60  # not all workers need come
    while len(list(Path(folder).glob("here-*"))) < workers and time.monotonic() < until:
        time.sleep(0.001)
    return function(number, folder)


def grid(bench: Bench, work: str) -> list[Line]:
    """GridSearchCV over a Pipeline whose first step is memorized, with scikit-learn's digits."""
    results: dict[str, Any] = {}
    taken: dict[str, int] = {}

    def searched(name: str, make: Callable[..., Any]) -> Candidate:
        def sample() -> float:
            gc.collect()
            one = make(bench)
            began = time.perf_counter_ns()
            results[name] = _search(one)
            spent = float(time.perf_counter_ns() - began)
            taken[name] = sum(512 * path.stat().st_blocks for path in _folder(one).rglob("*"))
            return spent

        return sample

    makers = {"ours": memory, STOCK: stock, "joblib with our backend": backend}
    samples = take_turns(
        {name: searched(name, make) for name, make in makers.items()}, min(bench.rounds, 5)
    )
    if any(scores != results[STOCK] for scores in results.values()):
        raise BrokenError(f"the searches' results differ: {results}")
    ms = {name: [ns / 1e6 for ns in found] for name, found in samples.items()}
    line = compared(work, STOCK, ms["ours"], ms[STOCK], unit="ms")
    line.facts.append(", ".join(f"{n >> 20} MiB {name}" for name, n in taken.items()))
    return [
        line,
        compared(f"{work}, joblib.Memory with our backend", STOCK,
                 ms["joblib with our backend"], ms[STOCK], unit="ms"),
    ]  # fmt: skip


def _search(cache: Any) -> list[float]:
    """The scores of all candidates."""
    datasets, decomposition, neighbors, selection, pipeline = (
        module(f"sklearn.{name}")
        for name in ("datasets", "decomposition", "neighbors", "model_selection", "pipeline")
    )
    digits = datasets.load_digits()
    steps = [("reduce", decomposition.PCA(24, random_state=0)),
             ("classify", neighbors.KNeighborsClassifier())]  # fmt: skip
    search = selection.GridSearchCV(
        pipeline.Pipeline(steps, memory=cache),
        {"reduce__n_components": [16, 24], "classify__n_neighbors": [1, 3, 5, 7]},
        cv=3,
    )
    search.fit(digits.data, digits.target)
    return [float(score) for score in search.cv_results_["mean_test_score"]]
