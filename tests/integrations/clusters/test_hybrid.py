# SPDX-License-Identifier: BSD-3-Clause
"""Memory on the node, network off it: two nodes with joblib processes and dask workers; one dies.

Each node is a machine of its own (a network namespace) with a region, a memcached, two joblib
processes and a dask worker; the scheduler and the client are on the first.  The nodes have nothing
else in common but a log, in which each computation is a line.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

import pytest
from hybrid_work import LATER, REGION
from machines import Machines, UnavailableError
from waiting import wait_until

TESTS = Path(__file__).parents[2]
HERE, THERE = 0, 1
NUMBERS = list(range(8))
SHARED = list(range(LATER, LATER + 16))  # asked for on both nodes when one dies
ALONE = list(range(2 * LATER, 2 * LATER + 200))  # what keeps that one busy until then
ENVIRONMENT = {
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "false",
    "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "false",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",  # when who does not even acknowledge is dead
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
    "DASK_PLIB_CACHE__NAME": REGION,
    "DASK_PLIB_CACHE__SIZE": "64MiB",
    "PLIB_CACHE_KEY": "a key that both nodes share",
    "PYTHONPATH": str(TESTS),
}


class Hybrid:
    """Two nodes."""

    def __init__(self, machines: Machines, folder: Path, output: TextIO) -> None:
        self.machines = machines
        hosts = ",".join(f"{machines.address(at)}:11211" for at in (HERE, THERE))
        self.url = f"memcached://{hosts}?write=sync"  # with the limits that users have
        self.patient = self.url + "&timeout=20&connect=20"  # nobody is lost, but all are busy
        self.log = folder / "log"
        self.log.touch()
        self._output = output
        scheduler = f"tcp://{machines.address(HERE)}:8786"
        dask = [sys.executable, "-m", "dask"]
        serve = ["scheduler", "--host", machines.address(HERE), "--port", "8786", "--no-dashboard"]
        self._start(HERE, folder, [*dask, *serve])
        wait_until(lambda: "Scheduler at" in Path(output.name).read_text(), "the scheduler", 2)
        for at in (HERE, THERE):
            where = ["-l", machines.address(at), "-U", "0", "-m", "64"]
            user = ["-u", "root"] if os.geteuid() == 0 else []
            self._start(at, folder, ["memcached", *where, *user])
            work = ["worker", scheduler, "--name", str(at), "--host", machines.address(at)]
            options = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
            preload = ["--preload", "plib_cache.integrations.dask"]
            self._start(at, folder, [*dask, *work, *options, *preload])
        self._programs = [
            self._start(at, folder, [sys.executable, str(TESTS / "hybrid_node.py"), *args],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for at, args in ((HERE, [scheduler, "2"]), (THERE, []))
        ]  # fmt: skip
        assert [self.answer(at) for at in (HERE, THERE)] == ["ready"] * 2
        self.ask(HERE, "limit", 30)  # as ``patient``

    def _start(self, at: int, folder: Path, command: list[str], **pipes: Any) -> Any:
        home = folder / f"node-{at}"
        home.mkdir(exist_ok=True)
        env = {**os.environ, **ENVIRONMENT, "PLIB_CACHE_DIR": str(home / "regions")}
        env |= {"HYBRID_LOG": str(self.log), "HYBRID_NODE": f"node-{at}"}
        pipes = {"stdout": self._output, **pipes}
        return self.machines.start(
            at, command, env=env, cwd=home, text=True, stderr=self._output, **pipes
        )

    def tell(self, at: int, *words: Any) -> None:
        """Have the program of a node begin with something."""
        program = self._programs[at]
        program.stdin.write(json.dumps(words) + "\n")
        program.stdin.flush()

    def answer(self, at: int) -> Any:
        """What came of it."""
        line = self._programs[at].stdout.readline()
        assert line, Path(self._output.name).read_text()
        return json.loads(line)

    def ask(self, at: int, *words: Any) -> Any:
        """Both."""
        self.tell(at, *words)
        return self.answer(at)

    def noted(self, *words: Any) -> int:
        """How many lines of the log have all these words."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return sum(set(words) <= set(line) for line in lines)

    def computations(self) -> Counter[str]:
        """How often each result was computed."""
        lines = self.log.read_text().splitlines()
        made = (line.split()[1:3] for line in lines if line.startswith("computed"))
        return Counter(map(" ".join, made))


@pytest.fixture
def nodes(tmp_path: Path, untested: Callable[[str], NoReturn]) -> Iterator[Hybrid]:
    """Two nodes that know each other."""
    if shutil.which("memcached") is None:
        untested("two nodes with joblib and dask: there is no memcached here")
    try:
        machines = Machines(2)
    except UnavailableError as error:
        untested(str(error))
    with machines, (tmp_path / "output").open("w") as output:
        yield Hybrid(machines, tmp_path, output)


POWERS = {"square": 2, "cube": 3}


def had(outcomes: list[dict[str, Any]], name: str) -> list[str]:
    """By what each result was had; all are right."""
    for one in outcomes:
        assert one["same"]
        assert one["value"] == one["x"] ** POWERS[name]
    return [one["by"] for one in outcomes]


def test_found_by_memory_and_by_network_and_one_node_dies(nodes: Hybrid) -> None:
    """What one process computes, all others find; and when a node is gone nothing is wrong."""
    n, url = len(NUMBERS), nodes.patient

    def joblib(at: int, name: str, numbers: list[int] = NUMBERS, url: str = url) -> list[str]:
        return had(nodes.ask(at, "joblib", name, numbers, url), name)

    def dask(at: int, name: str, numbers: list[int] = NUMBERS, url: str = url) -> list[str]:
        return had(nodes.ask(HERE, "dask", at, name, numbers, url), name)

    assert joblib(HERE, "square", NUMBERS * 2).count("computed") == n
    assert dask(HERE, "square") == ["memory"] * n
    assert joblib(THERE, "square") == ["remote"] * n  # memcached
    assert dask(THERE, "square") == ["memory"] * n
    assert dask(THERE, "cube") == ["computed"] * n
    assert joblib(THERE, "cube") == ["memory"] * n
    assert dask(HERE, "cube") == ["remote"] * n  # dask's own connections
    assert joblib(HERE, "cube") == ["memory"] * n
    assert set(nodes.computations().values()) == {1}
    assert len(nodes.computations()) == 2 * n

    nodes.ask(HERE, "limit", 1)
    nodes.tell(THERE, "joblib", "square", ALONE + SHARED, nodes.url)
    nodes.tell(HERE, "together", "square", SHARED, nodes.url)
    for who in ("joblib", "dask"):
        wait_until(lambda who=who: nodes.noted("asked", who, "node-1") > 2 * n + 2, "its work", 2)
    nodes.machines.cut(THERE)
    nodes.machines.kill(THERE)
    had(nodes.answer(HERE), "square")
    assert joblib(HERE, "square", NUMBERS + SHARED, nodes.url) == ["memory"] * (n + len(SHARED))
    assert joblib(HERE, "cube", NUMBERS, nodes.url) == ["memory"] * n
    assert dask(HERE, "cube", NUMBERS, nodes.url) == ["memory"] * n
    had(nodes.ask(HERE, "dask", HERE, "cube", SHARED[:3], nodes.url), "cube")
