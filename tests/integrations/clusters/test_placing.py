# SPDX-License-Identifier: BSD-3-Clause
"""When values come into the region: if somebody asks, if there is time, or if memory is short.

A worker is kept busy by a task that waits for an event, so that what happens beside it is no
question of time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import dask_tasks as tasks
import pytest
from distributed import Event, wait
from waiting import wait_until

from plib_cache.integrations.dask._placing import Placing

MIB = 1 << 20


def held(workers: Any, address: str) -> list[str]:
    """The keys of what a worker has in the region."""

    def look(dask_worker: Any) -> list[str]:
        return list(dask_worker.extensions["plib_cache"].store.held)

    found: list[str] = workers.client.run(look, workers=[address])[address]
    return found


def until(name: str) -> None:
    """Run until an event is set."""
    Event(name).wait()


@contextlib.contextmanager
def busy(workers: Any, address: str) -> Iterator[Callable[[int], None]]:
    """A worker that has a task to run until the block ends.

    What is given to it in the block begins with ``go(n)``, when n tasks could run.
    """
    gate, end = (Event(f"{name} {address}", client=workers.client) for name in ("gate", "end"))

    def ready(dask_worker: Any) -> int:
        return len(dask_worker.state.ready)

    def go(n: int) -> None:
        wait_until(lambda: workers.client.run(ready, workers=[address])[address] == n + 1)
        gate.set()

    running = [
        workers.client.submit(until, event.name, workers=[address], pure=False, priority=priority)
        for event, priority in ((gate, 10), (end, -10))
    ]
    try:
        yield go
    finally:
        gate.set()
        end.set()
    wait(running)


@pytest.fixture
def two(start: Callable[..., Any]) -> Any:
    """Two workers whose memory is not limited."""
    return start(2, memory_limit=0)


def test_when_there_is_time(two: Any) -> None:
    """A worker with nothing to do puts its values there."""
    first, _ = two.addresses
    made = two.client.submit(tasks.numbers, 1, workers=[first])
    wait(made)
    wait_until(lambda: held(two, first) == [made.key])


class Played:
    """A worker and its event loop, of which the test plays the tasks and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = SimpleNamespace(executing=[], nthreads=1, ready=[], executed_count=0)
        self.later: list[Callable[[], None]] = []
        self.begun: list[str] = []
        loop = SimpleNamespace(
            call_soon_threadsafe=lambda look: look(),
            call_later=self._call_later,
        )
        worker = SimpleNamespace(
            loop=SimpleNamespace(asyncio_loop=loop),
            memory_manager=SimpleNamespace(memory_limit=None),
            state=self.state,
            data={},
        )
        store: Any = SimpleNamespace(held={}, shareable=lambda nbytes: nbytes)
        self.placing = Placing(worker, store)
        monkeypatch.setattr(self.placing, "_begin", self._begin)

    def _call_later(self, _: float, look: Callable[[], None]) -> object:
        self.later.append(look)
        return look

    def _begin(self, key: str) -> None:
        self.begun.append(key)
        del self.placing.waiting[key]
        self.placing.look_later()  # as when it is placed

    def task(self, key: str, nbytes: int = MIB) -> None:
        """Run a task that has a value."""
        self.state.executed_count += 1
        self.placing.stored(key, nbytes)

    def moment(self) -> None:
        """Let a moment pass."""
        looks, self.later = self.later, []
        for look in looks:
            look()


def test_not_between_the_tasks_of_a_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only when nothing was run for a moment; then one after the other."""
    played = Played(monkeypatch)
    for number in range(5):
        played.task(f"k{number}")
        played.placing.look_later()
        played.state.executed_count += 1  # the next one
        played.moment()
    assert played.begun == []
    assert len(played.later) == 1
    played.state.executing.append("long")
    played.moment()
    played.moment()
    assert played.begun == []
    played.state.executing.clear()
    played.placing.look_later()
    played.moment()
    assert played.begun == [f"k{number}" for number in range(5)]


def test_large_ones_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are copied as soon as a thread has nothing to do, before those that came earlier."""
    played = Played(monkeypatch)
    played.task("small")
    played.state.executing.append("long")
    played.task("large", 64 * MIB)
    assert played.begun == []
    played.state.executing.clear()
    played.placing.look_later()
    assert played.begun == ["large"]
    played.moment()
    played.moment()
    assert played.begun == ["large", "small"]


