# SPDX-License-Identifier: BSD-3-Clause
"""Workers that die by SIGKILL while they store or load a result: the run ends with right results.

joblib itself ends a call of ``Parallel`` of which a worker died; whoever calls it again gets what
the others have stored meanwhile.  The moments of the deaths are spread over the copying of a large
result; what holds at each instruction of the core is held by its own tests.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, os, signal, sys, threading, time
from pathlib import Path
import joblib
import numpy as np
from joblib.externals.loky.process_executor import TerminatedWorkerError
import plib_cache
from plib_cache.integrations.joblib import Memory

place, phase, kind = sys.argv[1:]
options = dict(verbose=0, backend_options={"size": "512MiB"})
if kind == "memory":
    memory = Memory(Path(place), **options)
else:
    memory = joblib.Memory(place, backend="plib", **options)
deaths = Path(place, "deaths")
deaths.mkdir(parents=True, exist_ok=True)
ELEMENTS = 1 << 21  # 16 MiB: milliseconds of copying

def dies_soon(i, when):
    # In this process, after a while; once for each task.
    try:
        (deaths / f"{when}-{i}").touch(exist_ok=False)
    except FileExistsError:
        return
    def die():
        time.sleep(i / 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=die, daemon=True).start()

@memory.cache
def result(i):
    if phase == "store":
        dies_soon(i, "store")
    return np.full(ELEMENTS, float(i))

def task(i):
    if phase == "load":
        dies_soon(i, "load")
    for _ in range(20):
        got = result(i)
        assert got.shape == (ELEMENTS,) and got[0] == got[-1] == i and got.min() == got.max()
    return float(got.sum())

if __name__ == "__main__":
    tasks = range(4)
    if phase == "load":
        for i in tasks:
            result(i)
    rounds = 0
    while True:
        rounds += 1
        try:
            sums = joblib.Parallel(2, backend="loky")(joblib.delayed(task)(i) for i in tasks)
            break
        except TerminatedWorkerError:
            pass
    region = plib_cache.Cache(path=Path(place, "joblib", "region.plib"), create=False)
    print(json.dumps({
        "right": sums == [float(i) * ELEMENTS for i in tasks],
        "rounds": rounds,
        "deaths": len(list(deaths.iterdir())),
        "faults": [str(one) for one in region.check()],
        "corrupt": region.stats().corrupt_seen,
    }))
"""


@pytest.mark.parametrize("kind", ["backend", "memory"])
@pytest.mark.parametrize("phase", ["store", "load"])
def test_workers_that_die(
    program: Callable[..., Any], tmp_path: Path, phase: str, kind: str
) -> None:
    """Each task's worker dies once; then all results are right, and the region is sound."""
    found = program(PROGRAM, str(tmp_path / "cache"), phase, kind)
    assert found.pop("rounds") > 1
    assert found == {"right": True, "deaths": 4, "faults": [], "corrupt": 0}
