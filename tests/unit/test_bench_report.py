"""The benchmark's report: figures with units, tables, reasons, the page and its plots."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import bars, curves, page, paper, paper_table, plots, report
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.memory_rows import line_of
from benchmarks.parts import PARTS, REST, grouped, part_of, slug
from benchmarks.programs import ROOT
from benchmarks.rows import ROWS

MACHINE = {
    "when": "then", "commit": "abc", "cpu": "a cpu", "hypervisor": True, "cores": 2,
    "memory_mib": 1000, "kernel": "6", "huge_pages": "never", "huge_pages_of_tmpfs": "never",
    "load": (0.0, 0.0, 0.0), "python": "3", "flags": "-O2", "versions": {"lmdb": "missing"},
}  # fmt: skip
RUN = page.Run("make bench", 12.0)


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
    return [report.Measured("c-get", "get", 1.0, (0.1, 0.2), lines)]


def test_reasons_begin_with_a_capital() -> None:
    """And keep the blank behind a first word of one letter."""
    assert page._sentence("a look  takes.\n As ever.") == "A look takes. As ever."


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
    shown = [report.number(value) for value in (0, 0.01234, 0.5, 9.99, 10.04, 99.96, 1234567.0)]
    assert shown == ["0", "0.012", "0.50", "9.99", "10.0", "100", "1,234,567"]
    assert report.quantity(Spread.of([2.5e6]), "ops/s") == "2.50 M ops/s"
    assert report.quantity(Spread.of([0.4]), "ns") == "0.40 ns"
    assert report.quantity(None, "ns") == ""
    several = Spread.of([1e6, 2e6, 3e6])
    assert report.quantity(several, "ns", ends=True) == "2.00 ms (1.20 to 2.80)"
    assert report.quantity(several, "ns") == report.quantity(Spread.of([2e6]), "ns", ends=True)


def test_places_have_units() -> None:
    """Of an axis: sizes are scaled, counts can be read."""
    assert report.place(4096, "size of the value, bytes") == "4 KiB"
    assert report.place(256 << 20, "size of the value, bytes") == "256 MiB"
    assert report.place(100_000, "records") == "100,000 records"
    assert report.place(1e7, "records") == "10 M records"
    assert report.place(0.5, "size of the cache, % of the data") == "0.5 % of the data"


def test_the_page_says_why() -> None:
    """Reasons once, with their number in the table; what figures rest on, and the machine."""
    rows = measured()
    rows[0].lines.append(rows[0].lines[1])
    text = page.markdown(rows, MACHINE, RUN)
    assert text.startswith("`make bench`, then, commit abc, 12 s. 2 of 5 goals met, 2 not met")
    assert "| get | fast\\|peer | 5.50 us |" in text
    assert text.count("| ≥ 3x | NO (1) |") == 2
    assert "| get | absent |  |  |  | ≥ 3x | not measured (2) |" in text
    assert text.count("(1) It waits.\n\n(2) Not installed\n") == 1
    assert "- get: two samples" in text
    assert "- seconds of each row: c-get 1" in text
    assert "a cpu, 2 cores of a virtual machine, 1,000 MiB, Linux 6" in text
    assert "lmdb missing" in text
    assert "busy" not in text
    rows[0].others = 1.5
    assert "others had): c-get (1.50)" in page.markdown(rows, MACHINE, RUN)


def test_rows_stand_in_parts() -> None:
    """Every row has one, in the page's order, and the parts are summed up."""
    assert {part_of(row.name) for row in ROWS} <= set(PARTS)
    assert list(grouped(ROWS)) == [part for part in PARTS if part in grouped(ROWS)]
    assert sum(map(len, grouped(ROWS).values())) == len(ROWS)
    one, other, unknown = measured()[0], measured()[0], measured()[0]
    one.name, other.name, unknown.name = "serve-a", "c-a", "nobody-knows"
    text = page.markdown([one, unknown, other], MACHINE, RUN)
    heads = re.findall("^### (.*)$", text, flags=re.M)
    assert heads[:3] == ["The core, in C", "Network and server", REST]
    assert "| The core, in C | 4 | 2 | 1 | 1 |" in text
    assert slug("The core, in C") == "the-core-in-c"


