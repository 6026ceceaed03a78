# SPDX-License-Identifier: BSD-3-Clause
"""A node is lost in the middle of load: nobody sees an error, and its keys are hits again later.

What is judged are counts; what it takes in milliseconds is measured by ``make bench ROWS=remote``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from machines import Machines, UnavailableError
from remote_nodes import KEYS, RemoteNodes
from waiting import wait_until

from . import servers

LIMITS = "timeout=2&connect=2&"  # a machine that is busy is no server that is away
PAUSE_S = 0.002
LOST = 1
FEW = 20


@pytest.fixture(params=[2, 3], ids=["two", "three"])
def nodes(
    request: pytest.FixtureRequest, tmp_path: Path, untested: Callable[[str], NoReturn]
) -> Iterator[RemoteNodes]:
    """Nodes under load, all of which find all keys."""
    if servers.missing("memcached"):
        untested("the loss of a node: there is no memcached here")
    try:
        machines = Machines(request.param)
    except UnavailableError as error:
        untested(str(error))
    with machines:
        made = RemoteNodes(machines, tmp_path, LIMITS, PAUSE_S)
        try:
            for at in range(made.n):
                wait_until(lambda at=at: made.ask(at, "found") == len(KEYS), "the servers")
            yield made
        finally:
            made.close()


@pytest.mark.parametrize("how", ["killed", "cut"])
def test_a_node_is_lost_in_the_middle_of_load(nodes: RemoteNodes, how: str) -> None:
    """No call fails; each circuit that opens has held up a thread once; then its keys are hits."""
    everybody = range(nodes.n)
    others = [at for at in everybody if at != LOST]
    gone = nodes.at_home(LOST)
    assert 0 < gone < len(KEYS)
    for at in everybody:
        tally = nodes.ask(at, "tally")
        assert tally["errors"] == []
    nodes.lose(LOST, how)
    for at in others:  # the keys of the other servers stay hits
        wait_until(lambda at=at: nodes.ask(at, "found") == len(KEYS) - gone, "the other servers")
    if how == "cut":  # the node itself is alone with its own server
        wait_until(lambda: nodes.ask(LOST, "found") == gone, "its own server")
    for at in everybody:
        calls_go_on(nodes, at)
    nodes.bring_back(LOST, how)
    for at in everybody:
        wait_until(lambda at=at: nodes.ask(at, "found") == len(KEYS), "the server to be back")
        calls_go_on(nodes, at)
        counts: dict[str, Any] = nodes.ask(at, "counts")
        assert counts["opened"] >= 1
        assert counts["skipped"] >= 1
        assert counts["waits"] <= counts["opened"]


def calls_go_on(nodes: RemoteNodes, at: int) -> None:
    """The load finds what is there, and sees no error."""

    def found() -> int:
        tally = nodes.ask(at, "tally")
        assert tally["errors"] == []
        told: int = tally["found"]
        return told

    nodes.ask(at, "tally")
    wait_until(lambda: found() >= FEW, "the load", pause=0.2)
