"""What monitoring systems are told, by their own libraries: Prometheus, OpenTelemetry, logging."""

import functools
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.openmetrics import exposition, parser

import plib_cache
from plib_cache.integrations import opentelemetry, prometheus

Told = dict[tuple[str, str], float]  # by the figure's name and its subject


def made() -> Any:
    """A decorated function of this test alone."""

    @plib_cache.cache
    def squared(x: int) -> int:
        return x * x

    return squared


def name_of(function: Any) -> str:
    """As the figures call it."""
    return f"{function.__module__}.{function.__qualname__}"


Place = tuple[Callable[..., Any], Callable[[], Told]]  # how to watch there, and what is told


def in_registry() -> Place:
    """A registry, and what a scrape has, after it went through the text format of OpenMetrics."""
    registry = prometheus_client.CollectorRegistry()

    def told() -> Told:
        text = exposition.generate_latest(registry).decode()
        return {
            (s.name.removeprefix("plib_cache_"), "".join(s.labels.values())): s.value
            for family in parser.text_string_to_metric_families(text)
            for s in family.samples
        }

    return functools.partial(prometheus.watch, registry=registry), told


def in_provider() -> Place:
    """A provider, and what a reader of OpenTelemetry's SDK collects, by Prometheus' names."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)

    def told() -> Told:
        data = reader.get_metrics_data()
        found: Told = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    total = "_total" if type(metric.data).__name__ == "Sum" else ""
                    unit = {"By": "_bytes", "s": "_seconds", "1": ""}[metric.unit]
                    name = metric.name.removeprefix("plib_cache.") + unit + total
                    for point in metric.data.data_points:
                        (of,) = point.attributes.values()
                        found[name, of] = point.value
        return found

    return functools.partial(opentelemetry.watch, meter_provider=provider), told


def of_prometheus(subjects: tuple[Any, ...]) -> tuple[Callable[[], Told], Any]:
    """What a registry of theirs alone tells, and the watch."""
    watch, told = in_registry()
    return told, watch(*subjects)


def of_opentelemetry(subjects: tuple[Any, ...]) -> tuple[Callable[[], Told], Any]:
    """What a provider of theirs alone tells, and the watch."""
    watch, told = in_provider()
    return told, watch(*subjects)


BOTH = pytest.mark.parametrize("system", [of_prometheus, of_opentelemetry])


@BOTH
def test_figures_grow_with_work(system: Any) -> None:
    """Hits, misses, sets and bytes of a cache are those that happened."""
    with plib_cache.Cache("observed") as cache:
        told, watch = system((cache,))
        before = told()
        cache["a"] = b"x" * 1000
        assert [cache.get("a"), cache.get("a"), cache.get("b")] == [b"x" * 1000] * 2 + [None]
        after = told()
        grown = {name: after[name, cache.path] - before[name, cache.path] for name, _ in after}
        assert grown["hits_total"] == 2
        assert grown["misses_total"] == grown["sets_total"] == 1
        assert grown["evictions_total"] == grown["corrupt_seen_total"] == 0
        assert grown["used_bytes"] > 0
        assert after["size_bytes", cache.path] == cache.info().size
        assert after["processes", cache.path] == 1
        watch.close()


@BOTH
def test_figures_of_a_function(system: Any) -> None:
    """Its hits and misses, by its name."""
    squared = made()
    told, watch = system((squared,))
    squared(3), squared(3), squared(4)
    found = told()
    assert found["function_hits_total", name_of(squared)] == 1
    assert found["function_misses_total", name_of(squared)] == 2
    assert found["function_saved_seconds_total", name_of(squared)] >= 0
    assert not any(name.startswith("hits") for name, _ in found)
    watch.close()


@BOTH
def test_other_processes_count(system: Any, regions: Path) -> None:
    """Whoever is asked tells what all did."""
    with plib_cache.Cache("observed") as cache:
        told, watch = system((cache,))
        program = "import plib_cache; plib_cache.Cache('observed').set('k', 1)"
        subprocess.run([sys.executable, "-c", program], check=True, timeout=240)
        assert told()["sets_total", cache.path] == 1
        watch.close()


@BOTH
def test_a_closed_cache_is_left_out(system: Any) -> None:
    """The others' figures are told all the same; nothing is after ``close``."""
    first, second = plib_cache.Cache("first"), plib_cache.Cache("second")
    told, watch = system((first, second))
    assert {of for _, of in told()} == {first.path, second.path}
    first.close()
    assert {of for _, of in told()} == {second.path}
    watch.close()
    assert not told()
    watch.close()
    second.close()


PLACES = pytest.mark.parametrize("system", [in_registry, in_provider])


@PLACES
def test_several_watches_in_one_place(system: Any) -> None:
    """Each adds its subjects; no name is told twice, and whoever is watched twice counts once."""
    watch, told = system()
    first, second = plib_cache.Cache("first"), plib_cache.Cache("second")
    squared = made()
    squared(1), squared(2)
    watches = [watch(first), watch(second, squared), watch(first, squared)]
    found = told()
    assert found["sets_total", first.path] == first.stats().sets
    assert {of for name, of in found if name == "size_bytes"} == {first.path, second.path}
    assert found["function_misses_total", name_of(squared)] == 2
    watches[2].close()
    watches[0].close()
    found = told()
    assert {of for name, of in found if name == "size_bytes"} == {second.path}
    assert found["function_misses_total", name_of(squared)] == 2
    watches[1].close()
    assert not told()
    first.close()
    second.close()


@BOTH
def test_anything_else_is_refused(system: Any) -> None:
    """With what to give instead, and nothing stays registered."""
    with pytest.raises(plib_cache.ConfigurationError, match=r"give a plib_cache\.Cache"):
        system((print,))


def test_the_default_registry() -> None:
    """A program's own /metrics has them, once it watches."""
    with plib_cache.Cache("observed") as cache:
        watch = prometheus.watch(cache)
        assert b"plib_cache_hits_total" in prometheus_client.generate_latest()
        watch.close()
        assert b"plib_cache_hits_total" not in prometheus_client.generate_latest()


# ---- logging -------------------------------------------------------------------------------------


def test_a_failure_is_logged(regions: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the one logger, once, with the warning's text; the warning comes too."""
    (regions / "observed").mkdir()  # so that it cannot be opened

    @plib_cache.cache(cache="observed")
    def function(x: int) -> int:
        return x

    caplog.set_level(logging.WARNING, "plib_cache")
    with pytest.warns(plib_cache.PlibCacheWarning) as warned:
        assert function(1) == function(2) - 1 == 1
    (record,) = [one for one in caplog.records if one.name == "plib_cache"]
    assert record.getMessage() == str(warned[0].message)
    assert len(warned) == 1


def test_the_log_is_silent_by_itself(regions: Path) -> None:
    """A program that has not configured logging sees the warning, and nothing twice."""
    program = (
        "import plib_cache, os; os.mkdir(os.environ['PLIB_CACHE_DIR'] + '/observed')\n"
        "@plib_cache.cache(cache='observed')\ndef f(x): return x\nassert f(1) == 1"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("runs without its cache") == 1
