# SPDX-License-Identifier: BSD-3-Clause
"""``worker.data`` goes on being the mapping that it was, whichever of its values are shared."""

from __future__ import annotations

import string
from collections import UserDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask_tasks as tasks
import numpy as np
import pytest

pytest.importorskip("distributed")

import zict
from distributed import wait
from distributed.spill import SpillBuffer
from zict.tests import utils_test

from plib_cache import Held
from plib_cache.integrations.dask._mapping import in_memory, share, unwrap, wrap
from plib_cache.integrations.dask._store import HeldValues


class FakeWorker:
    """A worker, as far as its mapping matters."""

    def __init__(self, data: Any) -> None:
        self.memory_manager = SimpleNamespace(data=data)
        self.state = SimpleNamespace(data=data)

    @property
    def data(self) -> Any:
        """As a worker's."""
        return self.memory_manager.data


class EverySecond:
    """A region that has values of an even length, as soon as they are stored."""

    store: Any = None

    def __init__(self) -> None:
        self.held = HeldValues()
        self.placed = 0
        self.data: Any = None

    def arrived(self, value: Any) -> None:
        """Nothing comes from elsewhere."""

    def forget(self, key: Any) -> None:
        """Nothing is on its way."""

    def stored(self, key: Any, value: Any) -> None:
        """Every second length."""
        assert in_memory(self.data, key)
        if len(value) % 2 == 0:
            self.placed += 1
            share(self.data, key, Held(value, len(value), (1, 1), None))


def wrapped(data: Any) -> tuple[Any, EverySecond, Any]:
    """A worker's mapping, wrapped; the region; and the worker."""
    worker, region = FakeWorker(data), EverySecond()
    assert wrap(worker, region)
    region.data = worker.data
    return worker.data, region, worker


def mappings(folder: Path) -> dict[str, Any]:
    """Mappings such as workers have."""
    return {
        "UserDict": UserDict(),
        "LRU": zict.LRU(1000, {}),
        "Buffer": zict.Buffer({}, {}, n=3),
        "File": zict.Buffer({}, zict.File(folder / "slow"), n=3),
    }


@pytest.mark.parametrize("name", ["UserDict", "LRU", "Buffer", "File"])
def test_zicts_checks(name: str, tmp_path: Path) -> None:
    """zict's own checks of what a mapping does hold, with some values here and some there."""
    data, store, _ = wrapped(mappings(tmp_path)[name])
    if name != "UserDict":  # its text is that of a dict
        utils_test.check_mapping(data)
    else:
        utils_test.check_empty_mapping(data)
    utils_test.stress_test_mapping_updates(data)
    assert store.placed > 50
    assert store.held.nbytes == sum(one.nbytes for one in store.held.values())


def test_a_plain_dict() -> None:
    """What a dict can do besides gives all values, too."""
    data, store, worker = wrapped({})
    utils_test.check_empty_mapping(data)
    utils_test.stress_test_mapping_updates(data)
    data.clear()
    data.update({"even": "ab", "odd": "abc"})
    assert isinstance(data, dict)
    assert data == {"even": "ab", "odd": "abc"} == data.copy()
    assert type(data.copy()) is dict
    assert data != {"even": "ab"}
    assert data.get("even") == "ab"
    assert data.get("none", 5) == 5
    assert data.setdefault("even", "x") == "ab"
    assert repr(data) == repr({"even": "ab", "odd": "abc"})
    assert data.pop("even") == "ab"
    assert "even" not in data
    assert not store.held
    with pytest.raises(KeyError):
        data.pop("even")
    data["even"] = "abcd"
    unwrap(worker)
    assert type(worker.data) is dict


def test_another_value_in_its_place() -> None:
    """A key has one value, wherever the last one lay."""
    data, store, _ = wrapped({})
    for value in ("ab", "abc", "abcd", "abcde"):
        data["key"] = value
        assert dict(data) == {"key": value}
        assert len(data) == len(list(data)) == 1
        assert ("key" in store.held) is (len(value) % 2 == 0)
        assert store.held.nbytes == (0 if len(value) % 2 else len(value))


def test_a_spill_buffer(tmp_path: Path) -> None:
    """It stays one, spills what is its own, and gives everything back in the end."""
    own = SpillBuffer(str(tmp_path / "spill"), target=2000)
    cls = type(own)
    data, store, worker = wrapped(own)
    assert data is own
    assert isinstance(data, cls)
    for i, letter in enumerate(string.ascii_lowercase):
        data[letter] = letter * (500 + i)
    assert len(store.held) == 13
    assert len(data.disk) > 5
    assert len(data) == 26
    assert sorted(data) == list(string.ascii_lowercase)
    assert data.evict() > 0
    assert {key: len(value) for key, value in data.items()} == {
        letter: 500 + i for i, letter in enumerate(string.ascii_lowercase)
    }
    assert all(data[letter] == letter * (500 + i) for i, letter in enumerate("abcdef"))
    assert set(data.disk).isdisjoint(store.held)
    unwrap(worker)
    assert type(data) is cls
    assert sorted(data) == list(string.ascii_lowercase)
    assert not hasattr(data, "_plib")


def test_what_cannot_be_wrapped_is_left() -> None:
    """A mapping of a class that is not Python's stays as it is."""
    assert wrap(FakeWorker(np.zeros(3)), EverySecond()) is False


def test_a_worker_without_a_limit(start: Any) -> None:
    """It has a plain dict, and shares what is in it."""
    workers = start(2, memory_limit=0)
    first, second = workers.addresses
    made = workers.client.submit(tasks.numbers, 1, workers=[first])
    seen = workers.client.submit(tasks.total, made, workers=[second])
    assert seen.result() == tasks.total(tasks.numbers(1))
    kinds = workers.client.run(lambda dask_worker: type(dask_worker.data).__mro__[1].__name__)
    assert set(kinds.values()) == {"dict"}
    assert workers.counts("taken") == {"taken": 1}
    workers.client.run(lambda dask_worker: dask_worker.state.validate_state())


def test_spilling_goes_on(start: Any) -> None:
    """What does not lie in the region is spilled and comes back, as it always did."""
    limits = {"distributed.worker.memory.target": 0.1, "distributed.worker.memory.spill": False}
    workers = start(1, {"threshold": "1 GiB"}, memory_limit="400MiB", config=limits)
    made = workers.client.map(tasks.numbers, range(12), pure=False)
    wait(made)

    def look(dask_worker: Any) -> tuple[int, int]:
        data = dask_worker.data
        return len(data.memory), len(data.disk)

    ((fast, slow),) = workers.client.run(look).values()
    assert fast + slow == 12
    assert slow >= 6
    sums = workers.client.gather(workers.client.map(tasks.total, made))
    assert sums == [tasks.total(tasks.numbers(n)) for n in range(12)]
