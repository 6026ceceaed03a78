# SPDX-License-Identifier: BSD-3-Clause
"""Whatever goes wrong with a hand-over, the task gets its input, as bytes, and it is counted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import dask_tasks as tasks
import numpy as np
import pytest
from distributed import wait

import plib_cache
from plib_cache.integrations.dask._store import HeldValues


def break_taking(dask_worker: Any, how: str, times: int) -> None:
    """The next values that come by reference to this worker cannot be had."""
    store = dask_worker.extensions["plib_cache"].store
    take, left = store.take, [times]

    def broken(where: Any) -> Any:
        if not left[0]:
            return take(where)
        left[0] -= 1
        if how == "lost":
            return take((1 << 40, 12345))
        raise RuntimeError("it cannot be rebuilt")

    store.take = broken


@pytest.fixture
def pair(three: Any) -> Any:
    """Two of three workers, which send each other references again."""

    def trust(dask_worker: Any) -> None:
        cache = dask_worker.extensions["plib_cache"]
        cache._hand_over._peers.clear()
        vars(cache.store).pop("take", None)

    three.client.run(trust)
    yield three.addresses[:2]
    three.client.run(trust)


@pytest.mark.parametrize("how", ["lost", "broken"])
@pytest.mark.parametrize("times", [1, 1000])
def test_what_cannot_be_taken_is_sent(three: Any, pair: Any, how: str, times: int) -> None:
    """A value that is lost, or cannot be rebuilt there: asked for again, and sent as bytes."""
    first, second = pair
    names = ("take_failed", "hand_over_failed", "failures")
    before = three.counts(*names)
    three.client.run(break_taking, how=how, times=times, workers=[second])
    made = three.client.submit(tasks.numbers, 3, workers=[first], pure=False)
    seen = three.client.submit(tasks.total, made, workers=[second], pure=False)
    assert seen.result(timeout=60) == tasks.total(tasks.numbers(3))
    after = three.counts(*names)
    assert {name: after[name] - before[name] for name in names} == dict.fromkeys(names, 1)
    taken = three.counts("handed")
    again = three.client.submit(tasks.numbers, 4, workers=[first], pure=False)
    seen = three.client.submit(tasks.total, again, workers=[second], pure=False)
    assert seen.result(timeout=60) == tasks.total(tasks.numbers(4))
    assert three.counts("handed") == taken  # bytes, for a while


def test_a_class_that_cannot_be_rebuilt_over_shared_memory(three: Any, pair: Any) -> None:
    """Such a value is sent as bytes as well."""
    first, second = pair
    before = three.counts("take_failed")["take_failed"]
    made = three.client.submit(tasks.Spoiled, workers=[first], pure=False)
    seen = three.client.submit(lambda one: int(one.data.sum()), made, workers=[second], pure=False)
    assert seen.result(timeout=60) == tasks.total(tasks.numbers(0, 2))
    assert three.counts("take_failed")["take_failed"] == before + 1


class Forgetful(HeldValues):
    """Lets go of a value as soon as it was looked at, as if its key was released just then."""

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, once."""
        return self.pop(key, default)


def test_a_giver_that_lets_go_meanwhile(three: Any, pair: Any) -> None:
    """What is on its way is there until the taker has it, though the giver has released the key."""
    first, second = pair

    def have(dask_worker: Any, held: HeldValues) -> bool:
        placing = dask_worker.extensions["plib_cache"].placing
        for key, value in placing.held.items():
            held[key] = value
        placing.held = placing.store.held = held
        return made.key in held

    names = ("taken", "take_failed", "failures")
    before = three.counts(*names)
    made = three.client.submit(tasks.numbers, 31, workers=[first], pure=False)
    wait(made)
    three.settle()
    assert three.client.run(have, held=Forgetful(), workers=[first])[first]
    seen = three.client.submit(tasks.total, made, workers=[second], pure=False)
    try:
        assert seen.result(timeout=60) == tasks.total(tasks.numbers(31))
    finally:
        there = three.client.run(have, held=HeldValues(), workers=[first])
    assert there == {first: False}
    after = three.counts(*names)
    assert [after[name] - before[name] for name in names] == [1, 0, 0]


