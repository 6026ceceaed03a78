# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache top`` in a terminal: what it shows, what its keys do, how it leaves."""

from __future__ import annotations

import os
import re
import signal
import termios
from collections.abc import Callable
from typing import Any

import pytest

import plib_cache
from plib_cache._core import remove_region
from plib_cache.cli.top.feed import Feed
from plib_cache.cli.top.keyboard import split
from plib_cache.cli.top.screen import count, draw, duration
from plib_cache.cli.top.view import ORDERS, View

LONG = "a_function_whose_name_is_longer_than_the_column_that_it_stands_in"
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")


def one(x: int) -> bytes:
    """A function to be decorated."""
    return b"x" * x


@pytest.fixture
def busy(mine: plib_cache.Cache) -> plib_cache.Cache:
    """A cache with two functions: ``one`` with 3 hits and 2 misses, a long name with 1 and 1."""
    cached = plib_cache.cache(cache=mine)(one)
    for x in (1000, 1000, 1000, 2000, 2000):
        cached(x)

    def other(x: int) -> int:
        return x

    other.__qualname__ = LONG
    longer = plib_cache.cache(cache=mine, version=1)(other)
    longer(1)
    longer(1)
    number = next(f.number for f in mine.functions() if f.name.endswith(LONG))
    mine._region.name_count(number, saved_us=7_000_000)
    return mine


def test_it_shows_what_is_there(busy: plib_cache.Cache, terminal: Callable[..., Any]) -> None:
    """On 80 columns and 24 lines: ratio, operations, memory, kinds, processes, functions."""
    top = terminal("top", "mine")
    top.shows("q quit", "kinds       ", "bytes", "test_top.one")
    assert busy.path in top.text()
    assert "57.1 % since the last reset" in top.line("hit ratio")  # 4 of 7
    assert "operations: gets" in top.line("per second")
    assert "of " in top.line("memory")
    room = busy.info().processes_max - 2  # this test and top are there
    assert f"1 attached besides this one, room for {room:,} more; 0 found" in top.line("processes")
    assert "0 given" in top.line("leases")
    assert "evictions" in top.text()
    row = next(line for line in top.screen.display if "test_top.one" in line)
    assert row.split()[1:4] == ["3", "2", "60"]
    assert row.split()[-3:] == ["2", "2.9", "KiB"]
    assert "namespace site" in top.text()
    assert "tag a" in top.text()
    assert "7.0 s" in top.text()
    top.press("q")
    assert top.end() == 0


def test_rates_and_kinds_follow(busy: plib_cache.Cache, terminal: Callable[..., Any]) -> None:
    """What happens while it runs is seen: reads, deaths, leases."""
    top = terminal("top", "mine", "--interval", "0.2")
    top.shows("no reads now")

    def reading() -> bool:
        busy.get("greeting")
        return "100.0 % now" in top.line("hit ratio")

    top.until(reading, "reads")
    busy["large"] = bytes(1 << 20)
    with busy.view("large"):
        top.until(lambda: "1.0 MiB held" in top.line("leases"), "a lease")
    top.until(lambda: "0 B held" in top.line("leases"), "its end")


def test_the_dead_are_counted(
    busy: plib_cache.Cache, terminal: Callable[..., Any], fork: Callable[..., Any]
) -> None:
    """A process that was killed while others waited for its result is told of as found dead."""
    top = terminal("top", "mine", "--interval", "0.2")
    top.until(lambda: "0 found dead" in top.line("processes"), "nobody dead yet")
    reading, writing = os.pipe()

    def never() -> None:
        os.write(writing, b"!")
        signal.pause()

    child = fork(busy.get_or_compute, "claimed", never)
    assert os.read(reading, 1) == b"!"
    top.until(lambda: "2 attached" in top.line("processes"), "the other one")
    child.kill()
    child.reap()
    assert busy.get_or_compute("claimed", lambda: 1) == 1
    top.until(
        lambda: "1 attached" in top.line("processes") and "1 found dead" in top.line("processes"),
        "the count of the dead",
    )
    os.close(reading)
    os.close(writing)


def test_sorting(busy: plib_cache.Cache, terminal: Callable[..., Any]) -> None:
    """``s`` sorts by the next column, and the heading says which; the cursor goes back up."""
    top = terminal("top", "mine")
    top.shows("*saved", "> ")
    first = [line for line in top.screen.display if line.startswith("> ")]
    assert "stands_in" in first[0]  # saved most
    top.press("s")
    top.until(lambda: "*hits" in top.text() and "test_top.one" in top.line("> "), "order by hits")
    for name in list(ORDERS)[2:]:
        top.press("s")
        if name != "name":
            top.shows(f"*{name}")
    top.press("S")
    top.shows("*bytes")


