# SPDX-License-Identifier: BSD-3-Clause
"""The network: what a hit in a tier costs, and what the loss of a node in the middle of load."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plib_cache
from benchmarks.bench import MIB, Bench, module
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.programs import ROOT, BrokenError, MissingError
from benchmarks.python_rows import KEYS, VALUE, quiet
from benchmarks.timing import Work, timed
from benchmarks.turns import take_turns
from plib_cache.remote.open import close_all

BARE = "pymemcache"
HIT_MOST = 1.3
# Of a node that is lost; the limits are those that ``remote=`` has by itself.
WORST_MS = 200 + 50
BACK_S = 6.0
LOSSES = 3
LOST = 1
PAUSE_S = 0.001  # between two calls
HANG_S = 60.0

# ---- a hit


@dataclass(frozen=True)
class Variant:
    """A cache with a tier: what its URL says, and whether values are signed."""

    name: str
    options: str
    signed: bool = False
    goal: Goal | None = None


VARIANTS = [
    Variant("", "prefix=a", goal=Goal(most=HIT_MOST)),
    Variant(", signed", "prefix=b", signed=True),
    Variant(", not kept on the node", "prefix=c&promote=0"),
]


@contextlib.contextmanager
def tiered(bench: Bench, address: Path, variant: Variant, server: int) -> Iterator[Work]:
    """Gets that all find their value on the server, for the node has just forgotten it."""
    with contextlib.ExitStack() as stack:
        if variant.signed:
            stack.enter_context(_environment("PLIB_CACHE_KEY", "a key that all nodes share"))
        url = f"memcached://{address}?{variant.options}"
        cache: Any = plib_cache.Cache(path=bench.fresh("region"), size=64 * MIB, remote=url)
        stack.enter_context(cache)
        for key in KEYS:
            cache.set(key, VALUE)
        if not cache.wait_remote(60):
            raise BrokenError("what was stored did not arrive")

        def gets(keys: Sequence[str]) -> None:
            cache.clear()
            get = cache.get
            for key in keys:
                get(key)

        yield Work(gets, KEYS, server)
        counted = cache.stats().remote
        if counted.misses or not counted.hits:
            raise BrokenError(f"{counted.misses} gets did not find their value on the server")


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def hit(bench: Bench, work: str) -> list[Line]:
    """128 bytes that a server has and the node has not, against pymemcache's own ``get``."""
    library = module("pymemcache.client.base")
    with quiet(bench), bench.memcached() as address, contextlib.ExitStack() as stack:
        client = library.Client(str(address))
        stack.callback(client.close)
        stack.callback(close_all)
        for key in KEYS:
            client.set(key, VALUE, noreply=False)
        server = int(client.stats()[b"pid"])

        def bare(keys: Sequence[str]) -> None:
            get = client.get
            for key in keys:
                get(key)

        works = {BARE: Work(bare, KEYS, server)}
        for variant in VARIANTS:
            works[variant.name] = stack.enter_context(tiered(bench, address, variant, server))
        samples = take_turns(
            {name: timed(made, bench.scale) for name, made in works.items()}, bench.rounds
        )
    return [
        compared(work + one.name, BARE, samples[one.name], samples[BARE],
                 direction="ours / theirs", goal=one.goal)
        for one in VARIANTS
    ]  # fmt: skip


# ---- a node is lost


@dataclass
class Lost:
    """What several losses of a node were like, for those who were left."""

    worst: list[float] = field(default_factory=list)  # ms, of each
    back: list[float] = field(default_factory=list)  # s
    errors: int = 0
    calls: int = 0
    calm: float = 0.0  # ms: the longest call while nothing was lost
    ratios: dict[str, list[float]] = field(default_factory=dict)

    def note(self, tallies: Sequence[dict[str, Any]], when: str = "") -> float:
        """Add what several callers did for a while; their longest call, ms."""
        found, missed = (sum(one[name] for one in tallies) for name in ("found", "missed"))
        if when:
            self.ratios.setdefault(when, []).append(found / max(1, found + missed))
        self.errors += sum(len(one["errors"]) for one in tallies)
        self.calls += sum(one["calls"] for one in tallies)
        return max(float(one["worst"]) for one in tallies) * 1e3

    def lines(self, work: str) -> list[Line]:
        """The worst of them, against what is promised."""
        told = ", ".join(f"{when} {100 * min(all_):.1f} %" for when, all_ in self.ratios.items())
        worst = Line(f"{work}, the longest call", unit="ms", ours=Spread.of([max(self.worst)]),
                     goal=Goal(most=WORST_MS, unit="ms"))  # fmt: skip
        worst.facts.append(
            f"{len(self.worst)} losses, {self.calls:,} calls; the longest one while nothing was "
            f"lost took {self.calm:.0f} ms"
        )
        back = Line(f"{work}, until all are hits again", unit="s",
                    ours=Spread.of([max(self.back)]), goal=Goal(most=BACK_S, unit="s"))  # fmt: skip
        back.facts.append(f"hits, at the least: {told}")
        errors = Line(f"{work}, errors", unit="calls", ours=Spread.of([self.errors]),
                      goal=Goal(most=0, unit="calls"))  # fmt: skip
        return [worst, back, errors]


def loss(bench: Bench, work: str) -> list[Line]:
    """Two and three nodes that share memcached servers lose one of them, in the middle of load."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    machines, nodes = module("machines"), module("remote_nodes")
    lines = []
    for n in (2, 3):
        for how in ("killed", "cut"):
            try:
                made = machines.Machines(n)
            except machines.UnavailableError as error:
                raise MissingError(str(error)) from None
            folder = bench.fresh("nodes")
            folder.mkdir()
            with made, contextlib.closing(nodes.RemoteNodes(made, folder, "", PAUSE_S)) as one:
                lost = _losses(bench, one, len(nodes.KEYS), how)
            lines += lost.lines(f"{work}, {n} nodes, {_HOW[how]}")
    return lines


_HOW = {"killed": "its server is killed", "cut": "no packet comes through"}


def _losses(bench: Bench, nodes: Any, keys: int, how: str) -> Lost:
    lost, everybody = Lost(), range(nodes.n)
    left = [at for at in everybody if at != LOST]

    def note(when: str = "", seconds: float = 0.0) -> float:
        """Let so much time pass, and note what those who are left did since the last time."""
        time.sleep(seconds * bench.scale)
        return lost.note([nodes.ask(at, "tally") for at in left], when)

    def all_found() -> float:
        began = time.monotonic()
        while any(nodes.ask(at, "found") < keys for at in everybody):
            if time.monotonic() - began > HANG_S:
                raise BrokenError("what was lost does not come back")
            time.sleep(0.02)
        return time.monotonic() - began

    for _ in range(min(LOSSES, bench.rounds)):
        all_found()
        note()
        lost.calm = max(lost.calm, note("before", seconds=1))
        nodes.lose(LOST, how)
        worst = note("meanwhile", seconds=2)
        nodes.bring_back(LOST, how)
        lost.back.append(all_found())
        lost.worst.append(max(worst, note("on return")))
        note("after", seconds=1)
    return lost
