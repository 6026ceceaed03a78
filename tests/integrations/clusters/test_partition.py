# SPDX-License-Identifier: BSD-3-Clause
"""Nodes on machines of their own (network namespaces): loss, partition and return."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed.security import Security
from machines import Machines, UnavailableError
from waiting import wait_until

TESTS = Path(__file__).parents[2]
PORT = 8786
QUIET = {
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "false",
    "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "false",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "300s",  # a cut is no death for the scheduler
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "null",
}


def secret(folder: Path) -> dict[str, str]:
    """The environment in which dask's programs talk TLS, and with each other only."""
    made = Security.temporary()
    written = {"TLS_KEY": made.tls_worker_key, "TLS_CERT": made.tls_worker_cert}
    written["TLS_CA_FILE"] = made.tls_ca_file
    for name, text in written.items():
        (folder / name).write_text(text)
    key, cert, authority = (str(folder / name) for name in written)
    comm = "DASK_DISTRIBUTED__COMM__"
    env = {f"{comm}REQUIRE_ENCRYPTION": "true", f"{comm}TLS__CA_FILE": authority}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        env |= {f"{comm}TLS__{role}__KEY": key, f"{comm}TLS__{role}__CERT": cert}
    return env


class Cluster:
    """Some nodes; the scheduler and the client are on the first machine."""

    def __init__(self, machines: Machines, folder: Path, tls: bool) -> None:
        self.machines = machines
        env = {**os.environ, **QUIET, "PYTHONPATH": str(TESTS), **(secret(folder) if tls else {})}
        protocol = "tls" if tls else "tcp"
        scheduler = f"{protocol}://{machines.address(0)}:{PORT}"
        dask = [sys.executable, "-m", "dask"]
        self._quiet = (folder / "log").open("w")
        log = {"stdout": self._quiet, "stderr": self._quiet}
        serve = ["scheduler", "--host", machines.address(0), "--port", str(PORT), "--no-dashboard"]
        serve += ["--protocol", protocol]
        machines.start(0, [*dask, *serve], env=env, **log)
        for at in range(machines.n):
            mine = {
                "DASK_PLIB_CACHE__PATH": str(folder / f"node-{at}"),
                "DASK_PLIB_CACHE__SIZE": "64MiB",
            }
            work = ["worker", scheduler, "--name", str(at), "--host", machines.address(at)]
            options = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
            preload = ["--preload", "plib_cache.integrations.dask"]
            machines.start(
                at, [*dask, *work, *options, *preload], env={**env, **mine}, cwd=folder, **log
            )
        program = [sys.executable, str(TESTS / "dask_nodes.py"), scheduler, str(machines.n)]
        self._client = machines.start(
            0, program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"
        self.ask("know_each_other")

    def ask(self, name: str, *args: Any) -> Any:
        """Call a method of ``dask_nodes.Served``."""
        assert self._client.stdin is not None
        self._client.stdin.write(json.dumps([name, *args]) + "\n")
        self._client.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._client.stdout is not None
        line = self._client.stdout.readline()
        assert line, Path(self._quiet.name).read_text()
        return json.loads(line)

    def close(self) -> None:
        """The processes are the machines'."""
        self._quiet.close()


@pytest.fixture(params=[(3, False), (2, True)], ids=["three", "two, TLS"])
def cluster(tmp_path: Path, untested: Any, request: Any) -> Iterator[Cluster]:
    """Three nodes, or two that talk TLS."""
    n, tls = request.param
    try:
        machines = Machines(n, seed=7)
    except UnavailableError as error:
        untested(str(error))
    with machines:
        made = Cluster(machines, tmp_path, tls)
        yield made
        made.close()


def test_partition_and_return(cluster: Cluster) -> None:
    """A node that is cut off is asked once, then left alone, then asked again; with loss too."""
    others = range(1, cluster.machines.n)
    keys = {node: cluster.ask("keys_at", node, 40) for node in others}

    def found(node: int, first: int, last: int) -> bool:
        return all(cluster.ask("look", 0, keys[node][first:last]))

    cluster.machines.lose(0.02)
    for node in others:
        cluster.ask("store", node, keys[node])
        wait_until(lambda node=node: found(node, 0, 10), "values over a wire that loses")
    cluster.machines.lose(0)
    for node in others:
        wait_until(lambda node=node: found(node, 10, 20), "the nodes to be asked again")
    before = cluster.ask("counts", 0)
    cluster.machines.cut(1)
    assert not any(cluster.ask("look", 0, keys[1][20:30]))
    after = cluster.ask("counts", 0)
    assert after["nodes_lost"] - before["nodes_lost"] == 1
    assert after["nodes_asked"] - before["nodes_asked"] == 1
    if 2 in others:
        wait_until(lambda: found(2, 20, 40), "the node that is there")
    cluster.machines.join(1)
    wait_until(lambda: found(1, 30, 40), "the node to be back")
