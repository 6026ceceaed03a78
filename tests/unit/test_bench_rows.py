"""The benchmark's rows run, on the smallest scale; nothing is timed."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import pytest

from benchmarks import (
    call_rows,
    dask_rows,
    joblib_rows,
    key_rows,
    large_reading,
    large_writing,
    policy_rows,
    python_rows,
    remote_rows,
    serve_rows,
    sizes,
    start_rows,
)
from benchmarks.bench import Bench
from benchmarks.figures import Goal
from benchmarks.large_peers import MEMCPY, RAW, RAY, memcpy, raw
from benchmarks.native_large import threads as native_threads
from benchmarks.neighbour import Neighbour
from benchmarks.opening import opening
from benchmarks.programs import ROOT, BrokenError, MissingError, Program, core_flags


def test_a_row_without_its_peers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed keeps its line, its goal, and the reason; the others are measured."""

    def absent(bench: Bench) -> None:
        raise MissingError("not here")

    peers = {"py-lmdb": absent, "dict": python_rows.plain_dict}
    monkeypatch.setattr(python_rows, "PEERS", peers)
    lines = python_rows.plain(bench, "get", "get", {"py-lmdb": 4})
    assert [(line.peer, line.state) for line in lines] == [
        ("dict", "no goal"), ("py-lmdb", "not measured"),
    ]  # fmt: skip
    assert lines[1].missing == "not here"
    assert lines[1].goal == Goal(least=4)


def test_python_rows_run(bench: Bench) -> None:
    """Batches and threads, which need no peer."""
    lines = python_rows.get_many(bench, "batch") + python_rows.threads(bench, "threads")
    assert all(line.ratio and line.ratio.count == 2 and line.ratio.low > 0 for line in lines)


def test_rows_of_calls_run(bench: Bench) -> None:
    """Each beside a call that does nothing, which has the goal, and one that makes the same."""
    lines = [
        *call_rows.plain(bench, "get", "get"), *call_rows.plain(bench, "set", "set"),
        *call_rows.get_many(bench, "batch"), *call_rows.decorator(bench, "decorator"),
    ]  # fmt: skip
    assert [line.work for line in lines if line.goal == call_rows.GOAL] == [
        "get", "set", "batch", "decorator",
    ]  # fmt: skip
    assert len(lines) == 8
    assert all(line.ratio and line.ratio.count == 2 and line.ratio.low > 0 for line in lines)


def test_calls_that_keep_nothing() -> None:
    """They return what the operations return that they stand beside, and new objects each time."""
    calls, value = call_rows.load(), python_rows.VALUE
    assert calls.nothing("key") is calls.nothing("key", value) is calls.take("key", value) is None
    assert calls.copy("key") == value
    assert calls.copies(["a", "b"]) == {"a": value, "b": value}
    assert calls.copy("key") is not calls.copy("key")
    with pytest.raises(TypeError, match="128 bytes"):
        calls.take("key", b"short")
    with pytest.raises(TypeError, match="a list of keys"):
        calls.copies("key")


def test_row_of_the_start_runs(bench: Bench) -> None:
    """Fresh interpreters, beside one that imports nothing; how long they take is not asked."""
    lines = start_rows.imports(bench, "start")
    assert lines[0].peer == start_rows.BARE
    assert lines[0].goal == Goal(most=60, unit="ms")
    assert [line.peer for line in lines[1:] if not line.missing][:2] == [
        "import functools", "import asyncio",
    ]  # fmt: skip
    assert all(line.missing or (line.ours and line.ours.low > 0) for line in lines)


def test_rows_of_keys_run(bench: Bench) -> None:
    """Both beside joblib's own, which is slower on any scale that matters: that is not asked."""
    lines = key_rows.array(bench, "array") + key_rows.frame(bench, "frame")
    assert [line.peer for line in lines] == [
        "joblib.hash", "joblib.hash, pandas' own", "joblib.hash, objects",
    ]  # fmt: skip
    assert all(line.ratio and line.ratio.count == 2 and line.ratio.low > 0 for line in lines)


def test_rows_of_the_server_run(bench: Bench) -> None:
    """Each way of asking, and two processes; memcached only where it is."""
    lines = serve_rows.two(bench, "two")
    for way in serve_rows.WAYS:
        lines += serve_rows.gets(bench, way, way)
    measured = [line for line in lines if not line.missing]
    assert len(measured) >= 2
    assert all(line.ratio and line.ratio.count == 2 and line.ratio.low > 0 for line in measured)


def test_native_rows_run(bench: Bench) -> None:
    """The programs are built as the extension is, and every command of theirs is obeyed."""
    build = (ROOT / "native" / "ffi" / "build_ffi.py").read_text(encoding="utf-8")
    named = re.search(r"^FLAGS = \[(.*?)\]", build, flags=re.M | re.S)
    assert named
    assert set(re.findall(r'"(.*?)"', named.group(1))) <= set(core_flags().split())
    lines = native_threads(bench, "threads") + opening(bench)
    assert all(line.ours and line.ours.count == 2 and line.ours.low > 0 for line in lines)
    assert len(lines) == 5
    with Program("ours", bench.fresh("ours"), 64 << 20) as ours:
        ours.ask("fill", 1000)
        ours.ask("counters", 1000)
        for operation in ("get", "miss", "set", "delete", "incr", "get"):
            assert ours.ask("run", operation, 2500, 1000)[0] > 0
        operations, _, misses, _ = ours.ask("mix", 1, 1, 50, 1000)
        assert (operations % 64, misses) == (0, 0)
        assert ours.ask("used")[0] > 1000 * 128
        with pytest.raises(BrokenError, match="a record is missing"):
            ours.ask("run", "get", 100_000, 2000)


