# SPDX-License-Identifier: BSD-3-Clause
"""Many processes against a plain model, and what must hold between them.

Each process owns some keys and knows exactly what is under them; on the keys that all write, every
value proves itself, and counters add up.  The seed is printed; PLIB_CACHE_TEST_SEED repeats it
(each process does the same operations again, though not in the same order among each other).
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

import plib_cache
from plib_cache import Cache

PROCESSES = 4
OPERATIONS = 1500
SEED = int(os.environ.get("PLIB_CACHE_TEST_SEED", random.SystemRandom().randrange(2**32)))


def sealed(source: random.Random, longest: int) -> bytes:
    """A value that proves that it is whole: a checksum, then bytes."""
    body = source.randbytes(source.choice([0, 10, 100, 1000, longest]))
    return zlib.crc32(body).to_bytes(4, "big") + body


def is_sealed(value: bytes) -> bool:
    return zlib.crc32(value[4:]).to_bytes(4, "big") == value[:4]


class Worker:
    """One process: its own keys with their model, and the keys that all share."""

    def __init__(self, cache: Cache, number: int, longest: int, lossy: bool) -> None:
        self.cache = cache
        self.number = number
        self.source = random.Random(f"{SEED}-{number}")
        self.longest = longest
        self.lossy = lossy
        self.model: dict[str, Any] = {}
        self.counted = 0

    def run(self) -> int:
        steps: list[Callable[[], None]] = [
            self.write, self.write, self.read, self.read, self.remove, self.swap, self.extend,
            self.contend, self.contend, self.count, self.many, self.compute, self.walk,
        ]  # fmt: skip
        for _ in range(OPERATIONS):
            self.source.choice(steps)()
        for key in self.model:
            self.compare(key, self.cache.get(key))
        return self.counted

    def key(self) -> str:
        return f"own-{self.number}-{self.source.randrange(30)}"

    def compare(self, key: str, value: Any) -> None:
        """Exactly what was written last; where the cache evicts, also nothing."""
        expected = self.model.get(key)
        if not (self.lossy and value is None):
            assert value == expected, (SEED, self.number, key)

    def write(self) -> None:
        key, value = self.key(), sealed(self.source, self.longest)
        if self.source.random() < 0.3:
            value = [self.source.random(), "text", value[:50]]  # type: ignore[assignment]
        self.cache[key] = value
        self.model[key] = value

    def read(self) -> None:
        key = self.key()
        self.compare(key, self.cache.get(key))

    def remove(self) -> None:
        key = self.key()
        there = self.cache.delete(key)
        assert self.lossy or there is (key in self.model), (SEED, self.number, key)
        self.model.pop(key, None)

    def swap(self) -> None:
        """gets and cas on a key of one's own always succeed."""
        key = self.key()
        found = self.cache.gets(key)
        if found is not None:
            self.compare(key, found[0])
            value = sealed(self.source, self.longest)
            if self.cache.cas(key, value, found[1]):
                self.model[key] = value
            else:
                assert self.lossy, (SEED, self.number, key)

    def extend(self) -> None:
        key = self.key()
        if isinstance(self.model.get(key), bytes) and self.cache.append(key, b"tail"):
            self.model[key] += b"tail"

    def contend(self) -> None:
        """All write the same few keys: whatever is read is whole."""
        key = f"shared-{self.source.randrange(5)}"
        if self.source.random() < 0.5:
            self.cache[key] = sealed(self.source, self.longest)
        elif self.source.random() < 0.1:
            self.cache.delete(key)
        value = self.cache.get(key)
        assert value is None or is_sealed(value), (SEED, self.number, key)

    def count(self) -> None:
        """No count is ever lost."""
        if self.cache.incr("counter", self.number) is not None:
            self.counted += self.number
        else:
            assert self.lossy

    def many(self) -> None:
        keys = [self.key() for _ in range(5)]
        values = {key: sealed(self.source, 500) for key in keys}
        self.cache.set_many(values)
        self.model.update(values)
        found = self.cache.get_many(keys)
        for key in keys:
            self.compare(key, found.get(key))

    def compute(self) -> None:
        key = f"computed-{self.source.randrange(10)}"
        value = self.cache.get_or_compute(key, lambda: key * 3)
        assert value == key * 3
        if self.source.random() < 0.2:
            self.cache.delete(key)

    def walk(self) -> None:
        if self.source.random() < 0.05:
            keys = [key for key in self.cache if str(key).startswith(f"own-{self.number}-")]
            assert len(keys) == len(set(keys)), (SEED, self.number)
            assert set(keys) <= self.model.keys()
            assert self.lossy or len(keys) == len(self.model), (SEED, self.number)


@pytest.mark.parametrize(
    ("size", "longest", "lossy"),
    [("64MiB", 20_000, False), ("4MiB", 60_000, True), ("8MiB", 250_000, True)],
    ids=["roomy", "evicting", "large"],
)
def test_many_processes(fork: Any, size: str, longest: int, lossy: bool) -> None:
    """Nothing is lost, mixed or left over, whoever writes what at the same time."""
    print(f"PLIB_CACHE_TEST_SEED={SEED}")
    with Cache("many", size=size, strict=True) as cache:
        cache["counter"] = 0

        def work(number: int) -> int:
            with Cache("many", strict=True) as own:
                return Worker(own, number, longest, lossy).run()

        counted = [child.result() for child in [fork(work, i) for i in range(1, PROCESSES + 1)]]
        if not lossy:
            assert cache["counter"] == sum(counted), SEED
        assert cache.check() == [], SEED
        assert all(is_sealed(v) for k, v in cache.items() if str(k).startswith("shared"))


def test_killed_workers(fork: Any, eventually: Any) -> None:
    """Processes that are killed at any moment harm nobody: the others go on, and all is sound."""
    print(f"PLIB_CACHE_TEST_SEED={SEED}")
    source = random.Random(SEED)
    with Cache("storm", size="8MiB", strict=True) as cache:

        def work(number: int) -> None:
            worker = Worker(cache, number, 50_000, lossy=True)
            while True:
                worker.run()

        for number in range(12):
            victims = [fork(work, number), fork(work, 100 + number)]
            target = cache.stats().sets + source.randrange(50, 400)
            eventually(lambda target=target: cache.stats().sets >= target)
            for victim in victims:
                victim.kill()
                victim.reap()
            cache["after"] = number
            assert cache["after"] == number
            assert cache.check() == [], SEED
        for key, value in cache.items():
            assert not str(key).startswith("shared") or is_sealed(value), SEED


def test_decorated_functions(fork: Any) -> None:
    """Each result is computed at least once, and all see the same."""

    @plib_cache.cache
    def function(x: int) -> list[int]:
        return [x] * x

    def work() -> int:
        for i in range(300):
            assert function(i % 60) == [i % 60] * (i % 60)
        return 1

    children = [fork(work) for _ in range(PROCESSES)]
    assert [child.result() for child in children] == [1] * PROCESSES
    info = function.cache_info()
    assert (info.misses, info.currsize) == (60, 60)
    assert info.hits == PROCESSES * 300 - 60
