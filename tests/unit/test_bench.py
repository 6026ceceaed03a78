"""The benchmark's machinery: statistics, goals, turns, rows, the command; nothing is timed."""

import json
import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchmarks.__main__ as command
from benchmarks import against, machine
from benchmarks.against import Pair
from benchmarks.bench import Bench, surroundings
from benchmarks.figures import Goal, Line, Spread, compared, quantile
from benchmarks.forms import FULL, LATE, SHORT, parted
from benchmarks.programs import ROOT, BrokenError, MissingError
from benchmarks.rows import ROWS, Row, UnknownRowError, select
from benchmarks.turns import ROUNDS_LEAST, take_turns
from benchmarks.why import WHY

# ---- statistics ----------------------------------------------------------------------------------


def test_a_spread_is_the_samples() -> None:
    """Median, quantiles and ends are those of the samples, in whatever order they came."""
    samples = [float(n) for n in range(11)]
    random.Random(1).shuffle(samples)
    assert Spread.of(samples) == Spread(11, 5.0, 1.0, 9.0, 0.0, 10.0)
    assert Spread.of([7.0]) == Spread(1, 7.0, 7.0, 7.0, 7.0, 7.0)
    assert quantile([1.0, 2.0], 0.25) == 1.25
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_a_ratio_is_made_within_rounds() -> None:
    """A machine that slows down all alike for some rounds does not change the ratio."""
    slow = [1.0, 9.0, 2.0, 5.0, 1.0]
    line = compared("work", "peer", [10 * s for s in slow], [30 * s for s in slow])
    assert line.ratio == Spread(5, 3.0, 3.0, 3.0, 3.0, 3.0)
    more = compared("w", "p", [30.0], [10.0], direction="ours / theirs")
    assert more.ratio is not None
    assert more.ratio.median == 3.0
    points = compared("w", "p", [30.0], [10.0], direction="ours - theirs")
    assert points.ratio is not None
    assert points.ratio.median == 20.0
    with pytest.raises(ValueError, match="no pairs"):
        compared("w", "p", [1.0, 2.0], [1.0])


def test_goals_have_one_side() -> None:
    """At least, or at most; the bound itself meets it; the text says which."""
    least, most = Goal(least=2.5), Goal(most=20, unit="ms")
    assert [least.met(value) for value in (2.49, 2.5, 3)] == [False, True, True]
    assert [most.met(value) for value in (19, 20, 20.1)] == [True, True, False]
    assert (str(least), str(most), str(Goal(least=90, unit="%"))) == ("≥ 2.5x", "≤ 20 ms", "≥ 90%")
    for wrong in ({}, {"least": 1, "most": 2}):
        with pytest.raises(ValueError, match="least or a most"):
            Goal(**wrong)


def test_a_line_knows_how_it_stands() -> None:
    """The ratio is judged; without a peer, our own figure; what is missing is never met."""
    fast = compared("w", "p", [10.0], [30.0], goal=Goal(least=3))
    slow = compared("w", "p", [10.0], [29.0], goal=Goal(least=3))
    own = Line("w", unit="ms", ours=Spread.of([3.0]), goal=Goal(most=2, unit="ms"))
    assert (fast.state, slow.state, own.state) == ("met", "not met", "not met")
    assert compared("w", "p", [1.0], [2.0]).state == "no goal"
    assert Line("w", "p", missing="it is not here", goal=Goal(least=1)).state == "not measured"
    assert Line("w", "p", goal=Goal(least=1)).state == "not measured"


# ---- turns and selection -------------------------------------------------------------------------


