# SPDX-License-Identifier: BSD-3-Clause
"""Large values lie in the region, and workers pass them on by reference."""

from __future__ import annotations

from typing import Any

import dask_tasks as tasks
import numpy as np
import pytest
from distributed import Client, wait
from waiting import wait_until


def held_by(workers: Any, key: str) -> list[bool]:
    """Of each worker that has the key, whether it has it in the region."""

    def look(dask_worker: Any) -> Any:
        if key not in dask_worker.data:
            return None
        return key in dask_worker.extensions["plib_cache"].store.held

    return [one for one in workers.client.run(look).values() if one is not None]


def fetched(workers: Any, function: Any, *args: Any) -> tuple[Any, dict[str, float]]:
    """What a function gives on one worker, as a task on another one sees it; and what was taken."""
    first, second, *_ = workers.addresses
    before = workers.counts("taken", "handed", "take_failed", "hand_over_failed")
    made = workers.client.submit(function, *args, workers=[first], pure=False)
    wait(made)
    seen = workers.client.submit(tasks.own_pid, made, workers=[second], pure=False)
    seen.result()
    after = workers.counts("taken", "handed", "take_failed", "hand_over_failed")
    assert held_by(workers, made.key) == [True, True]
    return made.result(), {name: after[name] - before[name] for name in after}


def test_an_array(three: Any) -> None:
    """It comes to the other worker by reference, and to the client as a copy."""
    value, moved = fetched(three, tasks.numbers, 1)
    assert moved == {"taken": 1, "handed": 1, "take_failed": 0, "hand_over_failed": 0}
    np.testing.assert_array_equal(value, tasks.numbers(1))
    assert value.flags.writeable
    assert not tasks.in_region(value)


@pytest.mark.parametrize("kind", ["frame", "table", "several", "Model"])
def test_other_values(three: Any, kind: str) -> None:
    """Tables, Arrow data, containers and objects with arrays in them do, too."""
    make = getattr(tasks, kind)
    value, moved = fetched(three, make, 3)
    assert moved == {"taken": 1, "handed": 1, "take_failed": 0, "hand_over_failed": 0}
    expected = make(3)
    if kind == "several":
        np.testing.assert_array_equal(value["all"][1][0], expected["all"][1][0])
        assert value["all"][1][1] == "text"
    elif kind == "Model":
        np.testing.assert_array_equal(value.weights, expected.weights)
        assert value.name == expected.name
    else:
        assert value.equals(expected)


@pytest.mark.parametrize("value", [b"x" * (3 << 20), "x" * (3 << 20), list(range(1 << 18))])
def test_what_has_no_buffers_stays(three: Any, value: Any) -> None:
    """Values that would be rebuilt by copying stay in the worker's own memory."""
    first, second, _ = three.addresses
    made = three.client.submit(lambda: value, workers=[first], pure=False)
    assert three.client.submit(len, made, workers=[second]).result() == len(value)
    assert held_by(three, made.key) == [False, False]


def test_small_values_stay(three: Any) -> None:
    """So do those below the threshold."""
    made = three.client.submit(np.ones, 1000, pure=False)
    wait(made)
    assert held_by(three, made.key) == [False]


def test_replicate_is_one_copy(three: Any) -> None:
    """Three workers hold a value, and its memory is there once."""
    before = three.counts("placed")
    made = three.client.submit(tasks.numbers, 5, 32, pure=False)
    wait(made)
    three.client.replicate([made])
    assert held_by(three, made.key) == [True, True, True]
    assert before["placed"] + 1 == three.counts("placed")["placed"]

    def address(dask_worker: Any) -> Any:
        return dask_worker.extensions["plib_cache"].store.held[made.key].where

    assert len(set(three.client.run(address).values())) == 1


def test_rebalance_and_retire(start: Any) -> None:
    """Values move to other workers by reference, and are right there."""
    by_size = {"distributed.worker.memory.rebalance.measure": "managed"}
    workers = start(3, memory_limit=0, config=by_size)
    first = workers.addresses[0]
    made = workers.client.map(tasks.numbers, range(6), workers=[first], pure=False)
    wait(made)
    workers.client.rebalance(made)
    assert workers.counts("taken", "take_failed") == {"taken": 4, "take_failed": 0}
    has = workers.client.who_has(made)
    assert {len(held) for held in has.values()} == {1}
    workers.client.retire_workers([first])
    assert first not in workers.addresses
    sums = workers.client.gather(workers.client.map(tasks.total, made))
    assert sums == [tasks.total(tasks.numbers(n)) for n in range(6)]
    assert workers.counts("take_failed", "hand_over_failed") == {
        "take_failed": 0,
        "hand_over_failed": 0,
    }


