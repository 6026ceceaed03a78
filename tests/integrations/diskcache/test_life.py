# SPDX-License-Identifier: BSD-3-Clause
"""Settings, counts, transactions, and what a cache outlives."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache
import pytest
from waiting import wait_until

from plib_cache import ConfigurationError, PlibCacheWarning
from plib_cache.integrations.diskcache import (
    DEFAULT_SETTINGS,
    Cache,
    Disk,
    JSONDisk,
    Timeout,
    _region,
)


def test_settings_are_diskcaches(cache: Cache, theirs: diskcache.Cache) -> None:
    """The same names and defaults; they are kept, for other processes and later ones."""
    assert DEFAULT_SETTINGS == diskcache.DEFAULT_SETTINGS
    assert cache.reset("cull_limit", 3) == 3
    assert cache.reset("sqlite_mmap_size", 0, update=False) == 0
    with Cache(cache.directory) as other:
        assert (other.cull_limit, other.sqlite_mmap_size) == (3, 2**26)
        other.reset("disk_min_file_size", 5)
        assert other.disk.min_file_size == 5
        assert cache.disk_min_file_size == 2**15
        assert cache.reset("disk_min_file_size") == 5
        assert cache.disk.min_file_size == 5
    with Cache(cache.directory, tag_index=1) as other:
        assert other.tag_index == 1
        other.drop_tag_index()
        assert other.tag_index == 0
        other.create_tag_index()
    assert cache.reset("tag_index") == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"eviction_policy": "none"}, "size_limit"),
        ({"eviction_policy": "odd"}, "least-recently-used"),
        ({"size": 5}, "no setting 'size'"),
        ({"size_limit": "1 GiB"}, "number of bytes"),
        ({"disk": diskcache.Disk}, "plib_cache.integrations.diskcache.Disk"),
        ({"trust": "nobody"}, "trust"),
    ],
)
def test_what_cannot_be_had_is_refused(tmp_path: Path, settings: Any, says: str) -> None:
    """With what to do; and nothing is made."""
    with pytest.raises(ConfigurationError, match=says):
        Cache(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_the_region_has_the_size_of_the_limit(tmp_path: Path) -> None:
    """A later, larger limit is told; a smaller one is what cull keeps."""
    with Cache(tmp_path, size_limit=6 << 20) as cache:
        assert cache._cache.info().size == 6 << 20
        with pytest.warns(PlibCacheWarning, match="new directory"):
            cache.reset("size_limit", 1 << 30)
        for number in range(20):
            cache[number] = b"x" * 50_000
        cache.reset("size_limit", 500_000)
        removed = cache.cull()
        assert cache.volume() <= 500_000
        assert list(cache) == list(range(removed, 20))
        assert len(cache) >= 7


def test_counts(cache: Cache) -> None:
    """Hits and misses count while that is on, for all processes."""
    cache["a"] = 1
    cache["a"], cache.get("b")
    assert cache.stats(enable=True) == (0, 0)
    cache["a"], cache.get("b"), cache.get("c"), "a" in cache
    with Cache(cache.directory) as other:
        assert (other.hits, other.misses, other.count) == (1, 2, 1)
        other["a"]
    assert cache.stats(enable=False, reset=True) == (2, 2)
    cache["a"]
    assert (cache.hits, cache.statistics) == (0, 0)


def test_it_is_there_again(tmp_path: Path) -> None:
    """After close, by a pickle, and in another object; a closed one opens itself."""
    with Cache(tmp_path, size_limit=5 << 20, trust="data") as cache:
        cache.set("key", [1], tag="red")
    assert cache["key"] == [1]
    other = pickle.loads(pickle.dumps(cache))
    assert (other.get("key", tag=True), other.directory) == (([1], "red"), str(tmp_path))
    assert other._trust == "data"
    cache.close()
    other.close()
    assert Cache(tmp_path)["key"] == [1]


def test_children_use_it(cache: Cache, fork: Callable[..., Any]) -> None:
    """After a fork both go on."""
    cache["a"] = 1
    assert fork(lambda: cache.incr("a")).result() == 2
    assert cache.incr("a") == 3


def test_a_child_of_a_transaction(cache: Cache, fork: Callable[..., Any]) -> None:
    """It ends with the process that began it: no child ends it, and none keeps it going."""
    transaction = cache.transact()
    transaction.__enter__()
    fork(transaction.__exit__, None, None, None).result()
    stays = fork(wait_until, lambda: "done" in cache)
    other = Cache(cache.directory, timeout=0)
    with pytest.raises(Timeout), other.transact():
        pass
    transaction.__exit__(None, None, None)
    with other.transact():
        cache["done"] = 1
    stays.result()
    other.close()


def test_no_directory_is_one_in_memory() -> None:
    """And a new one each time."""
    with Cache(size_limit=4 << 20) as one, Cache(size_limit=4 << 20) as two:
        one["a"] = 1
        assert "a" not in two
        assert one.directory != two.directory
        for cache in (one, two):
            for path in Path(cache.directory).iterdir():
                path.unlink()
            Path(cache.directory).rmdir()


def test_where_no_region_can_be(tmp_path: Path) -> None:
    """It is in memory, under a name of the directory, and one warning says so."""
    tmp_path.chmod(0o777)
    with pytest.warns(PlibCacheWarning, match="in memory only"):
        cache = Cache(tmp_path, size_limit=4 << 20)
    cache["a"] = 1
    assert cache._cache.path.endswith(_region.memory_name(str(tmp_path), "cache.plib"))
    assert Cache(tmp_path)["a"] == 1
    cache.close()
    tmp_path.chmod(0o700)


def test_a_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """And no reason to go on in memory."""
    folder = tmp_path / "gone"
    cache = Cache(folder, size_limit=4 << 20)
    cache.close()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(ConfigurationError, match="does not exist"):
        cache["a"]


def test_too_large_is_told_and_not_stored(cache: Cache) -> None:
    """Nor is what was there before: it would be out of date.  A memoized function works."""
    cache["a"] = 1
    with pytest.warns(PlibCacheWarning, match="larger|large"):
        assert cache.set("a", b"x" * (9 << 20)) is False
    assert "a" not in cache
    assert cache.memoize()(lambda: b"x" * (9 << 20))() == b"x" * (9 << 20)
    with pytest.warns(PlibCacheWarning, match="lock"):
        assert cache.memoize()(threading.Lock)().acquire()


def test_busy_is_a_timeout(cache: Cache, stopped_holder: Callable[..., Any]) -> None:
    """Unless it is to be tried again."""
    holder = stopped_holder(cache._cache)
    with pytest.raises(Timeout):
        cache.add("new", 1)
    waiting = threading.Thread(target=lambda: cache.add("new", 2, retry=True))
    waiting.start()
    holder.kill(18)  # SIGCONT
    waiting.join(60)
    assert cache["new"] == 2


def test_transactions_exclude_each_other(cache: Cache) -> None:
    """Of threads, also nested; another waits, or has a Timeout."""
    entered, leave, order = threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        with cache.transact(), cache.transact():
            entered.set()
            leave.wait(60)
            order.append("first")

    def second() -> None:
        with cache.transact(retry=True):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert entered.wait(60)
    other = Cache(cache.directory, timeout=0)
    with pytest.raises(Timeout, match="retry=True"), other.transact():
        raise AssertionError("unreachable")
    other.close()
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join(60)
    assert order == ["first", "second"]


def hold_transaction(cache: Cache) -> None:
    with cache.transact():
        cache["held"] = True
        threading.Event().wait(60)


def test_a_transaction_ends_with_its_process(cache: Cache, fork: Callable[..., Any]) -> None:
    """The kernel gives its lock back."""
    child = fork(hold_transaction, cache)
    wait_until(lambda: "held" in cache, "the child's transaction")
    child.kill()
    child.reap()
    with cache.transact():
        cache["after"] = 1


def test_a_transaction_that_fails_says_what_stays(cache: Cache) -> None:
    """It takes nothing back, and warns of that."""

    def failing() -> None:
        with cache.transact():
            cache["a"] = 1
            raise KeyError

    with pytest.warns(PlibCacheWarning, match="stays"), pytest.raises(KeyError):
        failing()
    assert cache["a"] == 1


class Reversed(Disk):
    """Stores text backwards."""

    def store(self, value: Any, read: bool, key: Any = None) -> Any:
        return super().store(value[::-1], read, key=key)

    def fetch(self, mode: int, filename: None, value: Any, read: bool) -> Any:
        return super().fetch(mode, filename, value, read)[::-1]


def test_disks(tmp_path: Path) -> None:
    """A disk of one's own, and JSON: what is stored is read through it, also by a pickle."""
    with Cache(tmp_path / "r", disk=Reversed) as cache:
        cache["a"] = "text"
        assert cache["a"] == "text"
        assert Cache(tmp_path / "r")["a"] == "txet"
        assert pickle.loads(pickle.dumps(cache))["a"] == "text"
        assert cache.disk.hash("a") == Cache(tmp_path / "r").disk.hash("a")
        with pytest.raises(ConfigurationError, match="no filename"):
            cache.disk.filename()
        with pytest.raises(ConfigurationError, match="no filename"):
            cache.disk.remove("x")
    with Cache(tmp_path / "j", disk=JSONDisk, disk_compress_level=6, trust="data") as cache:
        cache[[1, "a"]] = {"b": [None, 2.5]}
        assert (list(cache), cache[[1, "a"]]) == ([[1, "a"]], {"b": [None, 2.5]})
        assert cache.disk.compress_level == 6


def test_memoize(cache: Cache) -> None:
    """Misuse is told; expire=0 stores nothing; ignored arguments do not matter."""
    with pytest.raises(TypeError, match="parentheses"):
        cache.memoize(len)  # type: ignore[arg-type]
    calls: list[int] = []

    @cache.memoize(expire=0)
    def never(x: int) -> int:
        calls.append(x)
        return x

    @cache.memoize(name="named", ignore={1, "y"}, tag="red")
    def some(x: int, *_: Any, y: int = 0) -> int:
        calls.append(x)
        return x

    assert (never(1), never(1)) == (1, 1)
    assert (some(2, 5, y=1), some(2, 6, y=2)) == (2, 2)
    assert calls == [1, 1, 2]
    assert some.__cache_key__(2, 7) == ("named", 2, None)  # type: ignore[attr-defined]
    assert (cache.get(("named", 2, None), tag=True), cache.evict("red")) == ((2, "red"), 1)
    assert diskcache.core.args_to_key(("n",), (1, 2.0), {"b": 1, "a": 2}, True, {0}) == (
        __import__("plib_cache.integrations.diskcache._memoize", fromlist=["x"]).call_key(
            ("n",), (1, 2.0), {"b": 1, "a": 2}, True, {0}
        )
    )
