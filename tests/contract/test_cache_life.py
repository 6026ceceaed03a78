# SPDX-License-Identifier: BSD-3-Clause
"""A ``Cache`` is opened, shared, forked, pickled, closed, and tells of itself; the default one."""

from __future__ import annotations

import errno
import gc
import inspect
import os
import pickle
import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import plib_cache
from plib_cache import Cache, ClosedError
from plib_cache._core.failures import Facts, failure

from .ways import PickleOnly


class TestLife:
    def test_two_openings_are_one_region(self, cache: Cache) -> None:
        """By name or by path, it is the same; closing one does not concern the other."""
        cache["a"] = 1
        with Cache("contract", **options(cache)) as other:
            assert other["a"] == 1
        with Cache(path=cache.path, **options(cache)) as other:
            other["a"] = 2
        assert cache["a"] == 2

    def test_prefault(self, cache: Cache) -> None:
        """Then the file is as large as it will ever be, also in a cache made of a pickle."""
        info = cache.info()
        assert info.taken < info.size
        with Cache("contract", **options(cache), prefault=True) as other:
            taken = other.info().taken
            assert info.size - 4096 < taken == os.stat(cache.path).st_size <= info.size
            with pickle.loads(pickle.dumps(other)) as third:
                assert third.info().taken == taken
            other["a"] = 1
        assert cache["a"] == 1

    def test_closed(self, cache: Cache) -> None:
        """Every use after close is a ClosedError that says what to do."""
        cache["a"] = 1
        iterator = iter(cache)
        cache.close()
        cache.close()
        assert cache.closed
        uses: list[Any] = [
            lambda: cache["a"], lambda: cache.get("a"), lambda: cache.set("a", 1),
            lambda: cache.delete("a"), lambda: len(cache), lambda: list(cache), lambda: bool(cache),
            lambda: cache.incr("a"), cache.clear, lambda: cache.get_many(["a"]), cache.stats,
            lambda: cache.set_many({"a": 1}), lambda: cache.touch("a", 1), cache.info, cache.check,
            lambda: cache.invalidate_tag("t"), lambda: cache.get_or_compute("b", lambda: 1),
            lambda: next(iterator), lambda: "a" in cache,
        ]  # fmt: skip
        for use in uses:
            with pytest.raises(ClosedError, match="open it again"):
                use()

    def test_context_manager(self) -> None:
        """Leaving the block closes."""
        with Cache("block", size="4MiB") as cache:
            cache["a"] = 1
        assert cache.closed
        assert "closed" in repr(cache)

    def test_persists_on_disk(self, tmp_path: Any) -> None:
        """A region in a file elsewhere keeps its entries while nobody is attached."""
        tmp_path.chmod(0o700)
        path = tmp_path / "region"
        with Cache(path=path, size="4MiB") as cache:
            cache["a"] = [1]
        gc.collect()
        with Cache(path=str(path)) as cache:
            assert cache["a"] == [1]
            assert cache.info().size == 4 << 20

    def test_pickle(self, cache: Cache) -> None:
        """A pickled cache attaches to the same region with the same options."""
        cache["a"] = 1
        with pickle.loads(pickle.dumps(cache)) as other:
            assert other["a"] == 1
            assert other.path == cache.path
            assert other._strict is True
            assert type(other._serializer) is type(cache._serializer)

    def test_fork(self, cache: Cache, fork: Any) -> None:
        """A child goes on with the cache of its parent, and both see each other's writes."""
        cache["a"] = 1

        def child() -> Any:
            seen = cache["a"]
            cache["b"] = 2
            cache.set("c", b"large" * 50_000)
            return seen, cache.incr("none"), len(cache)

        assert fork(child).result() == (1, None, 3)
        assert cache["b"] == 2
        assert cache["c"] == b"large" * 50_000

    def test_fork_that_closes(self, cache: Cache, fork: Any) -> None:
        """A child that closes does not take the cache from its parent."""
        cache["a"] = 1
        assert fork(cache.close).result() is None
        assert cache["a"] == 1

    def test_growth_by_others_is_seen(self, cache: Cache, fork: Any) -> None:
        """Entries in memory that another process took are there for walks and reads at once."""
        cache["first"] = b"f" * 50_000
        values = {f"key-{i}": b"v" * (1000 * i) for i in range(60)}

        def child() -> None:
            for key, value in values.items():
                cache[key] = value

        fork(child).result()
        assert len(cache) == 61
        assert set(cache) == {"first", *values}
        assert cache.check() == []
        assert cache.get_many(values) == values
        assert all(cache[key] == value for key, value in values.items())

    def test_threads(self, cache: Cache) -> None:
        """Threads share one cache; each sees its own writes, and values are never mixed."""
        errors: list[BaseException] = []

        def work(mine: int) -> None:
            try:
                for i in range(300):
                    cache[f"{mine}-{i % 10}"] = [mine, i]
                    assert cache[f"{mine}-{i % 10}"] == [mine, i]
                    shared = cache.get("shared")
                    assert shared is None or shared == [shared[0]] * 50
                    cache["shared"] = [mine] * 50
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(cache) == 41

    def test_a_get_inside_a_get(self, native: Cache) -> None:
        """A destructor that reads the cache while a value is loaded disturbs nothing."""
        native["other"] = b"o" * 5000
        native["key"] = b"k" * 5000
        nested = []

        class Reader:
            def __del__(self) -> None:
                nested.append(native["other"])

        class Loader(PickleOnly):
            def loads(self, type_code: int, data: memoryview) -> object:
                Reader()
                return bytes(data)

        with Cache("contract", serializer=Loader()) as cache:
            assert cache["key"] == b"k" * 5000
        assert nested == [b"o" * 5000]


