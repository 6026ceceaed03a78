# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of arrays by reference share with the processes that they start."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from plib_cache import Cache

N = 100_000
BYTES = 8 * N


@functools.cache
def cache(path: str, in_place: bool = True) -> Cache:
    """The cache at a path, opened once in a process."""
    return Cache(path=path, size="64MiB", in_place=in_place)


def put(path: str, key: str, value: Any) -> Any:
    """The value, stored, and read in place such that it goes by reference."""
    cache(path).set(key, value)
    return cache(path).get(key, copy="shared")


def pickled(array: Any) -> bytes:
    """What multiprocessing sends of it."""
    return bytes(ForkingPickler.dumps(array))


def where(array: Any) -> tuple[int, int]:
    """The inode and the offset of the file whose memory an array lies in; (0, 0): in no file."""
    return file_at(array.__array_interface__["data"][0])


def file_at(address: int) -> tuple[int, int]:
    """The same, of an address."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            span, _, offset, _, inode = line.split()[:5]
            begin, end = (int(part, 16) for part in span.split("-"))
            if begin <= address < end:
                found = int(inode), int(offset, 16) + address - begin
                return found if found[0] else (0, 0)
    raise AssertionError("an array lies nowhere")


def look(array: Any) -> tuple[int, int, float, bool]:
    """Where it lies, and what it is."""
    return (*where(array), float(array.sum()), bool(array.flags.writeable))


def kind(array: Any) -> tuple[str, float]:
    """Its real type, and what it is."""
    return type(array).__name__, float(array.sum())


def part(array: Any) -> Any:
    """Most of it, backwards."""
    return array[: N // 4 - 1 : -2]


def same(value: Any) -> Any:
    """It."""
    return value


@dataclasses.dataclass
class Pair:
    """Something of the user's that holds arrays."""

    left: Any
    right: dict[str, list[Any]]


def both(pair: Pair) -> tuple[Any, Any]:
    """Where both lie."""
    return where(pair.left), where(pair.right["a"][0])


def computed(path: str, key: str, number: float, fate: str) -> Any:
    """A result that the worker itself has stored; then something happens to its key."""
    array = put(path, key, np.full(N, number))
    befall(path, key, fate)
    return [array]


def overwrite(path: str, times: int = 2) -> None:
    """Store several times what the pool holds, so that whatever may be evicted is."""
    here = cache(path)
    value = bytes(100_000)
    for i in range(times * here.info().pool // len(value)):
        here.set(f"filler {i}", value)


def befall(path: str, key: str, fate: str) -> None:
    """What may happen to a key."""
    here = cache(path)
    if fate == "deleted":
        del here[key]
    elif fate == "replaced":
        here.set(key, np.zeros(N))
    elif fate == "expired":
        here.touch(key, expire=0)
    elif fate == "cleared":
        here.clear()
    elif fate == "evicted":
        overwrite(path)


def sends(end: Connection, path: str, fate: str) -> None:
    """Sends an array, forgets it, and lets something happen to its key; ends when told to."""
    end.send_bytes(ForkingPickler.dumps(put(path, "result", np.arange(float(N)))))
    befall(path, "result", fate)
    end.send_bytes(b"it has happened")
    end.recv_bytes()


def dies(end: Connection, path: str) -> None:
    """Sends an array and is killed."""
    end.send_bytes(ForkingPickler.dumps(put(path, "result", np.arange(float(N)))))
    os.kill(os.getpid(), signal.SIGKILL)


def puts(queue: Any, path: str) -> None:
    """The last thing that a process does is to send a result whose key is gone."""
    queue.put(computed(path, "result", 7.0, "deleted"))


def copies_only(path: str) -> None:
    """This process reads nothing in place from now on."""
    assert not cache(path, in_place=False).info().in_place


def context(method: str) -> Any:
    """How processes are started."""
    return multiprocessing.get_context(method)


def lease_of(array: Any) -> Any:
    """The lease over which an array lies."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array