def test_a_page_keeps_what_is_around_the_table(tmp_path: Path) -> None:
    """Between its two marks the report is replaced; any other file becomes the report."""
    path = tmp_path / "page.md"
    begin, end = page.MARKS
    assert page.placed(path, "new\n") == "new\n"
    path.write_text("old\n")
    assert page.placed(path, "new\n") == "new\n"
    path.write_text(f"before\n{begin}old\n{end}after\n")
    assert page.placed(path, "new\n") == f"before\n{begin}new\n{end}after\n"


def test_the_documented_page() -> None:
    """It can be renewed, names every row, and shows the plots that lie beside it, and no others."""
    begin, end = page.MARKS
    documented = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert begin in documented
    assert end in documented
    assert not [row.name for row in ROWS if f"`{row.name}`" not in documented]
    shown = set(re.findall(r"\]\(plots/([^)]*)\)", documented))
    assert shown == {path.name for path in (ROOT / "docs" / plots.FOLDER).glob("*")}


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
    with_keys, without = paper_table.cells([paper_row(True), *measured(), paper_row(False)])
    assert with_keys == ["get", "100 ns", "120 ns", "9.00 us", "-", "0.67 us", "13 us"]
    assert without == ["get", "100 ns", "not measured", "9.00 us", "-", "0.67 us", "13 us"]
    assert len(with_keys) == len(paper_table.HEADS)
    assert report.cells(paper_row(True).lines[0])[4] == "20.0 ns"
    text = page.markdown([paper_row(True)], MACHINE, RUN)
    assert "| get | 100 ns | 120 ns | 9.00 us | - | 0.67 us | 13 us |" in text
    assert paper_table.PAPER not in page.markdown(measured(), MACHINE, RUN)
    assert paper_table.table(measured()) is None


# ---- plots ---------------------------------------------------------------------------------------


def sweep(name: str = "scale-records", apart: bool = False) -> report.Measured:
    """Two peers at three places; apart: of two works."""
    lines = []
    for at in (1000.0, 1e5, 1e7):
        for peer, times in (("LMDB", 2), ("a miss", 0.5)):
            for work in ("one", "two") if apart else (f"get {at}",):
                line = compared(work, peer, [at, at * 1.1], [at * times, at * 2 * times])
                line.at = at
                lines.append(line)
    return report.Measured(name, "gets", 1.0, (0, 0), lines, axis="records")


def test_lines_with_places_make_a_plot() -> None:
    """One of all works, or one of each that has several places; series of ours and the peers."""
    (panel,) = curves.panels(sweep())
    assert panel.title == "gets"
    assert {name: sorted(one) for name, one in panel.series.items()} == {
        name: [1000.0, 1e5, 1e7] for name in ("ours", "LMDB", "a miss")
    }
    assert panel.series["LMDB"][1e5].median == 3e5
    assert [one.title for one in curves.panels(sweep(apart=True))] == ["one", "two"]
    assert not curves.panels(measured()[0])
    absent = sweep()
    for line in absent.lines:
        line.missing = "not here"
    assert not curves.panels(absent)


def test_places_have_a_table() -> None:
    """A line for each; in the big one stand only those that have a goal, or that are missing."""
    row = sweep(apart=True)
    row.lines[0].goal = Goal(least=1)
    row.lines[3] = Line("two", "a miss", missing="not here", at=1000.0)
    text = page.markdown([row], MACHINE, RUN)
    assert text.count("| one: 1,000 records | LMDB |") == 1
    assert "| two: 1,000 records | a miss |  |  |  |  | not measured (1) |" in text
    assert text.count(" records | LMDB |") + text.count(" records | a miss |") == 2
    assert "<details><summary>two, in figures</summary>" in text
    assert "| 100,000 | 105 us | 300 us | 75.0 us |" in text