class TestReports:
    def test_stats(self, cache: Cache) -> None:
        """Hits and misses of all are counted, and can be reset."""
        cache["a"] = 1
        cache.get("a")
        cache.get("b")
        stats = cache.stats()
        assert (stats.hits, stats.misses, stats.sets) == (1, 1, 1)
        assert stats.hit_rate == 0.5
        assert stats.as_dict()["hits"] == 1
        cache.reset_stats()
        assert cache.stats().hits == 0
        assert plib_cache.Stats().hit_rate == 0.0
        assert plib_cache.Stats().write_amplification == 1.0
        written = plib_cache.Stats(bytes_written=100, bytes_reinserted=50)
        assert written.write_amplification == 1.5

    def test_stats_of_the_pool(self, cache: Cache) -> None:
        """What is used and what is free are the pool; a large value moves from one to the other."""
        before, pool = cache.stats(), cache.info().pool
        assert before.used + before.free == pool
        assert (before.leased, before.reserved) == (0, 0)
        large = cache.info().value_max // 2
        cache["large"] = bytes(large)
        after = cache.stats()
        assert after.used + after.free == pool
        assert large <= after.used - before.used < large + (1 << 20)
        assert large // 2 < after.largest_free <= after.free
        cache.reset_stats()
        assert cache.stats().used == after.used

    def test_who_fills_the_region(self) -> None:
        """A refusal for want of room names leases and reservations where there are any."""
        nobody = failure("FULL", Facts(pool=1000))
        assert isinstance(nobody, plib_cache.RegionFullError)
        assert "leased" not in str(nobody)
        somebody = str(failure("FULL", Facts().with_holders(1000, 300, 200)))
        assert "1000 bytes" in somebody
        assert "300 are leased and 200 reserved" in somebody

    def test_a_full_folder_is_told(self) -> None:
        """Where a region cannot grow, or be made, it is the folder that needs room."""
        full = str(failure("FULL", Facts("/dev/shm/x/r", pool=1000, a=300, b=1000)))
        assert "300 of 1000 bytes, because /dev/shm/x is full: free some" in full
        assert "ulimit -f" in full
        none = str(failure("NO_SPACE", Facts("/dev/shm/x/r")))
        assert "df -i" in none
        short = str(failure("SYSTEM", Facts("/dev/shm/x/r", errno=errno.EFBIG)))
        assert "ulimit -f" in short

    def test_huge_pages_are_told(self, cache: Cache) -> None:
        """What is mapped by huge pages is what the kernel says of this file's mappings."""
        with Cache("contract", **options(cache), prefault=True) as other:
            info = other.info()
            maps = Path("/proc/self/smaps").read_text().split("VmFlags")
            ours = [one for one in maps if f" {os.stat(cache.path).st_ino} " in one]
            pages = [re.search(r"ShmemPmdMapped: *(\d+) kB", one) for one in ours]
            assert info.huge == 1024 * sum(int(found[1]) for found in pages if found)
            assert info.huge % (2 << 20) == 0
            assert info.huge <= info.taken

    def test_stats_know_every_counter(self, cache: Cache) -> None:
        """Each counter of the core has its field."""
        assert set(cache._region.stats()) == set(cache.stats().as_dict())

    def test_info(self, cache: Cache) -> None:
        """It tells the truth about the region."""
        before = time.time()
        info = cache.info()
        assert info.path == cache.path
        assert info.size == 8 << 20
        assert 0 < info.taken <= info.size
        assert 0 < info.pool < info.size
        assert info.protection in ("none", "pku")
        assert info.processes >= 1
        assert abs(info.created - before) < 3600
        assert not info.retired
        assert info.note == ""
        assert info.as_dict()["binding"] == (os.environ.get("PLIB_CACHE_BINDING") or "fast")
        cache["a"] = b"x" * 100_000
        assert cache.info().used >= 100_000
        assert cache.info().live >= 100_000

    def test_removed_file(self, cache: Cache) -> None:
        """Who is attached to a removed region is told, and goes on."""
        from plib_cache._core import remove_region

        cache["a"] = 1
        remove_region(cache.path)
        assert cache.info().retired
        assert "anew" in cache.info().note
        assert cache["a"] == 1
        with Cache("contract", size="8MiB") as fresh:
            assert "a" not in fresh

    @pytest.mark.parametrize("way", ["unlinked", "replaced", "folder removed"])
    def test_removed(self, tmp_path: Path, way: str) -> None:
        """Who asks is told that the file is gone, by whatever means; a move is no removal."""
        folder = tmp_path / "place"
        folder.mkdir(mode=0o700)
        with Cache(path=folder / "region", size="8MiB") as cache:
            assert cache.removed() is False
            if way == "unlinked":
                (folder / "region").unlink()
            elif way == "replaced":
                (folder / "other").touch()
                (folder / "other").rename(folder / "region")
            else:
                shutil.rmtree(folder)
            assert cache.removed() is True
            cache["a"] = 1
            assert cache["a"] == 1
        with pytest.raises(ClosedError):
            cache.removed()

    def test_empty_region_costs_little(self) -> None:
        """An empty region of 1 GiB takes at most 100 MiB."""
        with Cache("large", size="1GiB") as cache:
            assert cache.info().taken <= 100 << 20


