# SPDX-License-Identifier: BSD-3-Clause
"""What holds arrays over the memory of a cache goes to other processes by reference, as they do:
tables, sparse matrices, Arrow data, dicts, objects of a user's."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import cloudpickle
import handed_arrays as handed
import handed_tables as tables
import joblib
import numpy as np
import pandas as pd
import pytest
from handed_arrays import pickled
from joblib.externals.loky import get_reusable_executor

from plib_cache import Cache, SerializationError, _handing
from plib_cache.keys import fingerprint

NAMES = sorted(tables.MAKERS)
FEW = ["mixed", "dict", "table", "rows"]
MOST = 20_000  # bytes that are sent of a value by reference: what is small in it, and names
WAYS = ["fork", "spawn", "loky", "multiprocessing", "threading"]

Call = Callable[..., Any]


@pytest.fixture
def inode(path: str) -> int:
    """The file of the cache."""
    handed.cache(path)
    return os.stat(path).st_ino


@pytest.fixture(params=WAYS)
def call(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Call]:
    """``call(function, *args)`` in another process; nothing is dumped into a file meanwhile."""
    way = request.param
    if way in ("fork", "spawn"):
        with ProcessPoolExecutor(1, mp_context=handed.context(way)) as executor:
            yield lambda function, *args: executor.submit(function, *args).result()
        return
    dumped = tmp_path / "dumped"
    dumped.mkdir()
    parallel = joblib.Parallel(2, backend=way, temp_folder=dumped, max_nbytes=10_000)
    with parallel:
        yield lambda function, *args: parallel([joblib.delayed(function)(*args)])[0]
        assert [file for file in dumped.rglob("*") if file.is_file()] == []
    if way == "loky":
        get_reusable_executor().shutdown()


# ---- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_few_bytes_are_sent(path: str, inode: int, name: str) -> None:
    """What goes through the pipe says where the value is; it is the same value, and sent on so."""
    sent = handed.put(path, "v", tables.make(name))
    assert tables.places(sent) == {inode}
    for _ in range(3):
        letter = pickled(sent)
        assert len(letter) < MOST
        sent = ForkingPickler.loads(letter)
        assert tables.places(sent) == {inode}
        assert tables.same(tables.make(name), sent)


@pytest.mark.parametrize("name", FEW)
def test_it_goes_there_and_comes_back(path: str, inode: int, call: Call, name: str) -> None:
    """A worker sees the same memory, and who gets it back from there does."""
    there, back = call(tables.look, handed.put(path, "v", tables.make(name)))
    assert there == tables.places(back) == {inode}
    assert tables.same(tables.make(name), back)


@pytest.mark.parametrize("name", FEW)
def test_a_result_of_the_workers(path: str, inode: int, call: Call, name: str) -> None:
    """What a worker has stored itself comes by reference, though its key is gone."""
    result = call(tables.stored, path, "v", name)
    assert tables.places(result) == {inode}
    assert tables.same(tables.make(name), result)


def test_a_value_is_kept_once(path: str) -> None:
    """However many arrays it has: of each pickle its sender keeps one lease."""
    value = handed.put(path, "v", [np.arange(10_000.0) for _ in range(100)])
    before = set(_handing._kept)  # what others have sent lies there for a while
    letters = [pickled(value), pickled({"a": value, "b": value[3][5:]})]
    assert len(set(_handing._kept) - before) == 2
    back = [ForkingPickler.loads(letter) for letter in letters]
    assert len({id(handed.lease_of(one)) for one in back[0]}) == 1
    assert _handing.settle() == 0
    del value
    assert np.array_equal(back[1]["b"], np.arange(5.0, 10_000.0))


# ---- parts of it ---------------------------------------------------------------------------------


def test_parts_of_tables(path: str, inode: int) -> None:
    """Columns and rows of a table lie in it, and go as it does; what is computed is sent whole."""
    table = handed.put(path, "v", tables.make("mixed"))
    plain = tables.make("mixed")
    for part, same in (
        (table["number"], plain["number"]),
        (table["text"], plain["text"]),
        (table.iloc[20_000:90_000], plain.iloc[20_000:90_000]),
        (table[["number", "text"]], plain[["number", "text"]]),
    ):
        assert len(pickled(part)) < MOST
        back = ForkingPickler.loads(pickled(part))
        assert tables.places(back) == {inode}
        assert tables.same(same, back)
    for made in (table["number"] + 1, table["text"].str.upper(), table.iloc[::-1].copy()):
        assert len(pickled(made)) > 500_000
        assert tables.same(made, ForkingPickler.loads(pickled(made)))


def test_parts_of_arrow_data(path: str, inode: int) -> None:
    """Slices are over the same buffers; what is computed has its own, which go by value."""
    table = handed.put(path, "v", tables.make("table"))
    part = table.slice(1000, 50_000)
    assert len(pickled(part)) < MOST
    assert tables.same(
        tables.make("table").slice(1000, 50_000), ForkingPickler.loads(pickled(part))
    )
    made = table.take(list(range(50_000)))
    assert len(pickled(made)) > 500_000
    assert ForkingPickler.loads(pickled(made)).equals(made)


def test_the_memory_of_arrow_data_is_known_as_long_as_it_lives(path: str, inode: int) -> None:
    """Whichever of several views of one value lives longest."""
    first = handed.put(path, "v", tables.make("table"))
    second, third = (handed.cache(path).get("v", copy="shared") for _ in range(2))
    del first, third
    gc.collect()
    assert len(pickled(second)) < MOST
    back = ForkingPickler.loads(pickled(second))
    del second
    gc.collect()
    assert len(pickled(back)) < MOST
    assert handed.cache(path).stats().leased != 0
    del back
    _handing._kept.clear()
    gc.collect()
    assert handed.cache(path).stats().leased == 0


@pytest.mark.parametrize("name", ["dict", "table"])
def test_plain_data(path: str, tmp_path: Path, name: str) -> None:
    """Where nothing is trusted that could run code, it goes by reference as well."""
    with Cache(path=tmp_path / "data.plib", size="64MiB", trust="data") as here:
        here["v"] = tables.make(name)
        value = here.get("v", copy="shared")
        letter = pickled(value)
        assert len(letter) < MOST
        assert tables.same(tables.make(name), ForkingPickler.loads(letter))
        del value


# ---- plain ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_plain_on_a_disk(path: str, tmp_path: Path, name: str) -> None:
    """What is pickled for anywhere has the bytes, and is what anybody else's is."""
    value = handed.put(path, "v", tables.make(name))
    joblib.dump(value, tmp_path / "value")
    for letter in (pickle.dumps(value), pickle.dumps(value, 2), cloudpickle.dumps(value)):
        assert len(letter) > tables.SMALLEST
        assert b"plib_cache" not in letter
        assert tables.places(pickle.loads(letter)) == {0}
        assert tables.same(tables.make(name), pickle.loads(letter))
    assert tables.same(tables.make(name), joblib.load(tmp_path / "value"))