def test_scatter(three: Any) -> None:
    """What a client scatters is sent once, and then passed on by reference."""
    before = three.counts("placed", "taken")
    sent = three.client.scatter(tasks.numbers(7), broadcast=True)
    after = three.counts("placed", "taken")
    assert held_by(three, sent.key) == [True, True, True]
    assert {name: after[name] - before[name] for name in after} == {"placed": 1, "taken": 2}
    assert three.client.submit(tasks.total, sent).result() == tasks.total(tasks.numbers(7))


def test_memory_is_free_when_nobody_holds_a_value(start: Any, eventually: Any) -> None:
    """A value's memory is given back when the last key is forgotten, and no name is left."""
    import plib_cache

    workers = start(2)
    first, second = workers.addresses
    made = workers.client.submit(tasks.numbers, 0, 32, workers=[first])
    workers.client.submit(tasks.total, made, workers=[second]).result()
    with plib_cache.Cache(path=workers.path) as cache:
        assert cache.stats().leased == 2 * cache.stats().used > 32 << 20
        assert len(cache) == 0
        del made
        eventually(lambda: cache.stats().used == 0, "the memory to be free")
        assert cache.check() == []


def test_tasks_may_write_into_their_inputs(three: Any) -> None:
    """By default; each worker has what it writes for itself, as it always had."""
    first, second, third = three.addresses
    made = three.client.submit(tasks.numbers, 9, workers=[first], pure=False)
    wait(made)
    base = tasks.total(tasks.numbers(9))
    elements = tasks.numbers(9).size
    there = three.client.submit(tasks.add_in_place, made, workers=[second], pure=False)
    assert there.result() == base + elements
    for address in (first, third):
        seen = three.client.submit(tasks.total, made, workers=[address], pure=False)
        assert seen.result() == base
    assert held_by(three, made.key) == [True] * 3


def test_a_result_that_was_written_to(three: Any) -> None:
    """A task that returns its changed input has that as its result, everywhere."""

    def change(array: Any) -> Any:
        array += 1
        return array

    first, second, _ = three.addresses
    made = three.client.submit(tasks.numbers, 11, workers=[first], pure=False)
    changed = three.client.submit(change, made, workers=[first], pure=False)
    there = three.client.submit(tasks.total, changed, workers=[second], pure=False)
    assert there.result() == tasks.total(tasks.numbers(12))
    np.testing.assert_array_equal(changed.result(), tasks.numbers(12))


def test_read_only_by_option(start: Any) -> None:
    """``writeable=False``: what is in the region is read-only, but for tasks that say so."""
    import dask

    workers = start(2, {"writeable": False})
    first, second = workers.addresses
    made = workers.client.submit(tasks.numbers, 1, workers=[first])
    wait(made)
    workers.settle()
    for address in (first, second):
        seen = workers.client.submit(tasks.flags_of, made, workers=[address], pure=False)
        assert seen.result() is False
    with dask.annotate(plib_cache={"writeable": True}):
        for address in (first, second):
            seen = workers.client.submit(tasks.add_in_place, made, workers=[address], pure=False)
            assert seen.result() == tasks.total(tasks.numbers(2))
    again = workers.client.submit(tasks.flags_of, made, workers=[first], pure=False)
    assert again.result() is True


def test_only_workers_of_the_same_region_get_references(folder: Any) -> None:
    """Workers of another region, and those without the plugin, get bytes."""
    import dask
    from distributed import LocalCluster

    from plib_cache.integrations.dask import PlibCachePlugin, counts

    from .conftest import QUIET

    async def share(dask_worker: Any, path: str) -> Any:
        return await dask_worker.plugin_add(PlibCachePlugin(path=path, size="64MiB"))

    with (
        dask.config.set(QUIET),
        LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        one, other, none = sorted(tasks.workers_now(client))
        for address, name in ((one, "mine"), (other, "theirs")):
            client.run(share, path=str(folder / name), workers=[address])
        made = client.submit(tasks.numbers, 2, workers=[one])
        for address in (other, none):
            assert client.submit(
                tasks.total, made, workers=[address], pure=False
            ).result() == tasks.total(tasks.numbers(2))
        told = client.run(counts, workers=[one, other])
        assert told[one]["handed"] == told[other]["taken"] == 0
        assert told[one]["strangers"] + told[other]["strangers"] == 2
        # in its own region, when it has been idle
        wait_until(lambda: client.run(counts, workers=[other])[other]["placed"] == 1)
