"""What IPython shows of caches, counts and decorated functions, in a notebook and in a terminal."""

import functools
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

import plib_cache


class Cells(HTMLParser):
    """The text of a table's cells; an element that is not closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.other = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Begin."""
        self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        """End."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect."""
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data
        else:
            self.other += data


def shown(what: Any) -> tuple[dict[str, str], str]:
    """The table that a notebook shows, and what stands around it."""
    formats, _ = DisplayFormatter().format(what)
    assert formats["text/plain"]
    read = Cells(formats["text/html"])
    return dict(zip(read.cells[::2], read.cells[1::2], strict=True)), read.other


def test_a_cache() -> None:
    """How full, how often hit, by how many processes."""
    with plib_cache.Cache("shown") as cache:
        cache["a"] = b"x" * 3000
        assert cache.get("a")
        assert cache.get("b") is None
        table, around = shown(cache)
        assert cache.path in around
        assert table["reads"] == "2, 50.0% of them hits"
        assert table["stored"] == table["processes"] == "1"
        assert table["evicted"] == "0"
        assert "KiB of" in table["used"]


def test_a_new_cache() -> None:
    """No reads are no error."""
    with plib_cache.Cache("shown") as cache:
        assert shown(cache)[0]["reads"] == "0, none of them hits"


def test_a_closed_cache() -> None:
    """Says so; a notebook shows no traceback."""
    cache = plib_cache.Cache("shown")
    cache.close()
    table, around = shown(cache)
    assert not table
    assert "closed" in around


def test_counts() -> None:
    """Those that are not zero."""
    with plib_cache.Cache("shown") as cache:
        cache["a"] = 1
        assert "a" in cache
        table, _ = shown(cache.stats())
        assert table["sets"] == "1"
        assert table["hit rate"] == "100.0%"
        assert "evictions" not in table


def test_a_function() -> None:
    """Whether caching it is worth it."""

    @plib_cache.cache
    def slow(x: int) -> int:
        return x

    assert [slow(1), slow(1), slow(2)] == [1, 1, 2]
    table, around = shown(slow)
    assert "slow" in around
    assert table["calls"] == "3, 33.3% of them hits"
    assert table["results"] == "2"
    assert table["saved"].endswith("s of computing")


def test_a_function_without_a_name() -> None:
    """A partial, or an object that can be called."""
    least = plib_cache.cache(functools.partial(max, 3))
    assert [least(1), least(1)] == [3, 3]
    table, around = shown(least)
    assert "functools.partial" in around
    assert table["calls"] == "2, 50.0% of them hits"


def test_a_function_whose_cache_fails(regions: Path) -> None:
    """The reason stands in the place of the table."""
    (regions / "broken").mkdir()

    @plib_cache.cache(cache="broken")
    def slow(x: int) -> int:
        return x

    table, around = shown(slow)
    assert not table
    assert "broken" in around


@pytest.mark.parametrize("name", ["a<script>alert(1)</script>", 'a"b&c'])
def test_names_are_text(tmp_path: Path, name: str) -> None:
    """A file's name, or a function's, is not run."""
    folder = tmp_path / name.replace("/", "_")
    folder.mkdir()
    with plib_cache.Cache(path=folder / "region", size="4MiB") as cache:
        assert cache.path in shown(cache)[1]

    @plib_cache.cache
    def slow(x: int) -> int:
        return x

    slow.__wrapped__.__qualname__ = name
    assert name in shown(slow)[1]
