# SPDX-License-Identifier: BSD-3-Clause
"""The page in dask's dashboard, seen by a browser, and the metrics that Prometheus scrapes."""

from __future__ import annotations

import asyncio
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask_tasks as tasks
import pytest
from distributed import Client, LocalCluster, wait
from waiting import HANG_S, wait_until

from plib_cache.integrations.dask import PlibCachePlugin, add_dashboard

playwright = pytest.importorskip("playwright.sync_api")
parser = pytest.importorskip("prometheus_client.parser")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MIB = 1 << 20
OF_BOKEH = "Bokeh.embed.embed_items"  # what a page has that bokeh made


def fetch(url: str) -> tuple[str, str]:
    """What a server answers, and of which type it is."""
    with urllib.request.urlopen(url, timeout=HANG_S) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def scrape(client: Client) -> list[dict[str, Any]]:
    """Each worker's families of ours, by name, as Prometheus reads them."""
    ports = client.run(lambda dask_worker: dask_worker.http_server.port)
    found = []
    for _, port in sorted(ports.items()):
        text, kind = fetch(f"http://127.0.0.1:{port}/metrics")
        assert kind.startswith("text/plain")
        families = list(parser.text_string_to_metric_families(text))
        assert "dask_worker_threads" in [one.name for one in families]  # dask's, as ever
        ours = [one for one in families if one.name.startswith("plib_cache")]
        found.append({one.name: one for one in ours})
        assert len(found[-1]) == len(ours), "a family is told twice"
    return found


def summed(told: list[dict[str, Any]], name: str) -> float:
    """A family of the workers, added up."""
    return sum(sample.value for one in told for sample in one[name].samples)


def slow(number: int) -> int:
    """Takes some time."""
    time.sleep(0.05)
    return number + 1


def work(workers: Any) -> None:
    """One worker makes an array, another one looks at it."""
    first, second, *_ = workers.addresses
    made = workers.client.submit(tasks.numbers, 1, workers=[first], pure=False)
    seen = workers.client.submit(tasks.own_pid, made, workers=[second], pure=False)
    wait(seen)
    workers.client.submit(slow, 1, pure=True, workers=[first]).result()
    workers.held = made


# ---- Prometheus


def test_metrics_grow_with_work(start: Callable[..., Any]) -> None:
    """Each kind of work is in its family; what is held is told as long as it is."""
    workers = start(2, {"keep": ("slow",)})
    before = scrape(workers.client)
    assert [summed(before, name) for name in ("plib_cache_placed", "plib_cache_held_bytes")] == [
        0,
        0,
    ]
    work(workers)
    after = scrape(workers.client)
    size = tasks.numbers(1).nbytes
    for name in ("placed", "handed", "taken", "misses", "kept"):
        assert summed(after, f"plib_cache_{name}") == 1, name
    for name in ("placed_bytes", "not_sent_bytes", "taken_bytes"):
        assert size <= summed(after, f"plib_cache_{name}") < size + MIB, name
    assert summed(after, "plib_cache_held") == 2  # the one copy, with a lease of each worker
    assert summed(after, "plib_cache_failures") == 0
    assert after[0]["plib_cache_region_leased_bytes"].samples[0].value >= 2 * size

    del workers.held
    wait_until(lambda: summed(scrape(workers.client), "plib_cache_held") == 0, "leases given back")
    wait_until(
        lambda: (
            workers.client.submit(slow, 1, pure=True).result() == 2
            and summed(scrape(workers.client), "plib_cache_hits") >= 1
        ),
        "a hit",
    )
    saved = scrape(workers.client)[0]["plib_cache_region_saved_seconds"].samples[0].value
    assert saved >= 0.05


def test_metrics_are_named_and_described(three: Any) -> None:
    """As Prometheus wants it: counters are ``_total``, units are in the name, each has its help."""
    (first, *others) = scrape(three.client)
    assert len(first) > 20
    for name, family in first.items():
        assert family.type in ("counter", "gauge"), name
        assert family.documentation.endswith("."), name
        suffix = "_total" if family.type == "counter" else ""
        assert [sample.name for sample in family.samples] == [name + suffix], name
        label = "region" if name.startswith("plib_cache_region_") else "worker"
        assert list(family.samples[0].labels) == [label], name
    (region,) = {
        sample.labels["region"]
        for one in (first, *others)
        for sample in one["plib_cache_region_size_bytes"].samples
    }
    assert region == str(three.path)
    told = [one["plib_cache_placed"].samples[0].labels["worker"] for one in (first, *others)]
    assert sorted(told) == three.addresses