def test_bars_say_how_many_times_as_fast() -> None:
    """More is faster, whatever way a line's ratio is formed; what is no speed is no bar."""
    fast = compared("w", "p", [10.0], [30.0], goal=Goal(least=2))
    limit = compared("w", "p", [20.0], [10.0], direction="ours / theirs", goal=Goal(most=4))
    more = compared("w", "p", [30.0], [10.0], unit="ops/s", direction="ours / theirs")
    assert bars.speed(fast) == (3.0, 3.0, 3.0, 2)
    assert bars.speed(limit) == (0.5, 0.5, 0.5, 0.25)
    assert bars.speed(more) == (3.0, 3.0, 3.0, None)
    assert bars.speed(compared("w", "p", [2.0], [1.0], direction="ours - theirs")) is None
    assert bars.speed(compared("w", "p", [2.0], [1.0], unit="%")) is None
    assert bars.speed(Line("w", "p", missing="not here")) is None


def test_plots_are_the_same_for_the_same_figures(tmp_path: Path) -> None:
    """Byte by byte; they stand in their part, with words for who cannot see them."""
    rows = [*measured(), sweep()]
    found = plots.drawn(rows, tmp_path / "page.md")
    assert [plot.file for plot in found] == [
        "plots/bars-the-core-in-c.svg",
        "plots/scale-records.svg",
    ]
    first = {path.name: path.read_bytes() for path in (tmp_path / "plots").iterdir()}
    (tmp_path / "plots" / "of-an-earlier-run.svg").write_text("<svg/>")
    plots.drawn(rows, tmp_path / "page.md")
    assert {path.name: path.read_bytes() for path in (tmp_path / "plots").iterdir()} == first
    rows[0].lines[1] = compared("get", "slow", [10.0], [21.0])
    plots.drawn(rows, tmp_path / "page.md")
    assert (tmp_path / "plots" / "bars-the-core-in-c.svg").read_bytes() != first[
        "bars-the-core-in-c.svg"
    ]

    text = page.markdown(rows, MACHINE, RUN, found)
    core, scale = (text.index(plot.file) for plot in found)
    assert text.index("### The core, in C") < core < text.index("### Many processes") < scale
    assert "![The core, in C: bars of how many times as fast as its peers ours is" in text
    assert "gets: ours 1.05 us at 1,000 records and 10.5 ms at 10 M records" in text


def test_a_plot_can_be_read(tmp_path: Path) -> None:
    """Axes have names and units, every series is named, and there is no background to glare."""
    plots.drawn([*measured(), sweep()], tmp_path / "page.md")
    bars_, curves_ = (
        (tmp_path / "plots" / f"{name}.svg").read_text()
        for name in ("bars-the-core-in-c", "scale-records")
    )
    texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", curves_))
    assert {"records", "time", "1,000", "10 M", "ours", "LMDB", "a miss", "gets"} <= texts
    assert any(text.endswith(" ms") for text in texts)
    texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", bars_))
    assert {"get", "fast|peer", "slow", "500x", "2.00x", "goal not met", "goal"} <= texts
    for svg in (bars_, curves_):
        ElementTree.fromstring(svg)
        background = re.search(r'id="patch_1">(.*?)</g>', svg, flags=re.S)
        assert background
        assert "opacity: 0" in background.group(1) or "fill: none" in background.group(1)
        assert "1970" not in svg
        assert "<dc:date>" not in svg


@pytest.mark.parametrize("rows", [[], [measured()[0]], [sweep()]])
def test_no_plot_of_nothing(rows: list[report.Measured], tmp_path: Path) -> None:
    """A part without peers has no bars, a row without places no curves."""
    for row in rows:
        row.lines = [line for line in row.lines if not line.ratio]
    assert plots.drawn(rows, tmp_path / "page.md") == []
