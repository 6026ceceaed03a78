"""The benchmark's own machinery: statistics, goals, turns, selection, report; nothing is timed."""

import json
import os
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchmarks.__main__ as command
from benchmarks import against, paper, report
from benchmarks.against import Pair
from benchmarks.bench import Bench, surroundings
from benchmarks.figures import Goal, Line, Spread, compared, quantile
from benchmarks.memory_rows import line_of
from benchmarks.programs import ROOT, BrokenError, MissingError
from benchmarks.rows import ROWS, Row, UnknownRowError, select
from benchmarks.turns import ROUNDS_LEAST, take_turns
from benchmarks.why import WHY

MACHINE = {
    "when": "then", "commit": "abc", "cpu": "a cpu", "hypervisor": True, "cores": 2,
    "memory_mib": 1000, "kernel": "6", "huge_pages": "never", "huge_pages_of_tmpfs": "never",
    "load": (0.0, 0.0, 0.0), "python": "3", "flags": "-O2", "versions": {"lmdb": "missing"},
}  # fmt: skip


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
    assert {row.name for row in select("c-get")} == {"c-get-hot", "c-get-1m", "c-get-10m"}
    with pytest.raises(UnknownRowError, match=r"(?s)no row is called nonsense.*c-get-hot"):
        select("c-get,nonsense")


def test_reasons_belong_to_rows() -> None:
    """A reason for a row that does not exist would never be shown."""
    assert {name for name, _ in WHY} <= {row.name for row in ROWS}


# ---- the report ----------------------------------------------------------------------------------


def measured() -> list[report.Measured]:
    lines = [
        compared("get", "fast|peer", [10.0, 12.0], [5000.0, 6000.0], goal=Goal(least=3)),
        compared("get", "slow", [10.0], [20.0], goal=Goal(least=3)),
        Line("get", "absent", missing="not installed", goal=Goal(least=3)),
        Line("open", unit="ms", ours=Spread.of([1.5]), goal=Goal(most=2, unit="ms")),
    ]
    lines[1].why = "It waits."
    lines[0].facts = ["two samples"]
    return [report.Measured("row", "get", 1.0, (0.1, 0.2), lines)]


def test_the_table_has_every_line() -> None:
    """Figures with their units, and a peer that is missing keeps its line and its goal."""
    rows = [report.cells(line) for line in measured()[0].lines]
    assert rows == [
        ["get", "fast|peer", "5.50 us", "11.0 ns", "500x (500 to 500)", "≥ 3x", "yes"],
        ["get", "slow", "20.0 ns", "10.0 ns", "2.00x", "≥ 3x", "NO"],
        ["get", "absent", "", "", "", "≥ 3x", "not measured"],
        ["open", "", "", "1.50 ms", "", "≤ 2 ms", "yes"],
    ]
    assert report.counted(measured()) == "2 of 4 goals met, 1 not met, 1 not measured"
    assert report.table(measured()).row_count == 4


def test_numbers_have_three_digits() -> None:
    """Small and large ones are told apart, and scaled to a unit that can be read."""
    shown = [report.number(value) for value in (0.01234, 0.5, 9.99, 10.04, 99.96, 1234567.0)]
    assert shown == ["0.012", "0.50", "9.99", "10.0", "100", "1,234,567"]
    assert report.quantity(Spread.of([2.5e6]), "ops/s") == "2.50 M ops/s"
    assert report.quantity(Spread.of([0.4]), "ns") == "0.40 ns"
    assert report.quantity(None, "ns") == ""


def test_the_markdown_says_why() -> None:
    """Reasons, what is missing, what figures rest on, and the machine."""
    text = report.markdown(measured(), MACHINE, 12.0)
    assert "| get | fast\\|peer | 5.50 us |" in text
    assert "- get, slow: not met. It waits." in text
    assert "- get, absent: not measured: not installed" in text
    assert "- get: two samples" in text
    assert "lmdb missing" in text
    busy = measured()
    busy[0].load = (0.1, 7.0)
    assert "busy" not in text
    assert "load up to 7.0" in report.markdown(busy, MACHINE, 12.0)


def test_a_page_keeps_what_is_around_the_table(tmp_path: Path) -> None:
    """Between its two marks the report is replaced; any other file becomes the report."""
    page = tmp_path / "page.md"
    begin, end = report.MARKS
    assert report.placed(page, "new\n") == "new\n"
    page.write_text("old\n")
    assert report.placed(page, "new\n") == "new\n"
    page.write_text(f"before\n{begin}old\n{end}after\n")
    assert report.placed(page, "new\n") == f"before\n{begin}new\n{end}after\n"
    documented = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert begin in documented
    assert end in documented
    assert not [row.name for row in ROWS if f"`{row.name}`" not in documented]


def test_the_json_has_everything() -> None:
    """Each line's spreads, state and goal can be read back."""
    said = json.loads(json.dumps(report.as_json(measured(), MACHINE, 12.0)))
    line = said["rows"][0]["lines"][0]
    assert line["ours"] == {
        "count": 2, "median": 11.0, "p10": 10.2, "p90": 11.8, "low": 10.0, "high": 12.0,
    }  # fmt: skip
    assert (line["state"], line["goal"]) == ("met", "≥ 3x")
    assert said["rows"][0]["lines"][2]["ours"] is None
    assert said["machine"]["cores"] == 2
    assert line["at"] is None
    rows = measured()
    rows[0].lines[0].at = 1e4
    assert report.as_json(rows, MACHINE, 12.0)["rows"][0]["lines"][0]["at"] == 1e4


