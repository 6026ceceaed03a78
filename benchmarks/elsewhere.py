# SPDX-License-Identifier: BSD-3-Clause
"""A Python process that measures the package of another tree with this tree's loops, on demand.

Two of them, one for each tree, can take turns with each other.  What they measure is one of KINDS.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.programs import ROOT, BrokenError
from benchmarks.turns import Candidate

KINDS = ("get", "set", "get-many", "get-many-1m", "decorator", "threads", "attach")
# The package comes from the tree that is named, the loops from this one.
BOOT = """
import sys
sys.path.insert(0, sys.argv[1])
import plib_cache
assert plib_cache.__file__.startswith(sys.argv[1]), plib_cache.__file__
sys.path[0] = sys.argv[2]
from benchmarks.elsewhere import serve
serve(*sys.argv[3:])
"""


@contextlib.contextmanager
def elsewhere(kind: str, tree: Path, folder: Path, core: int, scale: float) -> Iterator[Candidate]:
    """A candidate whose samples are taken by a process that imports plib_cache from ``tree``."""
    folder.mkdir()
    words = [str(tree), str(ROOT), kind, str(folder), str(core), str(scale)]
    worker = subprocess.Popen(
        [sys.executable, "-c", BOOT, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    to, back = worker.stdin, worker.stdout
    assert to is not None
    assert back is not None

    def sample() -> float:
        with contextlib.suppress(BrokenPipeError):
            to.write("\n")
            to.flush()
        said = back.readline()
        if not said:
            raise BrokenError(f"the process that measures {kind} in {tree} has ended")
        return float(said)

    try:
        yield sample
    finally:
        to.close()
        worker.wait()
        back.close()


@contextlib.contextmanager
def candidate(kind: str, folder: Path, core: int, scale: float) -> Iterator[Candidate]:
    """What is measured; in the process that measures."""
    import plib_cache
    from benchmarks import opening, python_rows
    from benchmarks.bench import MIB, Bench
    from benchmarks.timing import timed

    bench = Bench(folder, scale=scale, core=core)
    with contextlib.ExitStack() as stack:
        if kind == "threads":
            work = stack.enter_context(python_rows.ours(bench))["get"]
            yield python_rows.gets_of_threads(bench, work, 2)
            return
        stack.enter_context(python_rows.quiet(bench))
        if kind == "attach":
            yield stack.enter_context(
                opening.attaching(bench, Path(plib_cache.__file__).parents[1])
            )
        elif kind == "decorator":
            made = plib_cache.Cache(path=bench.fresh("region"), size=64 * MIB)
            cached = plib_cache.cache(cache=stack.enter_context(made))(python_rows.answer)
            yield python_rows.hits(bench, cached)
        elif kind.startswith("get-many"):
            records = 1_000_000 if kind == "get-many-1m" else len(python_rows.KEYS)
            cache, batches = stack.enter_context(python_rows.batches(bench, records))
            yield python_rows.together(bench, cache, batches)
        else:
            works = stack.enter_context(python_rows.ours(bench))
            yield timed(works[kind], scale)


def serve(kind: str, folder: str, core: str, scale: str) -> None:
    """Answer each line by one sample, until there is no more."""
    os.environ.setdefault("PLIB_CACHE_DIR", folder)
    with candidate(kind, Path(folder), int(core), float(scale)) as sample:
        for _ in sys.stdin:
            print(sample(), flush=True)