def test_details_and_pages(busy: plib_cache.Cache, terminal: Callable[..., Any]) -> None:
    """Enter shows one function, the letters the other pages, Escape the table."""
    top = terminal("top", "mine")
    top.shows("*saved", "test_top.one", "2.9 KiB")
    top.press("\x1b[B")
    top.until(lambda: "test_top.one" in top.line("> "), "the second row")
    top.press("\r")
    top.shows(
        "hits 3 (", "misses 2 (", "ratio 60.0 %", "some of the keys", "0x", "entries 2, 2.9 KiB"
    )
    top.press("\x1b")
    top.shows("*saved")
    top.press("k")
    top.shows("Values by kind: 8 entries", "pickle", "share")
    top.press("p")
    top.shows("Processes: 1 attached besides this one", "pid", str(os.getpid()), str(top.pid))
    top.press("e")
    top.shows("Counted by all processes", "hits", "sets")
    top.press("?")
    top.shows("forget everything in the cache; asks first")
    top.press("\x1b[5~x")  # keys that mean nothing here
    top.press("q")
    assert top.end() == 0


def test_clearing_asks_first(busy: plib_cache.Cache, terminal: Callable[..., Any]) -> None:
    """``c`` forgets one function when the answer is yes, and nothing else."""
    top = terminal("top", "mine", "--interval", "0.2")
    top.shows("*saved", "test_top.one", "2.9 KiB")
    top.press("c")
    top.shows("Forget \u2026", "stands_in? y/n")
    top.press("n")
    top.shows("nothing was changed")
    assert len(busy) == 8
    top.press("\x1b[B")
    top.until(lambda: "test_top.one" in top.line("> "), "the second row")
    top.press("c")
    top.shows("Forget the results of ", "test_top.one? y/n")
    top.press("y")
    top.until(lambda: len(busy) == 6, "the results to be gone")
    assert busy["greeting"] == "hello"
    assert [f.hits for f in busy.functions()] == [1]
    top.press("C")
    top.shows("Forget everything in this cache? y/n")
    top.press("y")
    top.until(lambda: len(busy) == 0, "everything to be gone")


@pytest.mark.parametrize(("columns", "lines"), [(140, 40), (60, 14), (30, 8)])
def test_another_size(
    busy: plib_cache.Cache, terminal: Callable[..., Any], columns: int, lines: int
) -> None:
    """A terminal that is made larger or smaller is filled anew, to its last line."""
    top = terminal("top", "mine")
    top.shows("*saved", "q quit")
    assert LONG not in top.text()
    top.resize(columns, lines)
    top.until(
        lambda: (
            top.screen.display[-1].startswith("q quit")
            and sum("hit ratio" in line for line in top.screen.display) == 1
            and re.search(r"\d\d:\d\d:\d\d$", top.screen.display[0].rstrip()) is not None
        ),
        "the screen at its new size",
    )
    assert len(top.screen.display) == lines
    if columns == 140:
        top.shows(LONG)


