# SPDX-License-Identifier: BSD-3-Clause
"""Arrays over the memory of a cache go to other processes by reference, and come back so."""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import handed_arrays as handed
import joblib
import numpy as np
import pytest
from handed_arrays import BYTES, N, pickled
from joblib.externals.loky import get_reusable_executor

from plib_cache import Cache, SerializationError, _handing
from plib_cache._shared_array import lease_under

EXECUTORS = ["fork", "forkserver", "spawn"]
BACKENDS = ["loky", "multiprocessing", "threading"]
FATES = ["kept", "deleted", "replaced", "expired", "cleared", "evicted"]

Call = Callable[..., Any]


@pytest.fixture(params=EXECUTORS + BACKENDS)
def call(request: pytest.FixtureRequest) -> Iterator[Call]:
    """``call(function, *args)`` in another process, in every way that there is."""
    way = request.param
    if way in EXECUTORS:
        with ProcessPoolExecutor(2, mp_context=handed.context(way)) as executor:
            yield lambda function, *args: executor.submit(function, *args).result()
        return
    parallel = joblib.Parallel(2, backend=way)
    yield lambda function, *args: parallel([joblib.delayed(function)(*args)])[0]
    if way == "loky":
        get_reusable_executor().shutdown()


# ---- there and back ------------------------------------------------------------------------------


def test_it_goes_there_by_reference(call: Call, array: Any, path: str) -> None:
    """A worker sees the same memory, read-only."""
    assert call(handed.look, array) == handed.look(array)
    assert handed.where(array)[0] == os.stat(path).st_ino


def test_it_comes_back_by_reference(call: Call, array: Any) -> None:
    """So does who gets a part of it back."""
    back = call(handed.part, array)
    expected = handed.part(np.arange(float(N)))
    assert np.array_equal(back, expected)
    assert handed.look(back) == handed.look(handed.part(array))
    assert back.strides == expected.strides


@pytest.mark.parametrize("fate", FATES)
def test_a_result_of_the_workers(call: Call, path: str, fate: str) -> None:
    """What a worker has stored itself comes by reference, whatever became of its key."""
    (result,) = call(handed.computed, path, "r", 3.5, fate)
    assert np.array_equal(result, np.full(N, 3.5))
    assert handed.where(result)[0] == os.stat(path).st_ino
    assert type(result).__name__ == "SharedArray"


def test_to_and_fro(call: Call, array: Any) -> None:
    """What was received is sent on as it came."""
    sent = array
    for _ in range(5):
        sent = call(handed.same, sent)
    assert handed.look(sent) == handed.look(array)


def test_within_other_things(call: Call, array: Any) -> None:
    """Arrays in what a user has made of them go by reference."""
    pair = handed.Pair(array, {"a": [array[100:]]})
    assert call(handed.both, pair) == handed.both(pair)
    back = call(handed.same, pair)
    assert handed.both(back) == handed.both(pair)


def test_to_many(array: Any) -> None:
    """The same array goes to many workers at once."""
    with ProcessPoolExecutor(8, mp_context=handed.context("fork")) as executor:
        assert set(executor.map(handed.look, [array] * 64)) == {handed.look(array)}


def test_few_bytes_are_sent(array: Any) -> None:
    """What goes through the pipe says where the array is, not what it is."""
    assert len(pickled(array)) < 1000 < array.nbytes
    assert len(pickled(handed.part(array))) < 1000


@pytest.mark.parametrize("dtype", ["<i2", "S7", "<M8[ns]", ">f4", [("x", "<f8"), ("y", "u1", 3)]])
def test_any_dtype_and_order(path: str, dtype: Any) -> None:
    """Whatever an array in the cache is, comes."""
    value = np.zeros((300, 400), dtype, order="F")
    value.reshape(-1).view("u1")[:] = 65
    here = handed.put(path, "any", value)
    again = ForkingPickler.loads(pickled(here))
    assert again.dtype == value.dtype
    assert again.strides == here.strides
    assert np.array_equal(again, value)
    assert handed.where(again) == handed.where(here)


# ---- what may happen between sending and receiving -----------------------------------------------


@pytest.mark.parametrize("fate", FATES)
def test_nobody_has_it_but_the_letter(path: str, fate: str) -> None:
    """The sender has forgotten it, and the cache has been overwritten: it is there all the same."""
    ours, theirs = multiprocessing.Pipe()
    process = handed.context("spawn").Process(
        target=handed.sends, args=(theirs, path, fate), daemon=True
    )
    process.start()
    letter = ours.recv_bytes()
    assert ours.recv_bytes() == b"it has happened"
    handed.overwrite(path)
    result = ForkingPickler.loads(letter)
    ours.send_bytes(b"end")
    process.join()
    handed.overwrite(path)
    assert process.exitcode == 0
    assert np.array_equal(result, np.arange(float(N)))
    assert handed.where(result)[0] == os.stat(path).st_ino


def test_a_process_that_ends_waits(path: str) -> None:
    """The last result of a process is there, though it has ended (or would have, but waits)."""
    context = handed.context("spawn")
    queue = context.Queue()
    process = context.Process(target=handed.puts, args=(queue, path), daemon=True)
    process.start()
    assert queue._reader.poll(None)
    handed.overwrite(path)
    (result,) = queue.get()
    assert np.array_equal(result, np.full(N, 7.0))
    process.join()
    assert process.exitcode == 0
    assert len([key for key in handed.cache(path) if isinstance(key, bytes)]) == 0