def test_candidates_take_turns() -> None:
    """One sample of each in a round, another first each time, and a first round that is dropped."""
    order: list[str] = []

    def candidate(name: str) -> float:
        order.append(name)
        return float(len(order))

    samples = take_turns({name: lambda name=name: candidate(name) for name in "abc"}, rounds=3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert samples == {"a": [4.0, 9.0, 11.0], "b": [5.0, 7.0, 12.0], "c": [6.0, 8.0, 10.0]}


def test_turns_end_in_time_but_not_before_enough() -> None:
    """Past the limit there are as many rounds as a median needs, and no more."""
    samples = take_turns({"a": lambda: 1.0}, rounds=1000, seconds=0)
    assert len(samples["a"]) == ROUNDS_LEAST


def test_rows_are_chosen_by_their_beginnings() -> None:
    """One, several, all; in the table's order; a wrong name is told, with those that exist."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert select("") == ROWS
    assert [row.name for row in select("py-threads, c-get-hot")] == ["c-get-hot", "py-threads"]
    assert {row.name for row in select("c-get-1")} == {"c-get-1m", "c-get-10m"}
    with pytest.raises(UnknownRowError, match=r"(?s)no row is called nonsense.*c-get-hot"):
        select("c-get,nonsense")


def test_the_short_form_leaves_only_long_rows_out() -> None:
    """Who names a row gets it in either form; the short one has fewer rounds and ends in time."""
    assert parted(ROWS, FULL, named=False) == (ROWS, [])
    taken, left = parted(ROWS, SHORT, named=False)
    assert left == [row for row in ROWS if row.long] != []
    assert taken == [row for row in ROWS if not row.long]
    assert parted(left, SHORT, named=True) == (left, [])
    assert SHORT.rounds < FULL.rounds
    assert SHORT.seconds < 15 * 60 < FULL.seconds


def test_reasons_belong_to_rows() -> None:
    """A reason for a row that does not exist would never be shown."""
    assert {name for name, _ in WHY} <= {row.name for row in ROWS}


# ---- the command ---------------------------------------------------------------------------------


def run(
    monkeypatch: pytest.MonkeyPatch, folder: Path, rows: list[Row], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(command, "select", lambda wanted: rows)
    monkeypatch.chdir(folder)
    app = command.typer.Typer()
    app.command()(command.main)
    words = ("--out", "b.json", "--out-md", "deep/b.md", *words)
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.output, (folder / "deep" / "b.md").read_text(encoding="utf-8")


def test_a_missed_goal_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is a report: it exits with 0, and writes both files."""
    slow = Row("slow", "w", lambda bench: [compared("w", "p", [2.0], [1.0], goal=Goal(least=1))])
    code, output, text = run(monkeypatch, tmp_path, [slow])
    assert code == 0, output
    assert "0 of 1 goals met, 1 not met" in text
    assert json.loads((tmp_path / "b.json").read_text())["rows"][0]["name"] == "slow"


def test_what_breaks_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The other rows are measured all the same, and the exit code says that something broke."""

    def breaks(bench: Bench) -> list[Line]:
        raise BrokenError("it fell over")

    def lacks(bench: Bench) -> list[Line]:
        raise MissingError("no such machine")

    rows = [Row("bad", "bad work", breaks), Row("lacking", "some work", lacks)]
    code, output, text = run(monkeypatch, tmp_path, rows)
    assert code == 1
    assert "it fell over" in output
    assert "bad work: not measured: it broke: it fell over" in output
    assert "It broke: it fell over" in text
    assert "No such machine" in text


def test_each_row_is_kept_when_it_is_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that a long run that is ended early was not in vain."""
    seen: list[list[str]] = []

    def looks(bench: Bench) -> list[Line]:
        rows = json.loads((tmp_path / "b.json").read_text())["rows"]
        seen.append([row["name"] for row in rows])
        return []

    first = Row("first", "w", lambda bench: [compared("w", "p", [2.0], [1.0])])
    assert run(monkeypatch, tmp_path, [first, Row("second", "w", looks)])[0] == 0
    assert seen == [["first"]]


def sweep(bench: Bench) -> list[Line]:
    """What a row with sizes gives, and how it was asked."""
    rounds = [float(bench.rounds)]
    lines = [compared("w", "p", rounds, [50.0], goal=Goal(least=1)) for _ in range(3)]
    for line, at in zip(lines, (10, 100, 1000)[: 3 if bench.full else 2], strict=False):
        line.at = at
    return lines[: 3 if bench.full else 2]


def test_the_two_forms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is left to the other one is named, in the page, the JSON and the terminal."""
    rows = [Row("c-sizes", "w", sweep, "records"), Row("c-long", "long work", sweep, long=True)]
    code, output, text = run(monkeypatch, tmp_path, rows)
    told = json.loads((tmp_path / "b.json").read_text())
    assert code == 0, output
    assert (told["command"], told["left"]) == ("make bench", ["c-long"])
    assert [(row["name"], len(row["lines"])) for row in told["rows"]] == [("c-sizes", 2)]
    assert told["rows"][0]["lines"][0]["ours"]["median"] == SHORT.rounds
    assert "Only in `make bench-full`: `c-long`" in text
    assert "only in make bench-full: c-long" in output
    assert (tmp_path / "deep" / "plots" / "c-sizes.svg").exists()
    assert "](plots/c-sizes.svg)" in text

    code, output, text = run(monkeypatch, tmp_path, rows, "--full")
    told = json.loads((tmp_path / "b.json").read_text())
    assert (told["command"], told["left"]) == ("make bench-full", [])
    assert [(row["name"], len(row["lines"])) for row in told["rows"]] == [
        ("c-sizes", 3), ("c-long", 3),
    ]  # fmt: skip
    assert told["rows"][0]["lines"][0]["ours"]["median"] == FULL.rounds
    assert "Only in" not in text

    run(monkeypatch, tmp_path, rows[1:], "--rows", "c-long")
    told = json.loads((tmp_path / "b.json").read_text())
    assert (told["command"], told["left"]) == ("make bench ROWS=c-long", [])
    assert [row["name"] for row in told["rows"]] == ["c-long"]


def test_where_the_page_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All rows make the documented page; some rows do not overwrite it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "select", lambda wanted: [Row("c-few", "w", sweep)])
    app = command.typer.Typer()
    app.command()(command.main)
    assert CliRunner().invoke(app, ["--rows", "c-few"]).exit_code == 0
    assert (tmp_path / "build" / "bench.md").exists()
    assert not (tmp_path / "docs").exists()
    assert CliRunner().invoke(app, []).exit_code == 0
    assert (tmp_path / "docs" / "benchmarks.md").exists()


def test_no_row_begins_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is in the report all the same, and says which command measures it."""
    monkeypatch.setattr(command, "SHORT", replace(SHORT, seconds=0))
    code, output, text = run(monkeypatch, tmp_path, [Row("c-late", "late work", sweep)])
    assert code == 0
    assert f"late work: not measured: {LATE}" in output
    assert "make bench-full measures it" in text


def test_a_run_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There are no plots, and both the page and the terminal say why; all else is there."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, output, text = run(monkeypatch, tmp_path, [Row("c-sizes", "w", sweep, "records")])
    assert code == 0
    assert "no plots: matplotlib cannot be imported" in output
    assert "There are no plots: matplotlib cannot be imported" in text
    assert "| w: 10 records | p |" in text
    assert ".svg" not in text


def test_an_unknown_row_ends_it_at_once() -> None:
    """Before anything is measured; the names are listed."""
    app = command.typer.Typer()
    app.command()(command.main)
    done = CliRunner().invoke(app, ["--rows", "nonsense"])
    assert done.exit_code == 2
    assert "c-get-hot" in done.output


def test_the_bench_is_at_level_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows mean the same on machines with keys and without; afterwards all is as it was."""
    for before in (None, "pku"):
        if before:
            monkeypatch.setenv("PLIB_CACHE_PROTECTION", before)
        else:
            monkeypatch.delenv("PLIB_CACHE_PROTECTION", raising=False)
        with surroundings():
            assert os.environ["PLIB_CACHE_PROTECTION"] == "none"
        assert os.environ.get("PLIB_CACHE_PROTECTION") == before


def test_what_others_have_of_the_machine() -> None:
    """All that is used is at least what this process uses, and both only grow."""
    before = machine.used_s()
    while time.process_time() < 0.05 or machine.used_s()[1] < before[1] + 0.02:
        sum(range(10_000))
    everybody, own = (now - then for now, then in zip(machine.used_s(), before, strict=True))
    assert own >= 0.019  # 0.02 but for what a sum of floats loses
    assert everybody >= own - 0.05  # the kernel counts in hundredths, of each processor


# ---- against an earlier tree ---------------------------------------------------------------------


def test_a_tree_against_itself(bench: Bench) -> None:
    """Every pair gives samples in both trees, and more than 1 is worse whatever is measured."""
    for pair in against.PAIRS:
        if pair.name in ("c-get-hot", "c-two-processes-50", "py-get", "attach"):
            line = against.measured(pair, bench, ROOT / "tests" / "..")
            assert line.state in ("met", "not met")
            assert line.ours is not None
            assert line.ours.count == bench.rounds * min(pair.starts, bench.rounds)
    slow = compared("w", "before", [3.0], [2.0], direction=against.PAIRS[0].direction)
    few = Pair("n", "w", against.threads, "ops/s")
    fewer = compared("w", "before", [2.0], [3.0], direction=few.direction)
    assert slow.judged == fewer.judged == 1.5


def test_a_revision_that_is_not_there() -> None:
    """It is told, and nothing is measured."""
    with pytest.raises(BrokenError, match="no-such-revision"):
        against.checked_out("no-such-revision")


def test_a_row_leaves_nothing_behind(bench: Bench) -> None:
    """What it has made is gone, so that the next one has the memory; what was there stays."""
    there = bench.fresh("there")
    there.mkdir()
    with bench.tidied():
        bench.fresh("file").write_text("x")
        (bench.fresh("folder") / "in").mkdir(parents=True)
    assert list(bench.folder.iterdir()) == [there]