@pytest.mark.parametrize("name", NAMES)
def test_its_hash_is_that_of_a_plain_one(path: str, name: str) -> None:
    """Also once it has been to and fro; and it is stored again as anything else is."""
    value = ForkingPickler.loads(pickled(handed.put(path, "v", tables.make(name))))
    if name in ("table", "batch"):  # whose pickle says that memory is read-only
        assert joblib.hash(value) == joblib.hash(handed.cache(path).get("v", copy=False))
    elif name != "masked":  # which joblib cannot hash at all
        assert joblib.hash(value) == joblib.hash(tables.make(name))
    assert fingerprint((value,)) == fingerprint((tables.make(name),))
    again = handed.put(path, "again", value)
    assert tables.same(tables.make(name), again)
    assert len(pickled(again)) < MOST


def test_others_are_pickled_as_ever(path: str) -> None:
    """Plain values are sent with the bytes with which they were sent before."""
    values = [tables.make(name) for name in NAMES]
    before = [bytes(ForkingPickler.dumps(value)) for value in values]
    kept = [handed.put(path, name, tables.make(name)) for name in NAMES]
    assert [bytes(ForkingPickler.dumps(value)) for value in values] == before
    del kept


# ---- what may happen between sending and receiving -----------------------------------------------


@pytest.mark.parametrize("fate", ["deleted", "replaced", "evicted"])
def test_nobody_has_it_but_the_letter(path: str, inode: int, fate: str) -> None:
    """The sender has forgotten it, and its key is gone: it is there all the same."""
    letter = pickled(handed.put(path, "v", tables.make("mixed")))
    gc.collect()
    handed.befall(path, "v", fate)
    handed.overwrite(path)
    back = ForkingPickler.loads(letter)
    assert tables.places(back) == {inode}
    assert tables.same(tables.make("mixed"), back)