def test_a_sender_that_was_killed(path: str, eventually: Call) -> None:
    """Its value is there as long as it is in the cache; then an error says why it is not."""
    ours, theirs = multiprocessing.Pipe()
    process = handed.context("spawn").Process(target=handed.dies, args=(theirs, path), daemon=True)
    process.start()
    letter = ours.recv_bytes()
    process.join()
    assert np.array_equal(ForkingPickler.loads(letter), np.arange(float(N)))
    here = handed.cache(path)
    del here["result"]

    def lost() -> bool:
        handed.overwrite(path)
        try:
            ForkingPickler.loads(letter)
        except SerializationError:
            return True
        return False

    eventually(lost)
    with pytest.raises(SerializationError, match="its sender has died"):
        ForkingPickler.loads(letter)
    _handing.collect()
    assert [key for key in here if isinstance(key, bytes)] == []


def test_a_receiver_for_copies_only(array: Any, path: str) -> None:
    """Who reads nothing in place gets a copy."""
    with ProcessPoolExecutor(1, mp_context=handed.context("spawn")) as executor:
        executor.submit(handed.copies_only, path).result()
        assert executor.submit(handed.kind, array).result() == ("ndarray", array.sum())


def test_another_file(array: Any, path: str) -> None:
    """A copy of the file is not taken for it."""
    letter = pickled(array)
    subprocess.run(["cp", path, path + ".copy"], check=True)
    os.rename(path, path + ".first")
    os.rename(path + ".copy", path)
    with pytest.raises(SerializationError, match="another file"):
        ForkingPickler.loads(letter)
    assert len(pickled(array)) > BYTES  # nor is a reference to it made
    os.remove(path)
    with pytest.raises(SerializationError, match="cannot be opened here"):
        ForkingPickler.loads(letter)
    os.rename(path + ".first", path)
    assert handed.where(ForkingPickler.loads(letter)) == handed.where(array)


def test_another_machine(array: Any) -> None:
    """Nor is a file of another machine that has the same name."""
    reference = _handing.offer(lease_under(array))
    assert reference is not None
    place = reference.place._replace(boot="another")
    with pytest.raises(SerializationError, match="another machine"):
        _handing.fetch(reference._replace(place=place))


# ---- what is kept --------------------------------------------------------------------------------


def test_nothing_is_left(path: str, eventually: Call) -> None:
    """After 1000 round trips no entry is there but the array, and no lease but its own."""
    array, here = handed.put(path, "a", np.arange(float(N))), handed.cache(path)
    with ProcessPoolExecutor(2, mp_context=handed.context("fork")) as executor:
        for _ in range(1000):
            assert executor.submit(handed.same, array).result().nbytes == BYTES
    assert _handing.settle() == 0
    assert list(here) == ["a"]
    del here["a"]
    assert here._region.usage()["limbo_pages"] * 4096 >= BYTES
    del array

    def free() -> bool:
        """What ended workers had inherited is found out by whoever needs room."""
        handed.overwrite(path, 1)
        return here._region.usage()["limbo_pages"] == 0

    eventually(free)


def test_it_is_let_go_when_it_was_fetched(array: Any) -> None:
    """The sender keeps what it has sent until then, and no longer."""
    letters = [pickled(array) for _ in range(3)]
    assert len(_handing._kept) == 3
    ForkingPickler.loads(letters[0])
    _handing.collect()
    assert len(_handing._kept) == 2
    for letter in letters:
        ForkingPickler.loads(letter)
    assert _handing.settle() == 0


def test_it_is_let_go_when_nobody_fetches_it(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not fetched is kept for a bounded time, and so many at most; beyond, bytes go."""
    monkeypatch.setattr(_handing, "MOST", 3)
    sizes = [len(pickled(array)) for _ in range(4)]
    assert [size > BYTES for size in sizes] == [False, False, False, True]
    _handing._kept.clear()
    monkeypatch.setattr(_handing, "KEPT_S", -1.0)
    letters = [pickled(array) for _ in range(4)]
    assert all(len(letter) < 1000 for letter in letters)
    assert len(_handing._kept) == 1


def test_regions_that_were_removed(tmp_path: Path) -> None:
    """A process that hands arrays of ever new caches keeps neither their files nor their memory."""

    def gone() -> list[str]:
        files = []
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # other threads have some, too
                files.append(os.readlink(f"/proc/self/fd/{number}"))
        return [file for file in files if file.startswith(f"{tmp_path}/") and "(deleted)" in file]

    arrays = []
    for number in range(10):
        path = tmp_path / f"r{number}"
        with Cache(path=path, size="16MiB") as cache:
            cache["a"] = np.full(N, float(number))
            arrays.append(ForkingPickler.loads(pickled(cache.get("a", copy="shared"))))
        path.unlink()
    assert [array[0] for array in arrays] == list(range(10))
    arrays.clear()
    assert len(gone()) <= 3  # of the last one


def test_a_fork_child_keeps_nothing_of_its_parents(array: Any, fork: Call) -> None:
    """What a process keeps for others is not kept a second time by its children."""
    letter = pickled(array)

    def in_child() -> tuple[int, tuple[int, int]]:
        kept = len(_handing._kept)
        return kept, handed.where(ForkingPickler.loads(letter))

    assert fork(in_child).result() == (0, handed.where(array))
    _handing.collect()
    assert len(_handing._kept) == 0


def test_a_full_cache_does_not_acknowledge(
    array: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value comes even where no word can be left for its sender."""
    letter = pickled(array)
    region = _handing._opened[path].region

    def refuse(*args: Any) -> None:
        raise _handing.PlibCacheError("full")

    monkeypatch.setattr(region, "store", refuse)
    assert handed.where(ForkingPickler.loads(letter)) == handed.where(array)
    _handing.collect()
    assert len(_handing._kept) == 1