def test_a_taker_that_does_not_say_its_region(three: Any, pair: Any) -> None:
    """It gets bytes, after one bounded wait."""
    first, second = pair

    def be_dumb(dask_worker: Any) -> None:
        import asyncio

        async def region() -> None:
            await asyncio.Event().wait()

        dask_worker.handlers["plib_cache_region"] = region

    def speak(dask_worker: Any) -> None:
        hand_over = dask_worker.extensions["plib_cache"]._hand_over
        dask_worker.handlers["plib_cache_region"] = hand_over.region

    three.client.run(be_dumb, workers=[second])
    before = three.counts("strangers", "handed")
    try:
        for number in (32, 33):
            made = three.client.submit(tasks.numbers, number, workers=[first], pure=False)
            seen = three.client.submit(tasks.total, made, workers=[second], pure=False)
            assert seen.result(timeout=60) == tasks.total(tasks.numbers(number))
    finally:
        three.client.run(speak, workers=[second])
    after = three.counts("strangers", "handed")
    assert {name: after[name] - before[name] for name in after} == {"strangers": 1, "handed": 0}


def test_replicate_gets_there(three: Any, pair: Any) -> None:
    """``replicate`` succeeds though references cannot be taken."""
    first, _ = pair
    three.client.run(break_taking, how="broken", times=1000)
    made = three.client.submit(tasks.numbers, 8, workers=[first], pure=False)
    wait(made)
    three.client.replicate([made])
    assert len(three.client.who_has([made])[made.key]) == 3


def gathered(workers: Any, key: str, giver: str, taker: str) -> Any:
    """The answer of a worker that is asked to get a value from another one."""

    async def gather(dask_worker: Any) -> Any:
        return await dask_worker.handlers["gather"](who_has={key: [giver]})

    answer = workers.client.run(gather, workers=[taker])[taker]
    return answer, workers.client.run(lambda dask_worker: key in dask_worker.data)[taker]


@pytest.mark.parametrize("how", ["lost", "broken"])
def test_a_worker_gathers_once_more(three: Any, pair: Any, how: str) -> None:
    """A value that came by reference and cannot be had is gathered again, as bytes."""
    first, second = pair
    three.client.run(break_taking, how=how, times=1000, workers=[second])
    made = three.client.submit(tasks.numbers, 21, workers=[first], pure=False)
    wait(made)
    names = ("take_failed", "hand_over_failed", "handed", "taken")
    before = three.counts(*names)
    three.client.replicate([made], workers=[second])
    after = three.counts(*names)
    assert [after[name] - before[name] for name in names] == [1, 1, 1, 0]
    seen = three.client.run(
        lambda dask_worker: int(dask_worker.data[made.key].sum()), workers=[second]
    )
    assert seen == {second: tasks.total(tasks.numbers(21))}


def test_a_giver_that_never_learns(three: Any, pair: Any) -> None:
    """One that goes on with references fails a gather as dask would; nobody waits for ever."""
    first, second = pair
    three.client.run(break_taking, how="broken", times=1000, workers=[second])

    def never_learn(dask_worker: Any) -> None:
        hand_over = dask_worker.extensions["plib_cache"]._hand_over
        hand_over._remember = lambda *_: None

    def learn(dask_worker: Any) -> None:
        vars(dask_worker.extensions["plib_cache"]._hand_over).pop("_remember", None)

    made = three.client.submit(tasks.numbers, 22, workers=[first], pure=False)
    wait(made)
    before = three.counts("take_failed")["take_failed"]
    three.client.run(never_learn, workers=[first])
    try:
        answer = gathered(three, made.key, first, second)
    finally:
        three.client.run(learn, workers=[first])
    assert answer == ({"status": "partial-fail", "keys": [made.key]}, False)
    assert three.counts("take_failed")["take_failed"] == before + 2
    assert made.result(60).sum() == tasks.total(tasks.numbers(22))  # clients get bytes