def options(cache: Cache) -> dict[str, Any]:
    return {"serializer": cache._options["serializer"], "trust": cache._options["trust"]}


class TestDefault:
    def test_get_cache(self) -> None:
        """One per process, with the name "default"."""
        cache = plib_cache.get_cache()
        assert plib_cache.get_cache() is cache
        assert cache.path.endswith("/default")
        cache["a"] = 1
        cache.close()
        assert plib_cache.get_cache()["a"] == 1

    def test_opened_anew_when_removed(self) -> None:
        """A removed region is not used any more."""
        from plib_cache._core import remove_region

        cache = plib_cache.get_cache()
        remove_region(cache.path)
        assert plib_cache.get_cache() is not cache

    def test_configure(self) -> None:
        """The next get_cache follows it."""
        plib_cache.configure("mine", size="4MiB", trust="data", in_place=False)
        assert plib_cache.get_cache().path.endswith("/mine")
        info = plib_cache.get_cache().info()
        assert (info.size, info.in_place) == (4 << 20, False)

    def test_configure_as_cache(self) -> None:
        """It takes every option of a cache, with the same default."""
        asked = inspect.signature(plib_cache.configure).parameters.values()
        given = list(inspect.signature(Cache.__init__).parameters.values())[1:]
        assert [(p.name, p.default) for p in asked] == [(p.name, p.default) for p in given]

    def test_threads_get_one(self) -> None:
        """Threads that ask together get the same cache."""
        barrier = threading.Barrier(8)
        got: list[Cache] = []

        def ask() -> None:
            barrier.wait()
            got.append(plib_cache.get_cache())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(got)) == 1
