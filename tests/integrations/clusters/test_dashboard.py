# SPDX-License-Identifier: BSD-3-Clause
"""The page in dask's dashboard, seen by a browser, and what is there where it cannot be."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask_tasks as tasks
import pytest
from distributed import Client, LocalCluster
from waiting import HANG_S, wait_until

from plib_cache.integrations.dask import PlibCachePlugin, add_dashboard, counts

MIB = 1 << 20
LOOK_S = 0.1  # between two looks at a page
OF_BOKEH = "Bokeh.embed.embed_items"  # what a page has that bokeh made
EMPTY = "No worker of this cluster shares a region"

# Of a page: the tables' rows, and what cannot be read of them or lies below the menu.
CELLS = "rows => rows.map(row => [...row.querySelectorAll('.slick-cell')].map(c => c.innerText))"
CUT = """all => all.filter(one => one.offsetWidth && one.scrollWidth > one.offsetWidth)
                   .map(one => one.innerText)"""
TOP = "one => one.getBoundingClientRect().top"
BOTTOM = "one => one.getBoundingClientRect().bottom"


def fetch(url: str) -> str:
    """What a server answers."""
    with urllib.request.urlopen(url, timeout=HANG_S) as answer:
        text: str = answer.read().decode()
        return text


class Tab:
    """A tab of a browser; ``page`` is playwright's."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.set_default_timeout(HANG_S * 1000)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._told)

    def _told(self, message: Any) -> None:
        if message.type == "error":
            self.troubles.append(message.text)

    def rows(self) -> list[list[str]]:
        """The cells of the tables, row by row, as they are drawn."""
        return [row for row in self.page.locator(".slick-row").evaluate_all(CELLS) if row]

    def row(self, name: str) -> list[str]:
        """The row that has this in one of its first two cells; empty while there is none."""
        return next((row for row in self.rows() if name in row[:2]), [])

    def workers(self) -> list[str]:
        """The addresses in the rows of workers."""
        return [row[1] for row in self.rows() if "://" in row[1]]

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        """Look until that is so."""
        wait_until(condition, what, pause=LOOK_S)

    def shows(self, text: str) -> bool:
        """Whether it can be seen."""
        return bool(self.page.get_by_text(text).first.is_visible())

    def follow_menu(self) -> None:
        """From another page of the dashboard to ours, as a person gets there."""
        self.page.get_by_text("More...").hover()
        self.page.get_by_role("link", name="plib_cache").click()

    def check_readable(self) -> None:
        """No text of the tables is cut off, in none of the usual widths; none is below the menu."""
        for width in (1600, 1300, 900):
            self.page.set_viewport_size({"width": width, "height": 900})
            for texts in (".slick-column-name", ".slick-cell"):
                self.wait(
                    lambda t=texts: self.page.locator(t).evaluate_all(CUT) == [],  # type: ignore[misc]
                    f"all of the texts at {width}",
                )
            menu = self.page.locator(".navbar").evaluate(BOTTOM)
            first = self.page.get_by_text("hits", exact=True).first.locator("xpath=..")
            assert first.evaluate(TOP) >= menu > 20, width


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    """A tab of a real browser, which must not complain about what it shows.

    Of the fixtures of a test it is the last: it goes before the cluster does.
    """
    made = Tab(browser.new_page(viewport={"width": 1400, "height": 900}))
    yield made
    assert not made.troubles