def test_the_giver_is_gone(start: Callable[..., Any], eventually: Any) -> None:
    """Who has taken a value has it though its giver was killed, and gives it to clients."""
    workers = start(2)
    first, second = workers.addresses
    made = workers.client.submit(tasks.numbers, 1, workers=[first], allow_other_workers=True)
    seen = workers.client.submit(tasks.total, made, workers=[second])
    assert seen.result(60) == tasks.total(tasks.numbers(1))
    pid = workers.client.run(os.getpid, workers=[first])[first]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: workers.client.who_has([made])[made.key] == (second,), "its end")
    np.testing.assert_array_equal(made.result(60), tasks.numbers(1))
    del seen
    again = workers.client.submit(tasks.total, made, workers=[second], pure=False)
    assert again.result(60) == tasks.total(tasks.numbers(1))
    assert workers.client.run(
        lambda dask_worker: list(dask_worker.extensions["plib_cache"].store.held) == [made.key],
        workers=[second],
    ) == {second: True}


def test_a_region_that_was_removed(start: Callable[..., Any]) -> None:
    """Workers go on with what they have mapped; a worker that comes later has a new one."""
    workers = start(2)
    first, second = workers.addresses
    made = workers.client.submit(tasks.numbers, 1, workers=[first])
    wait(made)
    os.remove(workers.path)
    assert workers.client.submit(tasks.total, made, workers=[second]).result(
        timeout=60
    ) == tasks.total(tasks.numbers(1))
    workers.cluster.scale(3)
    workers.client.wait_for_workers(3, timeout=60)
    (third,) = set(workers.addresses) - {first, second}
    for array in (made, workers.client.submit(tasks.numbers, 2, workers=[first])):
        seen = workers.client.submit(tasks.total, array, workers=[third])
        assert seen.result(timeout=60) == tasks.total(array.result())
    workers.settle()
    assert workers.client.submit(tasks.in_region, made, workers=[third]).result(timeout=60)


def test_a_full_region(start: Callable[..., Any]) -> None:
    """What has no room stays in the worker's own memory; all results are right."""
    workers = start(2, {"size": "64MiB", "nodes": False})
    first, second = workers.addresses
    made = workers.client.map(tasks.numbers, range(16), workers=[first], pure=False)
    wait(made)
    workers.settle()
    told = workers.counts("placed", "refused")
    assert told["placed"] + told["refused"] == 16
    assert told["placed"] >= 4
    assert told["refused"] >= 8
    sums = workers.client.map(tasks.total, made, workers=[second], pure=False)
    assert workers.client.gather(sums) == [tasks.total(tasks.numbers(n)) for n in range(16)]
    assert workers.counts("failures", "take_failed") == {"failures": 0, "take_failed": 0}


def test_a_value_that_is_too_large(start: Callable[..., Any]) -> None:
    """It is as if there were no cache."""
    workers = start(1, {"size": "16MiB"})
    made = workers.client.submit(np.ones, 4_000_000)
    assert made.result().sum() == 4_000_000
    workers.settle()
    assert workers.counts("placed", "refused") == {"placed": 0, "refused": 1}


def test_more_values_than_a_process_can_lease(start: Callable[..., Any]) -> None:
    """128 in a small region: the others stay in the worker's own memory."""
    workers = start(1, {"size": "128MiB", "threshold": "64 KiB"})
    made = workers.client.map(np.full, [10_000] * 200, range(200), pure=False)
    wait(made)
    workers.settle()
    told = workers.counts("placed", "refused")
    assert told["placed"] + told["refused"] == 200
    assert 100 < told["placed"] <= 128
    total = workers.client.submit(tasks.total, *made)
    assert total.result() == sum(n * 10_000 for n in range(200))


def test_a_stopped_writer(start: Callable[..., Any], stopped_holder: Any) -> None:
    """Somebody has stopped while he held all locks: values stay where they are."""
    workers = start(1)
    (worker,) = workers.addresses
    with plib_cache.Cache(path=workers.path) as cache:
        child = stopped_holder(cache)
        made = workers.client.submit(tasks.numbers, 1, workers=[worker])
        assert made.result(timeout=60).sum() == tasks.total(tasks.numbers(1))
        workers.settle()
        told = workers.counts("placed", "refused", "failures")
        assert told == {"placed": 0, "refused": 1, "failures": 1}
        child.kill(18)
        assert child.result() is None
