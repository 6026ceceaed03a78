# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache bench``: what operations cost on this machine, beside what else is there.

A rough picture for a user.  ``make bench`` in the project's sources measures with care.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

import plib_cache
from plib_cache._core import remove_region
from plib_cache.cli.options import Json
from plib_cache.cli.places import trial_folder
from plib_cache.cli.show import as_json, columns, console, progress, say

_KEYS = 1000  # that the operations go round over
_CALLS = 100  # of a decorated function, between two looks at the clock
_PEERS = ("diskcache", "lmdb", "joblib")


class Row(NamedTuple):
    """How often a second something can be done."""

    what: str  # "get", "set" or "decorated call"
    who: str
    per_second: float


Operation = Callable[[str], Any]


class _Store(NamedTuple):
    who: str
    get: Operation
    put: Operation


def bench(
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.5, max=60, help="How long it may take, about.")
    ] = 4.0,
    json: Json = False,
) -> None:
    """Measure get, set and a decorated call on this machine.

    Beside it dict and functools.lru_cache are measured, and diskcache, lmdb and joblib where they
    are installed.  Values have 200 bytes, every call is a hit, and one process does it all.
    Nothing else should run meanwhile.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plib-cache-bench-")))
        cache = stack.enter_context(_cache())
        tasks = list(_tasks(cache, folder, stack))
        rows = []
        with progress("measuring", len(tasks)) as step:
            for what, who, loop in tasks:
                count = _CALLS if what == "decorated call" else _KEYS
                rows.append(Row(what, who, _measured(loop, count, seconds / len(tasks))))
                step(1)
    if json:
        as_json({"value_bytes": len(_VALUE), "rows": [row._asdict() for row in rows]})
    else:
        _show(rows)


_VALUE = "x" * 200
_ASKED = [f"key:{i}" for i in range(_KEYS)]


@contextmanager
def _cache() -> Iterator[plib_cache.Cache]:
    """A cache that is gone afterwards."""
    with trial_folder() as folder:
        path = str(folder / f"bench-{os.getpid()}")
        try:
            with plib_cache.Cache(path=path, size="64MiB") as cache:
                yield cache
        finally:
            if os.path.lexists(path):
                remove_region(path)


def _tasks(
    cache: plib_cache.Cache, folder: Path, stack: ExitStack
) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """What is measured: a name, who does it, and a loop over all keys."""
    known: dict[str, str] = {}
    stores = [
        _Store("plib_cache", cache.get, lambda key: cache.set(key, _VALUE)),
        _Store("dict", known.get, lambda key: known.__setitem__(key, _VALUE)),
    ]
    for name in _PEERS:
        if name in _OPENERS and importlib.util.find_spec(name) is not None:
            stores.append(_OPENERS[name](folder, stack))
    for store in stores:
        yield "set", store.who, functools.partial(_each, store.put)
    for store in stores:
        yield "get", store.who, functools.partial(_each, store.get)
    decorated: dict[str, Operation] = {
        "plib_cache": plib_cache.cache(cache=cache)(_slow),
        "functools.lru_cache": functools.lru_cache(maxsize=None)(_slow),
    }
    if importlib.util.find_spec("joblib") is not None:
        import joblib

        memory = joblib.Memory(folder / "joblib", verbose=0)
        decorated["joblib.Memory"] = memory.cache(_slow)
    for who, function in decorated.items():
        function(_ASKED[0])
        yield "decorated call", who, functools.partial(_again, function)


def _slow(key: str) -> str:
    return _VALUE


def _each(operation: Operation) -> None:
    for key in _ASKED:
        operation(key)


def _again(function: Operation) -> None:
    for _ in range(_CALLS):
        function(_ASKED[0])


def _diskcache(folder: Path, stack: ExitStack) -> _Store:
    import diskcache  # type: ignore[import-untyped,unused-ignore]

    opened = stack.enter_context(diskcache.Cache(str(folder / "diskcache")))
    return _Store("diskcache", opened.get, lambda key: opened.set(key, _VALUE))


def _lmdb(folder: Path, stack: ExitStack) -> _Store:
    import lmdb  # type: ignore[import-not-found,import-untyped,unused-ignore]

    opened = stack.enter_context(lmdb.open(str(folder / "lmdb"), map_size=64 << 20, sync=False))

    def get(key: str) -> object:
        with opened.begin() as reading:
            return reading.get(key.encode())

    def put(key: str) -> None:
        with opened.begin(write=True) as writing:
            writing.put(key.encode(), _VALUE.encode())

    return _Store("lmdb (no sync)", get, put)


_OPENERS: dict[str, Callable[[Path, ExitStack], _Store]] = {"diskcache": _diskcache, "lmdb": _lmdb}


def _measured(loop: Callable[[], None], count: int, seconds: float) -> float:
    """How often a second, in the best of the rounds that there is time for; one at least."""
    now = time.perf_counter()
    end, best = now + seconds, float("inf")
    while now < end:
        begun = time.perf_counter()
        loop()
        now = time.perf_counter()
        best = min(best, now - begun)
    return count / best


def _show(rows: list[Row]) -> None:
    numbers = ("a second", "beside plib_cache")
    table = columns("On this machine", ("", "by", *numbers), right=numbers)
    ours = {row.what: row.per_second for row in rows if row.who == "plib_cache"}
    for row in rows:
        beside = f"{row.per_second / ours[row.what]:.2g}"
        table.add_row(row.what, row.who, f"{row.per_second:,.0f}", beside)
    console().print(table)
    missing = [name for name in _PEERS if importlib.util.find_spec(name) is None]
    if missing:
        say(f"not installed, so not measured: {', '.join(missing)}")
    say("dict and lru_cache serve one process only; the others any number of them.")