@pytest.mark.parametrize("name", FEW)
def test_what_nobody_keeps(path: str, name: str) -> None:
    """If the sender has died and the value was evicted, an error says so."""
    letter = pickled(handed.put(path, "v", tables.make(name)))
    _handing._kept.clear()
    gc.collect()
    del handed.cache(path)["v"]
    handed.overwrite(path)
    with pytest.raises(SerializationError, match="its sender has died"):
        ForkingPickler.loads(letter)


@pytest.mark.parametrize("name", FEW)
def test_bytes_go_where_no_reference_can_be_made(
    path: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many are kept, or another file is at that path: also if that comes up at the last."""
    value = handed.put(path, "v", tables.make(name))
    os.rename(path, path + ".away")
    assert len(letter := pickled(value)) > 100_000
    assert tables.same(tables.make(name), ForkingPickler.loads(letter))
    os.rename(path + ".away", path)
    monkeypatch.setattr(_handing, "MOST", 0)
    assert len(letter := pickled(value)) > 100_000
    assert tables.same(tables.make(name), ForkingPickler.loads(letter))
    monkeypatch.setattr("plib_cache._sending.can_offer", lambda lease: True)
    monkeypatch.setattr("plib_cache._sending_tables.can_offer", lambda lease: True)
    assert len(letter := pickled(value)) > 100_000
    assert tables.same(tables.make(name), ForkingPickler.loads(letter))
    assert tables.places(ForkingPickler.loads(letter)) == {0}


def test_a_killed_worker_leaves_no_lease(path: str, eventually: Call) -> None:
    """What it read in place is free when nobody else reads it."""
    value = handed.put(path, "v", tables.make("mixed"))
    executor = ProcessPoolExecutor(1, mp_context=handed.context("spawn"))
    with executor, pytest.raises(BrokenProcessPool):
        executor.submit(tables.holds_and_dies, value).result()
    assert _handing.settle() == 0
    here = handed.cache(path)
    del here["v"]
    del value
    gc.collect()

    def free() -> bool:
        handed.overwrite(path, 1)
        return here._region.usage()["limbo_pages"] == 0

    eventually(free)


def test_frames_work_as_plain_ones(path: str) -> None:
    """What pandas makes of such a table is what it makes of any."""
    table, plain = handed.put(path, "v", tables.make("mixed")), tables.make("mixed")

    def results(frame: pd.DataFrame) -> list[Any]:
        return [
            frame.groupby("kind", observed=True)["number"].mean(),
            frame.sort_values("number", ascending=False),
            frame.merge(frame, on="text").iloc[:100],
            frame.describe(),
            frame[frame["number"] > 5],
            frame["number"].rolling(7).sum(),
            frame["date"].dt.second,
            frame.set_index("date").resample("h")["number"].sum(),
            pd.concat([frame, frame]),
            frame["maybe"].sum(),
            frame.select_dtypes("number").T.T,
        ]

    for one, other in zip(results(table), results(plain), strict=True):
        assert tables.same(other, one)