def test_lines_of_the_memory_program() -> None:
    """A share of the pool, keys that stay with and without a goal, and hits by points."""
    share = line_of("full", {"row": "1-KB", "share": 0.93, "goal": 0.9, "met": True})
    assert (share.work, share.state) == ("full: 1-KB", "met")
    assert report.cells(share)[3:6] == ["93.00 %", "", "≥ 90%"]
    assert line_of("w", {"row": "r", "resident": 99.9, "goal": 100}).state == "not met"
    assert line_of("w", {"row": "r", "resident": 99.9, "goal": 0}).state == "no goal"
    hits = line_of("w", {"row": "r", "hits": 60.0, "lru": 56.0, "goal": 5.0, "refused": 3})
    assert (hits.state, report.cells(hits)[4]) == ("not met", "4.00 points")
    assert hits.facts == ["refused 3"]
    assert line_of("w", {"row": "r", "hits": 60.0, "lru": 61.0, "goal": -1.0}).state == "met"


# ---- the command ---------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, rows: list[Row]) -> tuple[int, str, str]:
    monkeypatch.setattr(command, "select", lambda wanted: rows)
    app = command.typer.Typer()
    app.command()(command.main)
    words = ["--out", str(folder / "b.json"), "--out-md", str(folder / "deep" / "b.md")]
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
    assert "bad work: not measured: it broke: it fell over" in text
    assert "some work: not measured: no such machine" in text


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


def test_an_unknown_row_ends_it_at_once() -> None:
    """Before anything is measured; the names are listed."""
    app = command.typer.Typer()
    app.command()(command.main)
    done = CliRunner().invoke(app, ["--rows", "nonsense"])
    assert done.exit_code == 2
    assert "c-get-hot" in done.output


# ---- the paper's table ---------------------------------------------------------------------------

OPEN_CODE = """
<domain_key_open.cold>:
\tud2

<domain_key_open{kind}>:
\txor    %ecx,%ecx
\trdpkru
\twrpkru
\trdpkru
\tcmp    %eax,%esi
\tjne    <domain_key_open.cold>
\tret
\tnopl   (%rax)

<main>:
\tret
"""


@pytest.mark.parametrize("kind", ["", ".isra.0"])
def test_the_gate_is_counted_to_its_return(kind: str) -> None:
    """Not the trap, which may lie elsewhere, and not what fills the line up."""
    assert paper.straight_in(OPEN_CODE.format(kind=kind), "domain_key_open") == 7


def test_what_is_no_gate_is_not_counted() -> None:
    """Another processor has none; a second way through would make the figure wrong."""
    code = OPEN_CODE.format(kind="")
    with pytest.raises(MissingError, match="no keys"):
        paper.straight_in(code.replace("wrpkru", "nop"), "domain_key_open")
    with pytest.raises(BrokenError, match="several ways"):
        paper.straight_in(code.replace("xor ", "je "), "domain_key_open")
    with pytest.raises(BrokenError, match="no domain_key_close"):
        paper.straight_in(code, "domain_key_close")


def paper_row(keys: bool) -> report.Measured:
    gate = compared("w", paper.OPEN, [120.0], [100.0], direction="ours - theirs")
    if not keys:
        gate = Line("w", paper.OPEN, missing="no keys", direction="ours - theirs")
    lines = [gate, compared("w", paper.MEMCACHED, [100.0], [9000.0])]
    for line in lines:
        line.paper, line.without = ("get", "13 us", "0.67 us", "-"), Spread.of([100.0])
    return report.Measured("paper", "w", 1.0, (0, 0), lines)


def test_the_papers_figures_stand_beside_ours() -> None:
    """In the order of the columns; without keys that column says that it was not measured."""
    with_keys, without = report.paper_cells([paper_row(True), *measured(), paper_row(False)])
    assert with_keys == ["get", "100 ns", "120 ns", "9.00 us", "-", "0.67 us", "13 us"]
    assert without == ["get", "100 ns", "not measured", "9.00 us", "-", "0.67 us", "13 us"]
    assert len(with_keys) == len(report.PAPER_HEADS)
    assert report.cells(paper_row(True).lines[0])[4] == "20.0 ns"
    text = report.markdown([paper_row(True)], MACHINE, 1.0)
    assert "| get | 100 ns | 120 ns | 9.00 us | - | 0.67 us | 13 us |" in text
    assert report.PAPER not in report.markdown(measured(), MACHINE, 1.0)
    assert report.paper_table(measured()) is None


def test_a_paper_row_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With values of 5 KB; where there are no keys, the gate's line says so and stays."""
    monkeypatch.setattr(paper, "STARTS", 1)
    large = next(each for each in paper.OPERATIONS if each.name == "paper-get-5k")
    lines = {line.peer: line for line in paper.paper(bench, large, "w")}
    assert set(lines) == {paper.OPEN, paper.MEMCACHED}
    gate = lines[paper.OPEN]
    assert gate.missing.startswith("no keys") or (gate.ratio and gate.ratio.count == 2)
    assert gate.paper == ("get 5 KB", "13 us", "0.67 us", "-")
    assert gate.without is not None
    assert gate.without.low > 0


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
