# SPDX-License-Identifier: BSD-3-Clause
"""What figures become with size: values from 4 KiB to 256 MiB, and gets among ever more records.

These rows make curves and have no goals: those belong to rows of one size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import plib_cache
from benchmarks.bench import MIB, Bench, module, not_measured
from benchmarks.figures import Line, compared
from benchmarks.large import a_array, calm, region, repeated
from benchmarks.large_peers import (
    DISKCACHE,
    MEMCPY,
    RAY_RECYCLED,
    REDIS,
    diskcache,
    memcpy,
    ray_recycled,
    ray_session,
    redis,
    redis_server,
)
from benchmarks.large_reading import NPY, RAY
from benchmarks.native_large import random_gets
from benchmarks.neighbour import Neighbour
from benchmarks.programs import BrokenError, MissingError
from benchmarks.turns import take_turns

SIZES = [4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20]
ROOM = 4  # values that a store has room for
SLOW = 16 * MIB  # from here on one call is a sample, and few make a series
SLOW_ROUNDS = 5
RECORDS = [10_000, 100_000, 1_000_000, 10_000_000]

Calls = dict[str, Callable[[], object]]
PUTS = {MEMCPY: memcpy, RAY_RECYCLED: ray_recycled, REDIS: redis, DISKCACHE: diskcache}


def records(bench: Bench, work: str) -> list[Line]:
    """Random gets in C among ever more records of 128 bytes; the short form has fewer of them."""
    lines: list[Line] = []
    for count in RECORDS if bench.full else RECORDS[:-1]:
        for line in random_gets(bench, count, work):
            line.at, line.goal = float(count), None
            lines.append(line)
    return lines


def put(bench: Bench, work: str) -> list[Line]:
    """``set`` of an array under one key, again and again."""
    return _of_each_size(bench, work, _puts)


def get(bench: Bench, work: str) -> list[Line]:
    """``get(copy=False)`` of an array that another process has stored."""
    return _of_each_size(bench, work, _gets)


def _of_each_size(
    bench: Bench,
    work: str,
    enter: Callable[[Bench, int, contextlib.ExitStack, dict[str, str]], Calls],
) -> list[Line]:
    """Lines of ours and the peers at each size; a peer that is missing is told once."""
    sizes = [nbytes for nbytes in SIZES if nbytes <= bench.scaled(SIZES[-1], SIZES[1])]
    bench.room(4 * ROOM * sizes[-1])
    lines, missing = [], dict[str, str]()
    with calm(bench), contextlib.ExitStack() as whole:
        with contextlib.suppress(MissingError):  # one Ray for all sizes
            whole.enter_context(ray_session(ROOM * sizes[-1]))
        for nbytes in sizes:
            slow = nbytes >= SLOW
            with contextlib.ExitStack() as stack:
                calls = enter(bench, nbytes, stack, missing)
                samples = take_turns(
                    {peer: repeated(bench, call, 1 if slow else 4) for peer, call in calls.items()},
                    min(bench.rounds, SLOW_ROUNDS) if slow else bench.rounds,
                )
            for peer in samples:
                if peer != "ours":
                    line = compared(work, peer, samples["ours"], samples[peer])
                    line.at = float(nbytes)
                    lines.append(line)
    return lines + not_measured(work, missing)


def _puts(bench: Bench, nbytes: int, stack: contextlib.ExitStack, missing: dict[str, str]) -> Calls:
    array = a_array(nbytes)
    cache = stack.enter_context(_region(bench, nbytes))
    calls: Calls = {"ours": lambda: cache.set("array", array)}
    for peer, enter in PUTS.items():
        try:
            calls[peer] = stack.enter_context(enter(bench, array))
        except MissingError as error:
            missing[peer] = str(error)
    return calls


@contextlib.contextmanager
def _region(bench: Bench, nbytes: int) -> Iterator[plib_cache.Cache]:
    """A region with room for some values; its memory is given back afterwards."""
    path = bench.fresh("region")
    with region(path, max(64 * MIB, ROOM * nbytes)) as cache:
        yield cache
    path.unlink()


def _gets(bench: Bench, nbytes: int, stack: contextlib.ExitStack, missing: dict[str, str]) -> Calls:
    array = a_array(nbytes)
    cache = stack.enter_context(_region(bench, nbytes))
    neighbour = stack.enter_context(Neighbour())
    neighbour.ask("store_array", cache.info().path, max(64 * MIB, ROOM * nbytes), nbytes)
    if not (cache.get("array", copy=False) == 7.0).all():
        raise BrokenError("the array that the neighbour has stored is another one")
    calls: Calls = {"ours": lambda: cache.get("array", copy=False)}
    for peer, enter in {NPY: _npy, RAY: _ray, REDIS: _redis, DISKCACHE: _diskcache}.items():
        try:
            calls[peer] = stack.enter_context(enter(bench, array))
        except MissingError as error:
            missing[peer] = str(error)
    return calls


@contextlib.contextmanager
def _npy(bench: Bench, array: Any) -> Iterator[Callable[[], object]]:
    """A file on tmpfs, mapped."""
    file = bench.fresh("array").with_suffix(".npy")
    numpy = module("numpy")
    numpy.save(file, array)
    yield lambda: numpy.load(file, mmap_mode="r")
    file.unlink()


@contextlib.contextmanager
def _ray(bench: Bench, array: Any) -> Iterator[Callable[[], object]]:
    """What a worker of Ray has made."""
    with ray_session(ROOM * array.nbytes) as session:
        made = session.remote(lambda n: module("numpy").full(n, 7.0)).remote(len(array))
        session.get(made).max()
        yield lambda: session.get(made)


@contextlib.contextmanager
def _redis(bench: Bench, array: Any) -> Iterator[Callable[[], object]]:
    """The elements as bytes, through a unix socket, and an array around them."""
    library, numpy = module("redis"), module("numpy")
    with redis_server(bench) as address:
        client = library.Redis(unix_socket_path=address)
        client.set("array", array.data.cast("B"))
        yield lambda: numpy.frombuffer(client.get("array"), array.dtype)
        client.close()


@contextlib.contextmanager
def _diskcache(bench: Bench, array: Any) -> Iterator[Callable[[], object]]:
    """Its pickle, from a file on tmpfs."""
    with module("diskcache").Cache(str(bench.fresh("diskcache"))) as cache:
        cache.set("array", array)
        yield lambda: cache.get("array")