@pytest.mark.parametrize(
    ("variables", "coloured", "escapes"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)
def test_without_colour(
    busy: plib_cache.Cache,
    terminal: Callable[..., Any],
    variables: dict[str, str],
    coloured: bool,
    escapes: bool,
) -> None:
    """With NO_COLOR nothing is coloured, not even a warning; a dumb terminal is sent no escape."""
    top = terminal("top", "mine", "--interval", "0.2", **variables)
    top.until(lambda: top.raw.count(b"hit ratio") >= 2, "two screens")
    remove_region(busy.path)
    top.until(lambda: b"! the file was removed" in top.raw, "a warning")
    top.press("q")
    assert top.end() == 0
    assert bool(COLOUR.search(top.raw)) is coloured
    assert (b"\x1b" in top.raw) is escapes


@pytest.mark.parametrize(("how", "code"), [("q", 0), ("\x03", 0), (signal.SIGTERM, 143)])
def test_the_terminal_is_left_as_it_was(
    busy: plib_cache.Cache, terminal: Callable[..., Any], how: Any, code: int
) -> None:
    """However it ends: echo and lines are back, the cursor is seen, the screen is the old one."""
    top = terminal("top", "mine")
    top.shows("q quit")
    assert not top.modes()[3] & termios.ECHO
    if isinstance(how, str):
        top.press(how)
    else:
        os.kill(top.pid, how)
    assert top.end() == code
    assert top.modes() == top.before
    assert top.raw.rstrip().endswith(b"\x1b[?1049l")
    assert b"\x1b[?25h" in top.raw[-40:]
    assert b"Traceback" not in top.raw


def test_a_removed_cache(busy: plib_cache.Cache, terminal: Callable[..., Any]) -> None:
    """It is warned of, and what takes its place is shown instead."""
    top = terminal("top", "mine", "--interval", "0.2")
    top.shows("test_top.one")
    remove_region(busy.path)
    top.shows("! the file was removed")
    with plib_cache.Cache("mine", size="8MiB") as fresh:
        fresh.set("key", 1, namespace="elsewhere")
        top.until(
            lambda: "elsewhere" in top.text() and "removed" not in top.text(), "the new cache"
        )


def test_without_a_terminal(busy: plib_cache.Cache, command: Callable[..., Any]) -> None:
    """It says what to use instead, and --json is one document."""
    ended = command("top", "mine")
    assert ended.code == 2
    assert "plib-cache watch" in ended.err
    told = command("top", "mine", "--json", "--interval", "0.1").json()
    assert told["entries"] == 8
    assert told["seconds"] > 0
    assert told["kinds"]["str"] == {"entries": 2, "nbytes": 10}
    names = {row["name"].rpartition(".")[2]: row for row in told["names"]}
    assert names["one"]["hits"] == 3
    assert names["site"]["kind"] == "namespace"
    assert told["processes"]["attached"] == 0  # besides this one
    assert told["warnings"] == []


def test_warnings(busy: plib_cache.Cache) -> None:
    """What is wrong stands on the screen; more than fit are told of."""
    feed = Feed(busy.path)  # type: ignore[arg-type]
    picture = feed.look()
    assert picture.warnings == ()
    warned = picture._replace(warnings=("first", "second", "third"))
    text = "\n".join(line.plain for line in draw(warned, View(), 80, 24))
    assert "! first" in text
    assert "! and 2 more warnings: e" in text
    feed.close()


def test_every_size_is_kept(busy: plib_cache.Cache) -> None:
    """On no terminal, however small, a line is longer or the lines are more than there is room."""
    feed = Feed(busy.path)  # type: ignore[arg-type]
    picture = feed.look()
    view = View()
    for page in ("main", "kinds", "processes", "counters", "help", "details"):
        view.chosen, view.page = picture.named[0], page
        for width in (10, 20, 40, 79, 80, 81, 200):
            for height in (2, 3, 5, 10, 24, 60):
                lines = draw(picture, view, width, height)
                assert len(lines) == height
                assert max(line.cell_len for line in lines) <= width
    feed.close()


def test_the_cursor_stays_with_its_row(busy: plib_cache.Cache) -> None:
    """When the order changes under it, a key still concerns what it was on."""
    feed, view = Feed(busy.path), View()  # type: ignore[arg-type]
    before = feed.look()
    view.press("down", before)
    chosen = view.current(before)
    assert chosen is not None
    busy._region.name_count(chosen.number, saved_us=99_000_000)  # it is the first from now on
    after = feed.look()
    assert view.rows(after)[0].number == chosen.number
    view.press("c", after)
    assert getattr(view.clearing, "number", None) == chosen.number
    assert view.press("x", after) is None
    assert view.press("y", after) is None  # nothing is asked any more
    feed.close()


def test_keys_are_told_apart() -> None:
    """Letters, arrows and what means nothing, also several at once."""
    assert split(b"q") == ["q"]
    assert split(b"\x1b[Aj\x1b[B\r") == ["up", "j", "down", "enter"]
    assert split(b"\x1b") == ["escape"]
    assert split(b"\x1b[15~c") == ["c"]
    assert split(b"\x1b[5~\x1b[6~") == ["page up", "page down"]


def test_figures_are_short() -> None:
    """Numbers and times have as many characters as their columns."""
    assert [count(n) for n in (0, 0.5, 12, 99_000, 123_456, 5e9)] == [
        "0", "0.5", "12", "99,000", "123.5k", "5,000M",
    ]  # fmt: skip
    assert [duration(s) for s in (0.0, 0.01, 59.96, 3600, 36_000, 1e7)] == [
        "0 ms", "10 ms", "60.0 s", "60.0 min", "10.0 h", "116 d",
    ]  # fmt: skip
    assert max(len(count(9.99 * 10.0**n)) for n in range(12)) <= 8
    assert max(len(duration(10.0**n)) for n in range(-3, 9)) <= 8
