# SPDX-License-Identifier: BSD-3-Clause
"""Python, one process on one processor: get, set and batches, against what else one imports."""

from __future__ import annotations

import contextlib
import functools
import gc
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import plib_cache
from benchmarks.bench import MIB, Bench, module, not_measured
from benchmarks.figures import Goal, Line, compared
from benchmarks.programs import BrokenError, MissingError
from benchmarks.timing import Work, timed
from benchmarks.turns import Candidate, take_turns

KEYS = [f"record--{n:08x}" for n in range(1000)]
RAW_KEYS = [key.encode() for key in KEYS]
VALUE = b"v" * 128


def loops(
    get: Callable[[str], object], put: Callable[[str, bytes], object], server: int = 0
) -> dict[str, Work]:
    """The two loops of a store with plain functions; server: the process that does the work."""

    def gets(keys: Sequence[str]) -> None:
        for key in keys:
            get(key)

    def sets(keys: Sequence[str]) -> None:
        for key in keys:
            put(key, VALUE)

    sets(KEYS)
    if get(KEYS[7]) != VALUE:
        raise BrokenError(f"{get} does not give back what was stored")
    return {"get": Work(gets, KEYS, server), "set": Work(sets, KEYS, server)}


@contextlib.contextmanager
def ours(bench: Bench) -> Iterator[dict[str, Work]]:
    """plib_cache."""
    with plib_cache.Cache(path=bench.fresh("region"), size=64 * MIB) as cache:
        yield loops(cache.get, cache.set)


@contextlib.contextmanager
def py_lmdb(bench: Bench) -> Iterator[dict[str, Work]]:
    """One transaction for each operation, nothing synchronised; keys that are bytes already."""
    lmdb = module("lmdb")
    env = lmdb.open(
        str(bench.fresh("lmdb")),
        map_size=64 * MIB, sync=False, metasync=False, writemap=True, map_async=True,
    )  # fmt: skip
    begin = env.begin

    def gets(keys: Sequence[bytes]) -> None:
        for key in keys:
            with begin() as transaction:
                transaction.get(key)

    def sets(keys: Sequence[bytes]) -> None:
        for key in keys:
            with begin(write=True) as transaction:
                transaction.put(key, VALUE)

    sets(RAW_KEYS)
    with begin() as transaction:
        if transaction.get(RAW_KEYS[7]) != VALUE:
            raise BrokenError("py-lmdb does not give back what was stored")
    yield {"get": Work(gets, RAW_KEYS), "set": Work(sets, RAW_KEYS)}
    env.close()


@contextlib.contextmanager
def pylibmc(bench: Bench) -> Iterator[dict[str, Work]]:
    """A memcached server on the same processor."""
    library = module("pylibmc")
    with bench.memcached() as address:
        client = library.Client([str(address)])
        said = client.get_stats()[0][1]
        pid = {str(key): value for key, value in said.items()}["pid"]
        yield loops(client.get, client.set, int(pid))
        client.disconnect_all()


@contextlib.contextmanager
def diskcache(bench: Bench) -> Iterator[dict[str, Work]]:
    """Its plain Cache, on tmpfs."""
    with module("diskcache").Cache(str(bench.fresh("diskcache"))) as cache:
        yield loops(cache.get, cache.set)


@contextlib.contextmanager
def pysciqlop(bench: Bench) -> Iterator[dict[str, Work]]:
    """Its plain Cache, on tmpfs."""
    cache = module("pysciqlop_cache").Cache(str(bench.fresh("pysciqlop")))
    yield loops(cache.get, cache.set)
    cache.close()


@contextlib.contextmanager
def plain_dict(bench: Bench) -> Iterator[dict[str, Work]]:
    """No rival: one process's own memory, and the same object each time."""
    own: dict[str, bytes] = {}
    yield loops(own.get, own.__setitem__)


PEERS = {
    "py-lmdb": py_lmdb,
    "pylibmc": pylibmc,
    "diskcache": diskcache,
    "pysciqlop-cache": pysciqlop,
    "dict": plain_dict,
}


@contextlib.contextmanager
def quiet(bench: Bench) -> Iterator[None]:
    """One processor, and no garbage collection in between."""
    gc.collect()
    gc.disable()
    try:
        with bench.on_one_core():
            yield
    finally:
        gc.enable()


def plain(bench: Bench, operation: str, work: str, goals: dict[str, float]) -> list[Line]:
    """``get`` or ``set`` of 128 bytes, 1,000 hot keys; goals: times faster than a peer."""
    missing: dict[str, str] = {}
    with quiet(bench), contextlib.ExitStack() as stack:
        stores = {"ours": stack.enter_context(ours(bench))}
        for peer, enter in PEERS.items():
            try:
                stores[peer] = stack.enter_context(enter(bench))
            except MissingError as error:
                missing[peer] = str(error)
        samples = take_turns(
            {peer: timed(made[operation], bench.scale)
             for peer, made in stores.items()},
            bench.rounds,
        )  # fmt: skip
    wanted = {peer: Goal(least=goals[peer]) if peer in goals else None for peer in PEERS}
    lines = [
        compared(work, peer, samples["ours"], samples[peer], goal=wanted[peer])
        for peer in PEERS
        if peer in samples
    ]
    return lines + [
        line
        for peer, reason in missing.items()
        for line in not_measured(work, {peer: reason}, goal=wanted[peer])
    ]


