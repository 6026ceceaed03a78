# SPDX-License-Identifier: BSD-3-Clause
"""joblib's Memory with tiers: what one node has computed, another one finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import servers

joblib = pytest.importorskip("joblib")

from plib_cache.integrations import joblib as ours  # noqa: E402

Start = Callable[..., servers.Running]


@pytest.fixture
def url(start: Start) -> str:
    return start("memcached").url + "&write=sync"


calls: list[int] = []


def slow(x: int) -> list[int]:
    calls.append(x)
    return [x, x]


def arrays(x: int) -> Any:
    calls.append(x)
    return pytest.importorskip("numpy").full(20_000, x)


@pytest.fixture(autouse=True)
def none_called() -> None:
    calls.clear()


def backend(folder: Path, remote: Any, **options: Any) -> Any:
    return joblib.Memory(
        folder,
        backend="plib",
        verbose=0,
        backend_options={"size": "16MiB", "remote": remote},
        **options,
    )


def memory(folder: Path, remote: Any, **options: Any) -> Any:
    return ours.Memory(
        folder, verbose=0, backend_options={"size": "16MiB"}, remote=remote, **options
    )


@pytest.fixture(params=[backend, memory], ids=["backend", "Memory"])
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    made: Callable[..., Any] = request.param
    return made


def test_results_of_another_node(make: Any, url: str, tmp_path: Path) -> None:
    one, other = make(tmp_path / "one", url).cache(slow), make(tmp_path / "two", url).cache(slow)
    assert one(1) == [1, 1]
    assert other(1) == [1, 1]
    assert other(1) == [1, 1]
    assert calls == [1]
    assert other.check_call_in_cache(1)
    assert not other.check_call_in_cache(2)


@pytest.mark.parametrize("mode", [None, "r", "c"])
def test_modes(make: Any, url: str, tmp_path: Path, mode: str | None) -> None:
    one = make(tmp_path / "one", url, mmap_mode=mode).cache(arrays)
    other = make(tmp_path / "two", url, mmap_mode=mode).cache(arrays)
    one(3)
    found = other(3)
    assert (found == 3).all()
    assert found.flags.writeable is (mode != "r")
    assert calls == [3]


def test_references(make: Any, url: str, tmp_path: Path) -> None:
    one, other = make(tmp_path / "one", url).cache(slow), make(tmp_path / "two", url).cache(slow)
    one(1)
    assert other.call_and_shelve(1).get() == [1, 1]
    assert calls == [1]


def test_validated_results(make: Any, url: str, tmp_path: Path) -> None:
    """What is taken from another node is validated as what is here."""
    asked: list[Any] = []

    def valid(metadata: dict[str, Any]) -> bool:
        asked.append(metadata["duration"])
        return len(asked) < 3

    one = make(tmp_path / "one", url).cache(slow, cache_validation_callback=lambda _: True)
    other = make(tmp_path / "two", url).cache(slow, cache_validation_callback=valid)
    assert one(1) == other(1) == [1, 1]
    assert calls == [1]
    assert len(asked) == 1
    assert other(1) == [1, 1]
    assert calls == [1]
    assert other(1) == [1, 1]
    assert calls == [1, 1]


def test_compressed(url: str, tmp_path: Path) -> None:
    one = backend(tmp_path / "one", url, compress=True).cache(slow)
    other = backend(tmp_path / "two", url, compress=True).cache(slow)
    assert one(1) == other(1) == [1, 1]
    assert calls == [1]


def test_a_server_that_is_away(make: Any, tmp_path: Path) -> None:
    remote = f"memcached://127.0.0.1:{servers.free_port()}"
    cached = make(tmp_path / "one", remote).cache(slow)
    with pytest.warns(UserWarning, match="is left alone for a while"):
        found = [cached(1), cached(1)]
    assert found == [[1, 1], [1, 1]]
    assert calls == [1]


def test_nonsense(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="remote="):
        make(tmp_path, "nonsense")


def test_clear_is_of_the_node(make: Any, url: str, tmp_path: Path) -> None:
    one = make(tmp_path / "one", url)
    cached = one.cache(slow)
    cached(1)
    one.clear(warn=False)
    assert cached(1) == [1, 1]
    assert calls == [1]


def test_it_is_the_same_in_workers(make: Any, url: str, tmp_path: Path) -> None:
    """The options go along when a function is sent to other processes."""
    cached = make(tmp_path / "one", url).cache(slow)
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(cached)(x) for x in range(4))
    assert found == [[x, x] for x in range(4)]
    other = make(tmp_path / "two", url).cache(slow)
    assert [other(x) for x in range(4)] == found
    assert calls == []