def test_metrics_come_and_go_with_the_plugin(start: Callable[..., Any]) -> None:
    """Without it there are dask's own only, also after it was there."""
    workers = start(2)
    assert all(scrape(workers.client))
    told = "lambda dask_scheduler: [sorted(w.metrics) for w in dask_scheduler.workers.values()]"
    metrics = eval(told)  # pickled by value
    wait_until(
        lambda: all("plib_cache" in one for one in workers.client.run_on_scheduler(metrics)),
        "heartbeats",
    )
    workers.client.unregister_worker_plugin(PlibCachePlugin(path=workers.path).name)
    assert scrape(workers.client) == [{}, {}]
    wait_until(
        lambda: not any("plib_cache" in one for one in workers.client.run_on_scheduler(metrics)),
        "heartbeats without it",
    )


def test_workers_of_one_process(folder: Path) -> None:
    """Each family is told once, with a label for each of them; the last one removes it."""
    from prometheus_client import REGISTRY

    with (
        LocalCluster(
            n_workers=2, processes=False, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(PlibCachePlugin(path=folder / "threads", size="64MiB"))
        for told in scrape(client):
            workers = {sample.labels["worker"] for sample in told["plib_cache_placed"].samples}
            assert workers == set(client.scheduler_info()["workers"])
            assert len(told["plib_cache_region_hits"].samples) == 1
    assert not [one for one in REGISTRY.collect() if one.name.startswith("plib_cache")]


def test_a_cache_that_cannot_be_asked(start: Callable[..., Any]) -> None:
    """The region's families are left out, the endpoint and the heartbeats go on."""
    workers = start(1)

    def close(dask_worker: Any) -> None:
        dask_worker.extensions["plib_cache"].cache.close()

    workers.client.run(close)
    (told,) = scrape(workers.client)
    assert "plib_cache_placed" in told
    assert "plib_cache_region_hits" not in told
    assert summed(scrape(workers.client), "plib_cache_failures") >= 1


# ---- the page


@pytest.fixture
def tab(untested: Any) -> Iterator[Any]:
    """A tab of a real browser, which must not complain about what it shows."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        untested("dask's dashboard in a browser: no chromium (Debian package: chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(HANG_S * 1000)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda one: troubles.append(one.text) if one.type == "error" else None,
        )
        yield page
        browser.close()
    assert not troubles


def rows(page: Any) -> list[list[str]]:
    """The cells of the tables, row by row, as they are drawn."""
    texts = [
        row.locator(".slick-cell").all_inner_texts() for row in page.locator(".slick-row").all()
    ]
    return [text for text in texts if text]


def worker_rows(page: Any) -> dict[str, list[str]]:
    """The drawn rows of workers by their address."""
    return {row[1]: row for row in rows(page) if len(row) > 1 and "://" in row[1]}


def test_a_browser_shows_it_live(start: Callable[..., Any], tab: Any, tmp_path: Path) -> None:
    """Nothing is shared; then workers come, and their numbers change while one looks."""
    workers = start(2, {"keep": ("slow",)})
    client = workers.client
    name = PlibCachePlugin(path=workers.path).name
    client.unregister_worker_plugin(name)
    link = add_dashboard(client)
    assert link == add_dashboard(client) == client.dashboard_link.replace("status", "plib-cache")
    tab.goto(link)
    playwright.expect(tab.get_by_text("No worker of this cluster shares a region")).to_be_visible()
    assert rows(tab) == []

    client.register_plugin(PlibCachePlugin(path=workers.path, keep=("slow",)))
    first, second = workers.addresses
    wait_until(lambda: set(worker_rows(tab)) == {first, second}, "the workers' rows")
    playwright.expect(tab.get_by_text("No worker of this cluster")).to_be_hidden()
    assert worker_rows(tab)[first][4:6] == ["0 B", "0 B"]
    work(workers)
    size = f"{tasks.numbers(1).nbytes / MIB:.1f} MiB"
    wait_until(lambda: worker_rows(tab)[first][4:6] == [size, size], "shared, not sent")
    wait_until(lambda: worker_rows(tab)[second][6:9] == [size, "1", size], "taken and leased")
    wait_until(lambda: worker_rows(tab)[first][2:4] == ["0", "1"], "a miss")
    (region,) = [row for row in rows(tab) if row[0] == str(workers.path)]
    assert region[1] == "2"
    assert region[3].endswith(" MiB")
    assert region[8].endswith(" %")
    assert {row[-1] for row in worker_rows(tab).values()} == {"0"}  # failures
    tab.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20_000  # an empty one has 10 kB
    print(tmp_path / "page.png")

    client.unregister_worker_plugin(name)
    playwright.expect(tab.get_by_text("No worker of this cluster")).to_be_visible()


def test_the_menu_leads_there(start: Callable[..., Any], tab: Any) -> None:
    """Scheduler with ``--preload``: dask's pages have a link, and all of them still work."""
    preload = {"distributed.scheduler.preload": ["plib_cache.integrations.dask"]}
    workers = start(1, config=preload)
    tab.goto(workers.client.dashboard_link)
    tab.get_by_text("More...").hover()
    tab.get_by_role("link", name="plib_cache").click()
    wait_until(lambda: list(worker_rows(tab)) == workers.addresses, "the worker's row")
    tab.get_by_role("link", name="Workers", exact=True).click()
    wait_until(lambda: any(workers.addresses[0] in row for row in rows(tab)), "dask's own page")


def test_prefix_of_the_dashboard(start: Callable[..., Any], tab: Any) -> None:
    """The page is where the others are."""
    workers = start(1, scheduler_kwargs={"http_prefix": "/pre"})
    add_dashboard(workers.client)
    port = workers.cluster.scheduler.http_server.port
    tab.goto(f"http://127.0.0.1:{port}/pre/plib-cache")
    wait_until(lambda: list(worker_rows(tab)) == workers.addresses, "the worker's row")
    assert tab.title() == "Dask: plib_cache"


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
            return link, (await asyncio.to_thread(fetch, link))[0]

    link, text = asyncio.run(ask())
    assert link.endswith("/plib-cache")
    assert OF_BOKEH in text


WITHOUT = """
import json, sys, urllib.request
for name in sys.argv[1].split(","):
    sys.modules[name] = None  # as if it was not installed
from distributed import Client, LocalCluster
from plib_cache.integrations.dask import PlibCachePlugin, add_dashboard, counts

address = ":0" if sys.argv[2] == "on" else None
with LocalCluster(n_workers=1, processes=False, dashboard_address=address) as cluster, \\
        Client(cluster) as client:
    client.register_plugin(PlibCachePlugin(path=sys.argv[3], size="64MiB"))
    add_dashboard(client)
    port = cluster.scheduler.http_server.port
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/plib-cache").read().decode()
    (worker,) = client.run(lambda dask_worker: dask_worker.http_server.port).values()
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{worker}/metrics").read().decode()
    fine = client.submit(sum, [1, 2]).result() == 3 and len(client.run(counts)) == 1
print(json.dumps([page, metrics, fine]))
"""


@pytest.mark.parametrize(
    ("missing", "dashboard", "said"),
    [
        ("bokeh", "on", "the dashboard needs bokeh"),
        ("nothing_at_all", "off", "the dashboard is off"),
        ("prometheus_client", "on", OF_BOKEH),
    ],
)
def test_what_is_not_installed(
    program: Callable[..., Any], tmp_path: Path, missing: str, dashboard: str, said: str
) -> None:
    """A plain message is where the page would be; everything else works."""
    page, metrics, fine = program(WITHOUT, missing, dashboard, str(tmp_path / "region"))
    assert said in page
    assert ("plib_cache_placed_total" in metrics) == (missing != "prometheus_client")
    assert fine