@contextlib.contextmanager
def batches(bench: Bench, records: int) -> Iterator[tuple[plib_cache.Cache, Sequence[list[str]]]]:
    """A cache of so many records, and batches of 100 of their keys; of many, keys at random."""
    records = max(bench.scaled(records), len(KEYS))
    keys = [f"record--{n:08x}" for n in range(records)]
    if records > len(KEYS):
        chosen = random.Random(7).choices(keys, k=min(records, 200_000))
    else:
        chosen = keys
    made = [chosen[first : first + 100] for first in range(0, len(chosen) - 99, 100)]
    size = 64 * MIB + records * 300
    with plib_cache.Cache(path=bench.fresh("region"), size=size) as cache:
        for first in range(0, records, 10_000):
            cache.set_many(dict.fromkeys(keys[first : first + 10_000], VALUE))
        if cache.get_many(made[3]) != dict.fromkeys(made[3], VALUE):
            raise BrokenError("get_many does not give what was stored")
        yield cache, made


def together(bench: Bench, cache: plib_cache.Cache, made: Sequence[list[str]]) -> Candidate:
    """One call for each batch."""

    def loop(batches: Sequence[list[str]]) -> None:
        for batch in batches:
            cache.get_many(batch)

    return timed(Work(loop, made), bench.scale)


def get_many(bench: Bench, work: str, records: int = len(KEYS)) -> list[Line]:
    """One call for 100 keys against 100 calls."""
    with quiet(bench), batches(bench, records) as (cache, made):

        def singly(batches: Sequence[list[str]]) -> None:
            get = cache.get
            for batch in batches:
                {key: get(key) for key in batch}

        samples = take_turns(
            {
                "ours": together(bench, cache, made),
                "single": timed(Work(singly, made), bench.scale),
            },
            bench.rounds,
        )
    return [compared(work, "100 gets", samples["ours"], samples["single"], goal=Goal(least=2))]


def gets_of_threads(bench: Bench, work: Work, count: int) -> Candidate:
    """Gets in a second of so many threads; all together make the same number of them."""
    passes = bench.scaled(40) // count or 1

    def each() -> None:
        for _ in range(passes):
            work.loop(work.items)

    def sample() -> float:
        workers = [threading.Thread(target=each) for _ in range(count)]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return count * passes * len(work.items) / (time.perf_counter() - began)

    return sample


def threads(bench: Bench, work: str) -> list[Line]:
    """Two threads that get in a loop against one."""
    with ours(bench) as made:
        candidates = {
            "ours": gets_of_threads(bench, made["get"], 2),
            "1 thread": gets_of_threads(bench, made["get"], 1),
        }
        samples = take_turns(candidates, bench.rounds)
    return [
        compared(work, "1 thread", samples["ours"], samples["1 thread"],
                 unit="ops/s", direction="ours / theirs", goal=Goal(least=0.9))
    ]  # fmt: skip


def answer(number: int) -> bytes:
    """What is decorated."""
    return VALUE


def hits(bench: Bench, function: Callable[[int], bytes]) -> Candidate:
    """Calls of a decorated ``answer``, all of them hits."""

    def loop(numbers: Sequence[int]) -> None:
        for number in numbers:
            function(number)

    return timed(Work(loop, range(1000)), bench.scale)


def decorator(bench: Bench, work: str) -> list[Line]:
    """Hits of a decorated function of one int that returns 128 bytes."""
    missing: dict[str, str] = {}
    with quiet(bench), contextlib.ExitStack() as stack:
        made = plib_cache.Cache(path=bench.fresh("region"), size=64 * MIB)
        cache = stack.enter_context(made)
        candidates = {
            "ours": hits(bench, plib_cache.cache(cache=cache)(answer)),
            "lru_cache": hits(bench, functools.lru_cache(maxsize=None)(answer)),
        }
        try:
            disk = module("diskcache").Cache(str(bench.fresh("diskcache")))
            memoized = stack.enter_context(disk).memoize()(answer)
            candidates["diskcache.memoize"] = hits(bench, memoized)
        except MissingError as error:
            missing["diskcache.memoize"] = str(error)
        samples = take_turns(candidates, bench.rounds)
    lines = [
        compared(work, "lru_cache", samples["ours"], samples["lru_cache"],
                 direction="ours / theirs", goal=Goal(most=10))
    ]  # fmt: skip
    goal = Goal(least=20)
    if "diskcache.memoize" in samples:
        other = samples["diskcache.memoize"]
        lines.append(compared(work, "diskcache.memoize", samples["ours"], other, goal=goal))
    return lines + not_measured(work, missing, goal=goal)