def test_not_what_is_forgotten_before(two: Any) -> None:
    """A value that is forgotten while the worker is busy was never copied."""
    first, _ = two.addresses
    with busy(two, first) as go:
        made = two.client.submit(tasks.numbers, 1, workers=[first])
        go(1)
        wait(made)
        key = made.key
        assert held(two, first) == []
        del made
        wait_until(
            lambda: key not in two.client.run(lambda dask_worker: [*dask_worker.data])[first]
        )
    two.settle()
    assert two.counts("placed", "refused") == {"placed": 0, "refused": 0}


def test_when_somebody_asks(two: Any) -> None:
    """Of a worker that is busy, too."""
    first, second = two.addresses
    with busy(two, first) as go:
        made = two.client.map(tasks.numbers, [1, 2], workers=[first])
        go(2)
        wait(made)
        seen = two.client.submit(tasks.total, made[1], workers=[second])
        assert seen.result() == tasks.total(tasks.numbers(2))
        assert held(two, first) == held(two, second) == [made[1].key]
    assert two.counts("placed", "taken", "take_failed") == {
        "placed": 1,
        "taken": 1,
        "take_failed": 0,
    }


def test_a_value_that_is_replaced_meanwhile(two: Any) -> None:
    """What was on its way for a key is not what the key has in the end."""
    first, _ = two.addresses

    async def replace(dask_worker: Any) -> tuple[Any, int]:
        placing, gate = dask_worker.extensions["plib_cache"].placing, threading.Event()
        placing._thread.submit(gate.wait)
        for number in range(5):
            dask_worker.data["key"] = tasks.numbers(number)
            while not placing._coming:
                await asyncio.sleep(0)
            await asyncio.sleep(0)  # it is on its way
        dask_worker.data["key"] = "small"
        gate.set()
        await asyncio.wrap_future(placing._thread.submit(int))  # behind all of them
        await asyncio.sleep(0)
        return dask_worker.data.pop("key"), placing.store.counts.placed

    assert two.client.run(replace, workers=[first])[first] == ("small", 5)
    assert held(two, first) == []


def test_at_once_when_memory_is_short(start: Callable[..., Any]) -> None:
    """A busy worker has no more than a tenth of its limit wait."""
    workers = start(1, {"size": "512MiB"}, memory_limit="1GiB")
    (first,) = workers.addresses
    with busy(workers, first) as go:
        made = workers.client.map(tasks.numbers, range(6), [32] * 6, workers=[first])
        go(6)
        wait(made)
        assert len(held(workers, first)) == 3  # of 32 MiB each
    workers.settle()
    assert len(held(workers, first)) == 6


def test_what_is_spilled_stays_on_disk(start: Callable[..., Any]) -> None:
    """It is sent as bytes to who asks."""
    workers = start(2, memory_limit="1GiB")
    first, second = workers.addresses

    def spill(dask_worker: Any) -> int:
        return sum(dask_worker.data.evict() for _ in list(dask_worker.data.fast))

    with busy(workers, first) as go:
        made = workers.client.submit(tasks.numbers, 1, workers=[first])
        go(1)
        wait(made)
        assert workers.client.run(spill, workers=[first])[first] > MIB
        seen = workers.client.submit(tasks.total, made, workers=[second])
        assert seen.result() == tasks.total(tasks.numbers(1))
        assert held(workers, first) == []
    assert workers.counts("handed", "take_failed") == {"handed": 0, "take_failed": 0}
