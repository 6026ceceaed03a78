"""The benchmark's rows of many processes and of a trace run, on the smallest scale."""

import shutil
from collections import Counter

import pytest

from benchmarks import scale_rows, trace_rows
from benchmarks.bench import Bench
from benchmarks.native_large import LMDB
from benchmarks.programs import Program
from benchmarks.scale_rows import Window


def test_a_percentile_is_that_of_all_gets() -> None:
    """Those of all processes count together."""
    window = Window(1, gets=Counter({5000.0: 1, 10.0: 900, 20.0: 99}))
    assert [window.percentile(share) for share in (0.5, 0.9, 0.95, 0.999, 0.9995)] == [
        10, 10, 20, 20, 5000,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no get was timed"):
        Window(1).percentile(0.5)


def test_every_get_of_a_window_is_timed(bench: Bench) -> None:
    """And no set; the classes are told from the fastest on."""
    with Program("ours", bench.fresh("ours"), 64 << 20) as ours:
        ours.ask("fill", 1000)
        operations, _, misses, processor, timing, *spread = ours.ask("tail", 1, 1, 100, 1000)
        assert misses == 0
        assert processor > 0
        assert timing > 0
        assert sum(spread[1::2]) == operations
        assert spread[0::2] == sorted(set(spread[0::2]))
        operations, _, _, _, _, *spread = ours.ask("tail", 1, 1, 0, 1000)
        assert operations > 0
        assert spread == []


def test_rows_of_one_process_and_two_run(bench: Bench) -> None:
    """The goal's two lines, and what the machine gives beside them."""
    lines = scale_rows.two(bench, "two", 50)
    assert [line.goal is not None for line in lines] == [True, True, False, False, False]
    assert all(line.ratio and line.ratio.count == 2 and line.ratio.low > 0 for line in lines)


def test_rows_of_many_processes_run(bench: Bench) -> None:
    """A crowd has goals; LMDB, where it is, stands beside ours at every number."""
    lines = scale_rows.many(bench, "many", 95, counts=(1, 2, 16))
    crowd = [line for line in lines if line.peer == scale_rows.TWO]
    assert [str(line.goal) for line in crowd] == ["≥ 0.8x", "None", "≤ 3x"]
    beside = [line for line in lines if line.peer == LMDB and not line.missing]
    assert [line.at for line in beside] == [1, 1, 2, 2, 16, 16][: len(beside)]
    assert len(beside) in (0, 6)
    assert all(line.ratio and line.ratio.low > 0 for line in crowd + beside)


def test_rows_of_a_trace_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instructions are counted by kind, and weighted as the trace asks."""
    assert sum(trace_rows.WEIGHTS.values()) == 1
    monkeypatch.setattr(trace_rows, "RECORDS", [500_000, 1_000_000])
    lines = trace_rows.trace(bench, "trace", "ours-wide", 64 << 30)
    if shutil.which("valgrind") is None:
        assert [line.state for line in lines] == ["not measured"]
        return
    assert [line.at for line in lines] == [None, 500, 500, 1000, 1000]
    assert lines[0].ratio is not None
    assert 1 <= lines[0].ratio.median < 2
    counted = [line.ours.median for line in lines if line.work.endswith("instructions of a call")
               if line.ours]  # fmt: skip
    assert all(200 < each < 5000 for each in counted)


def test_a_trace_asks_as_it_says(bench: Bench) -> None:
    """Thirty gets to a set and a delete; whoever misses stores, so that hardly any get misses."""
    with Program("ours", bench.fresh("ours"), 64 << 20) as ours:
        ours.ask("stock", 1000)
        _, _, gets, misses, sets, deletes = ours.ask("trace", "all", 64_000, 1000)
        assert gets + sets + deletes == 64_000
        assert 55_000 < gets < 65_000
        assert all(1500 < each < 2500 for each in (sets, deletes))
        assert misses <= deletes
