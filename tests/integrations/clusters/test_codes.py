# SPDX-License-Identifier: BSD-3-Clause
"""A fingerprint says what a task computes: its code, its arguments and its inputs, all of them."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import dask
import numpy as np
import pytest

pytest.importorskip("distributed")

import dask.array as da
import dask_tasks as tasks
from dask._task_spec import convert_legacy_graph
from dask.base import collections_to_expr

from plib_cache.integrations.dask import cached
from plib_cache.integrations.dask._codes import data_fingerprint, graph_fingerprints

TOKEN = "0123456789abcdef" * 2
delayed: Any = vars(dask)["delayed"]


class Scale:
    """Something that is called, with a state."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: float) -> float:
        return self.factor * x

    def apply(self, x: float) -> float:
        """The same by name."""
        return self(x)


def name_of(graph: dict[Any, Any], key: Any = "x") -> bytes | None:
    """The fingerprint of one key of a graph as it is written by hand."""
    return graph_fingerprints(convert_legacy_graph(graph))[key]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((pow, 1, 2), (pow, 2, 2)),
        ((pow, 1, 2), (pow, 2, 1)),
        ((pow, 1, 2), (pow, 1, 2.0)),
        ((pow, 1, 1), (pow, True, 1)),
        ((operator.add, 1, 2), (operator.sub, 1, 2)),
        ((len, [1, 2]), (len, (1, 2))),
        ((np.take, "a", 0), (np.take, "b", 0)),
        ((list, ["a", "b"]), (list, ["b", "a"])),
        ((functools.partial(pow, 2), 3), (functools.partial(pow, 3), 3)),
        ((functools.partial(pow, exp=2), 3), (functools.partial(pow, mod=2), 3)),
        ((Scale(1.0), 3), (Scale(2.0), 3)),
        ((Scale(1.0).apply, 3), (Scale(2.0).apply, 3)),
        ((operator.itemgetter(1), "a"), (operator.itemgetter(2), "a")),
        ((operator.getitem, "a", slice(1, 2)), (operator.getitem, "a", slice(1, 3))),
        ((pow, (pow, 2, 3), 2), (pow, (pow, 3, 2), 2)),
        ((np.sum, np.arange(3)), (np.sum, np.arange(4))),
        (np.arange(3), np.arange(4)),
    ],
)
def test_the_same_key_for_something_else(one: Any, other: Any) -> None:
    """A key that the user has chosen says nothing; what is written under it does."""
    leaves = {"a": (tasks.numbers, 1), "b": (tasks.numbers, 2)}
    names = [name_of({**leaves, "x": written}) for written in (one, one, other)]
    assert None not in names
    assert names[0] == names[1] != names[2]


def test_inputs_that_have_changed_places() -> None:
    """Two inputs whose contents are exchanged are told apart, each being known by its key."""
    graphs = [{"a": a, "b": b, "x": (operator.sub, "a", "b")} for a, b in ((1, 2), (2, 1))]
    assert name_of(graphs[0]) != name_of(graphs[1])


def test_what_has_no_stable_fingerprint() -> None:
    """It has none, nor has what depends on it."""
    graph = {"a": (tasks.total, object()), "x": (tasks.total, "a")}
    assert name_of(graph, "a") is name_of(graph) is None


def test_data_that_were_given() -> None:
    """dask's keys of data say what the data are; others do not."""
    assert data_fingerprint(f"ndarray-{TOKEN}") is not None
    assert data_fingerprint("mine") is None
    assert data_fingerprint(("mine", 0)) is None


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_names_that_are_chosen(scheduler: str) -> None:
    """The same names for something else, in one graph after the other: nothing wrong is found."""
    for n in (1, 2, 1):
        with cached() as counts:
            assert dask.get({"x": (operator.add, n, 1)}, "x") == n + 1
            named = delayed(pow)(n, 2, dask_key_name="mine")
            assert (named + 1).compute(scheduler=scheduler) == n**2 + 1
            ones = da.map_blocks(np.add, da.zeros(4, chunks=2), n, name="mine")
            assert (ones + 1).sum().compute(scheduler=scheduler) == 4 * (n + 1)
            held = da.from_array(np.arange(4) * n, name="held", inline_array=True)
            assert held.sum().compute(scheduler=scheduler) == 6 * n
    assert counts.found >= 4  # of the first time


def test_names_of_data(start: Callable[..., Any]) -> None:
    """What depends on data that were scattered under a name is computed, and not kept."""
    workers = start(1, {"keep": ("*",)})
    for n in (1, 2):
        sent = workers.client.scatter({"mine": n})["mine"]
        total = workers.client.submit(pow, sent, 2, key=f"pow-{TOKEN}")
        assert total.result(60) == n**2
        del sent, total
        workers.forget()
    assert workers.counts("kept", "found") == {"kept": 0, "found": 0}
    for _ in range(2):
        sent = workers.client.scatter([7], hash=True)[0]
        total = workers.client.submit(pow, sent, 2, key=f"pow-{TOKEN}")
        assert total.result(60) == 49
        del sent, total
        workers.forget()
    assert workers.counts("kept", "found") == {"kept": 1, "found": 1}


@pytest.mark.parametrize("kept", [("*",), ("shuffle-transfer", "shuffle-barrier")])
def test_a_shuffle(start: Callable[..., Any], kept: tuple[str, ...]) -> None:
    """Tasks that send their data elsewhere are run, though nothing of what they lead to is kept."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    table = pd.DataFrame({"a": np.arange(1000) % 17, "b": np.arange(1000)})
    workers = start(2, {"keep": kept}, config={"dataframe.shuffle.method": "p2p"})
    with dask.config.set({"dataframe.shuffle.method": "p2p"}):
        for _ in range(2):
            parts = dd.from_pandas(table, npartitions=4).shuffle("a").map_partitions(len)
            graph = convert_legacy_graph(collections_to_expr((parts,)).optimize().__dask_graph__())
            assert any("barrier" in str(key) for key in graph)
            assert sum(workers.client.compute(parts).result(60)) == 1000
            workers.forget()
    found = workers.counts("found")["found"]
    assert found >= 4 if kept == ("*",) else found == 0