def test_rows_of_large_values_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With neighbours that store, recycle, touch and hold; an absent peer keeps its line."""

    def absent(*_: object) -> None:
        raise MissingError("not here")

    monkeypatch.setattr(large_writing, "PEERS", {MEMCPY: memcpy, RAY: absent, RAW: raw})
    monkeypatch.setattr(large_reading, "ray_session", absent)
    lines = large_writing.put(bench, "put")
    assert [(line.peer, line.missing) for line in lines] == [
        (MEMCPY, ""), (MEMCPY, ""), (RAW, ""), (RAY, "not here"),
    ]  # fmt: skip
    lines += large_writing.reserve(bench, "reserve") + large_reading.get(bench, "get")
    lines += large_reading.frames(bench, "frame") + large_reading.lease(bench, "lease")
    lines += large_reading.touch(bench, "touch") + large_reading.held(bench, "held")
    missing = {line.peer for line in lines if line.missing and line.work != "touch"}
    assert missing == {RAY, large_reading.RAY}
    assert all(line.ours and line.ours.low > 0 for line in lines if line.peer not in missing)


def test_rows_of_sizes_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a line for each place and peer, and leaves the dearest place to the full form."""

    def absent(*_: object) -> None:
        raise MissingError("not here")

    monkeypatch.setattr(sizes, "ray_session", absent)
    monkeypatch.setitem(sizes.PUTS, sizes.RAY_RECYCLED, absent)
    for measure, peers in ((sizes.put, {MEMCPY}), (sizes.get, {sizes.NPY})):
        lines = measure(bench, "w")
        found = {(line.peer, line.at) for line in lines if not line.missing}
        assert {(peer, at) for peer in peers for at in (4096.0, 65536.0)} <= found
        assert all(line.ratio and line.ratio.low > 0 for line in lines if not line.missing)
        told = [line.peer for line in lines if line.missing == "not here"]
        assert len(told) == 1  # not once for each size
    whole, short = (sizes.records(replace(bench, full=full), "w") for full in (True, False))
    assert {line.at for line in whole} - {line.at for line in short} == {1e7}
    assert all(line.goal is None for line in whole)


def test_a_neighbour_that_fails_is_told(bench: Bench) -> None:
    """Also when it is a fork of it that fails; nobody waits for it then."""
    with Neighbour() as neighbour, pytest.raises(BrokenError, match="touch has ended"):
        neighbour.ask("touch", bench.folder / "no-such-region")


def test_rows_of_joblib_run(bench: Bench) -> None:
    """Each beside joblib's own files; what is counted is what it must be."""
    lines = joblib_rows.small(bench, "hit") + joblib_rows.array(bench, "array", 1 << 20, 8)
    many = joblib_rows.many(bench, "many")
    lines += many[:2]
    assert all(line.ours and line.ours.low > 0 for line in lines)
    assert many[2].state == "met"  # not a file more
    assert many[2].facts == ["2000 files of joblib's own"]
    (flight,) = joblib_rows.flight(bench, "flight")
    assert flight.state == "met"


def test_rows_of_dask_that_share_run(bench: Bench) -> None:
    """On one node: whatever is compared is the same work."""
    lines = dask_rows.replicate(bench, "replicate") + dask_rows.fetch(bench, "fetch")
    assert all(line.ratio and line.ratio.low > 0 for line in lines if line.peer)
    assert [line.unit for line in lines] == ["ms", "ms", "copies", "ms", "ms", "ms"]


def test_rows_of_dask_that_compute_run(bench: Bench) -> None:
    """What is kept is not computed again, and what another node has is found."""
    found, computed = dask_rows.second(bench, "second")
    assert found.ratio is not None
    assert computed.state == "met"
    (far,) = dask_rows.far(bench, "far")
    assert far.ratio is not None
    lines = dask_rows.exchange(bench, "exchange") + dask_rows.tiny(bench, "tiny")
    assert all(line.ratio and line.ratio.low > 0 for line in lines)


def test_rows_of_the_network_run(bench: Bench, untested: Callable[[str], NoReturn]) -> None:
    """Each hit is one, and no call fails while a node is lost."""
    try:
        lines = remote_rows.hit(bench, "hit")
        assert [line.ratio is not None and line.ratio.low > 0 for line in lines] == [True] * 3
        lines = remote_rows.loss(bench, "loss")
    except MissingError as error:
        untested(f"benchmarks of the network: {error}")
    assert len(lines) == 3 * 4
    assert [line.state for line in lines[2::3]] == ["met"] * 4  # no errors


def test_rows_of_policies_run(bench: Bench, untested: Callable[[str], NoReturn]) -> None:
    """Every trace beside every peer; what one policy keeps is the same each time."""
    lines = policy_rows.seconds(bench, "saved")
    if any(line.missing for line in lines):
        untested("rows of policies: libcachesim is not installed (make test installs its wheel)")
    assert {line.peer for line in lines} == {*policy_rows.PEERS, *policy_rows.COSTED}
    assert {line.work for line in lines} == {
        "saved: memo-zipf", "saved: memo-scans", "saved: memo-grid",
    }  # fmt: skip
    assert all(line.ours and 0 < line.ours.median < 100 for line in lines)
    assert [line.peer for line in lines if line.goal] == ["LRU"] * 3
    curve = policy_rows.sizes(bench, "sizes")
    assert {line.at for line in curve} == {10.0, 20.0, 40.0}
    ours = [line.ours.median for line in curve if line.ours and line.peer == "LRU"]
    assert ours == sorted(ours)
    assert ours[0] > 0
    assert all(line.ratio and line.ratio.median < 0 for line in curve if "knows" in line.peer)