def test_a_browser_shows_it_live(two: Any, tab: Tab, tmp_path: Path) -> None:
    """Nothing is shared; then workers come, and their numbers change while one looks."""
    client = two.client
    plugin = PlibCachePlugin(path=two.path, keep=("slow",), nodes=False)
    client.unregister_worker_plugin(plugin.name)
    link = add_dashboard(client)
    assert link == add_dashboard(client) == client.dashboard_link.replace("status", "plib-cache")
    tab.page.goto(client.dashboard_link.replace("status", "workers"))
    tab.follow_menu()
    tab.wait(lambda: tab.shows(EMPTY), "what is there without the plugin")
    assert tab.page.url == link
    assert tab.rows() == []

    client.register_plugin(plugin)
    first, second = two.addresses
    tab.wait(lambda: set(tab.workers()) == {first, second}, "the workers' rows")
    tab.wait(lambda: not tab.shows(EMPTY), "the notice to go")
    tab.wait(lambda: tab.row(first)[4:6] == ["0 B", "0 B"], "no bytes")
    made = [two.exchange()]  # not in a variable itself: playwright looks at those, and keeps them
    size = f"{tasks.numbers(1).nbytes / MIB:.1f} MiB"
    tab.wait(lambda: tab.row(first)[4:6] == [size, size], "shared, not sent")
    tab.wait(lambda: tab.row(second)[6:9] == [size, "1", size], "taken and leased")
    tab.wait(lambda: tab.row(first)[2:4] == ["0", "1"], "a miss")
    assert {tab.row(one)[-1:][0] for one in (first, second) if tab.row(one)} == {"0"}  # failures
    place = str(two.path)
    tab.wait(lambda: tab.row(place)[1:2] == ["2"], "the region's workers")
    tab.wait(lambda: re.fullmatch(r"[\d.]+ MiB", "".join(tab.row(place)[3:4])), "its size")
    tab.wait(lambda: re.fullmatch(r"[\d.]+ %", "".join(tab.row(place)[8:9])), "its hit rate")
    tab.check_readable()
    tab.page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20_000  # an empty one has 10 kB
    print(tmp_path / "page.png")

    made.clear()
    two.forget()
    tab.wait(lambda: tab.row(second)[7:9] == ["0", "0 B"], "leases given back")
    assert client.submit(tasks.slow, 1, workers=[first], pure=True).result() == 2
    tab.wait(lambda: tab.row(first)[2:4] == ["1", "1"], "a hit")
    saved = max(one["seconds_saved"] for one in client.run(counts).values())
    assert saved > 0
    tab.wait(lambda: tab.row(place)[10:11] == [f"{saved:,.1f}"], "seconds saved")
    client.unregister_worker_plugin(plugin.name)
    tab.wait(lambda: tab.shows(EMPTY), "the notice again")


@pytest.fixture
def prefixed(start: Callable[..., Any]) -> Any:
    """A worker, and a scheduler with ``--preload`` whose dashboard has a prefix."""
    return start(
        1,
        processes=False,
        config={"distributed.scheduler.preload": ["plib_cache.integrations.dask"]},
        scheduler_kwargs={"http_prefix": "/pre"},
    )


def test_preload_and_a_prefix(prefixed: Any, tab: Tab) -> None:
    """The menu leads there, and from there back to dask's pages."""
    (address,) = prefixed.addresses
    at = f"http://127.0.0.1:{prefixed.cluster.scheduler.http_server.port}/pre"
    tab.page.goto(f"{at}/workers")
    tab.follow_menu()
    tab.wait(lambda: tab.workers() == [address], "the worker's row")
    assert tab.page.url == f"{at}/plib-cache"
    assert tab.page.title() == "Dask: plib_cache"
    tab.page.get_by_role("link", name="Workers", exact=True).click()
    tab.wait(lambda: any(address in "".join(row) for row in tab.rows()), "dask's own page")


def test_asynchronous_client(folder: Path) -> None:
    """It is awaited there."""

    async def ask() -> Any:
        async with (
            LocalCluster(
                n_workers=1, processes=False, asynchronous=True, dashboard_address=":0"
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            link = await add_dashboard(client)
            return link, await asyncio.to_thread(fetch, link)

    link, text = asyncio.run(ask())
    assert link.endswith("/plib-cache")
    assert OF_BOKEH in text


def test_no_dashboard(start: Callable[..., Any]) -> None:
    """A line of text says so; the rest of the integration works."""
    workers = start(1, {"nodes": False}, processes=False, dashboard_address=None)
    add_dashboard(workers.client)
    port = workers.cluster.scheduler.http_server.port
    assert "the dashboard is off" in fetch(f"http://127.0.0.1:{port}/plib-cache")
    assert workers.client.submit(tasks.slow, 1).result() == 2
    assert workers.counts("failures") == {"failures": 0}


WITHOUT = """
import json, sys, urllib.request
sys.modules[sys.argv[1]] = None  # as if it was not installed
from distributed import Client, LocalCluster
from plib_cache.integrations.dask import PlibCachePlugin, add_dashboard, counts

with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster, \\
        Client(cluster) as client:
    client.register_plugin(PlibCachePlugin(path=sys.argv[2], size="64MiB"))
    add_dashboard(client)
    port = cluster.scheduler.http_server.port
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/plib-cache").read().decode()
    (worker,) = client.run(lambda dask_worker: dask_worker.http_server.port).values()
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{worker}/metrics").read().decode()
    fine = client.submit(sum, [1, 2]).result() == 3 and len(client.run(counts)) == 1
print(json.dumps([page, metrics, fine]))
"""


@pytest.mark.parametrize(
    ("missing", "said"),
    [("bokeh", "the dashboard needs bokeh"), ("prometheus_client", OF_BOKEH)],
)
def test_what_is_not_installed(
    program: Callable[..., Any], tmp_path: Path, missing: str, said: str
) -> None:
    """A plain message is where the page would be; everything else works."""
    page, metrics, fine = program(WITHOUT, missing, str(tmp_path / "region"))
    assert said in page
    assert ("plib_cache_placed_total" in metrics) == (missing != "prometheus_client")
    assert fine
