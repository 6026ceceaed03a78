# SPDX-License-Identifier: BSD-3-Clause
"""Results whose inputs came from another node outlive the cluster, and none is ever a wrong one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import dask
import pytest
from dask_nodes import Nodes, wait_until_forgotten
from distributed import wait

from .conftest import nodes_of
from .steps import SUM, Steps, load_anew

delayed: Any = vars(dask)["delayed"]


def chain(nodes: Nodes, way: tuple[int, int, int] = (0, 1, 0)) -> int:
    """The sum of what was loaded on one node, doubled on another one, and summed on a third."""
    load_anew()
    steps = importlib.import_module("kept_steps")

    def on(node: int, function: Any, *args: Any) -> Any:
        with dask.annotate(workers=[nodes.addresses[node]]):
            return delayed(function, pure=True)(*args)

    doubled = [on(way[1], steps.double, on(way[0], steps.load, n)) for n in range(3)]
    value: int = nodes.client.compute(on(way[2], steps.total, doubled)).result(60)
    return value


def test_inputs_from_another_node(steps: Steps, tmp_path: Path) -> None:
    """The next cluster computes nothing of a graph whose values went to and fro."""
    with nodes_of(tmp_path, 2, keep=("*",)) as nodes:
        assert chain(nodes) == 2 * SUM
        assert len(steps.computed()) == 7
    with nodes_of(tmp_path, 2, keep=("*",)) as nodes:
        assert chain(nodes) == 2 * SUM
        assert steps.computed() == []


def test_code_that_is_edited_on_another_node(steps: Steps, tmp_path: Path) -> None:
    """What depends on it is computed anew, wherever; the keys are the same for dask."""
    with nodes_of(tmp_path, 2, keep=("*",)) as nodes:
        assert chain(nodes) == 2 * SUM
        steps.computed()
        steps.write(factor=3)
        wait_until_forgotten(nodes.client)
        nodes.client.run(load_anew)
        assert chain(nodes) == 3 * SUM
        assert steps.computed() == ["double", "double", "double", "total"]
        wait_until_forgotten(nodes.client)
        assert chain(nodes) == 3 * SUM
        assert steps.computed() == []


def test_nodes_whose_code_differs(steps: Steps, tmp_path: Path) -> None:
    """A node with old code and one with new code: a note says what its own copy was made by."""
    with nodes_of(tmp_path, 2, keep=("*",)) as nodes:
        assert chain(nodes) == 2 * SUM  # doubled by the second one
        steps.write(factor=3)
        wait_until_forgotten(nodes.client)
        nodes.client.run(load_anew, workers=[nodes.addresses[0]])
        steps.computed()
        assert chain(nodes, (1, 0, 1)) == 3 * SUM  # by the first one; summed by the second
        assert steps.computed() == ["double"] * 3 + ["load 0", "load 1", "load 2", "total"]
        wait_until_forgotten(nodes.client)
        assert chain(nodes) == 2 * SUM
        assert steps.computed() == []


@pytest.mark.parametrize("how", ["replicate", "retire"])
def test_copies_that_were_not_asked_for(steps: Steps, tmp_path: Path, how: str) -> None:
    """What is replicated, or moved from a worker that retires, is known there, too."""
    load_anew()
    module = importlib.import_module("kept_steps")
    for run in range(2):
        with nodes_of(tmp_path, 2, keep=("*",)) as nodes:
            client, (first, second) = nodes.client, nodes.addresses
            loaded = delayed(module.load, pure=True)(0)
            doubled = delayed(module.double, pure=True)(loaded)
            held = client.compute(loaded, workers=[first], allow_other_workers=True)
            wait(held)
            if how == "replicate":
                client.replicate([held])
            else:
                client.retire_workers([first])
            there = client.compute(doubled, workers=[second]).result(60)
            assert int(there.sum()) == 2 * int(held.result(60).sum())
            assert steps.computed() == ([] if run else ["double", "load 0"])


def be_silent(dask_worker: Any) -> None:
    """Have a worker tell nobody what it has noted."""

    async def tell(*_: Any) -> None:
        return None

    dask_worker.extensions["plib_cache"].results.notes._tell = tell


@pytest.mark.parametrize("silent", [False, True])
def test_replicated_values_of_edited_code(steps: Steps, tmp_path: Path, silent: bool) -> None:
    """A copy that came by ``replicate`` is not taken for data that were given under its key."""
    for factor in (2, 3):
        steps.write(factor=factor)
        load_anew()
        module = importlib.import_module("kept_steps")
        with nodes_of(tmp_path, 2, keep=("*",)) as nodes:
            client, (first, second) = nodes.client, nodes.addresses
            doubled = delayed(module.double, pure=True)(delayed(module.load, pure=True)(0))
            total = delayed(module.total, pure=True)([doubled])
            held = client.compute(doubled, workers=[first])
            wait(held)
            if silent:
                client.run(be_silent, workers=[first])
            client.replicate([held])
            there = client.compute(total, workers=[second]).result(60)
            assert there == int(held.result(60).sum())
            assert steps.computed()[-1] == "total"


def test_a_node_that_tells_nothing(steps: Steps, tmp_path: Path) -> None:
    """What depends on its values is computed, and not kept."""
    with nodes_of(tmp_path, 2, keep=("*",)) as nodes:
        nodes.client.run(be_silent, workers=[nodes.addresses[0]])
        for _ in range(2):
            assert chain(nodes, (0, 1, 1)) == 2 * SUM
            wait_until_forgotten(nodes.client)
        assert steps.computed() == sorted(
            ["load 0", "load 1", "load 2"] + ["double"] * 6 + ["total"] * 2
        )


def test_a_node_that_takes_no_notes(steps: Steps, tmp_path: Path) -> None:
    """It gets its data all the same, after one wait of a second at most."""
    with nodes_of(tmp_path, 2, patient=False, keep=("*",)) as nodes:

        def be_deaf(dask_worker: Any) -> None:
            async def hear(**_: Any) -> None:
                import asyncio

                await asyncio.Event().wait()

            dask_worker.handlers["plib_cache_notes"] = hear

        def limit(dask_worker: Any) -> Any:
            notes = dask_worker.extensions["plib_cache"].results.notes
            return notes._limit, len(notes._deaf)

        nodes.client.run(be_deaf, workers=[nodes.addresses[1]])
        assert chain(nodes, (0, 1, 1)) == 2 * SUM
        first = nodes.addresses[0]
        assert nodes.client.run(limit, workers=[first])[first] == (1.0, 1)
