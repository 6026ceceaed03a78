# SPDX-License-Identifier: BSD-3-Clause
"""What Python pays for an operation beside the cheapest calls that it can make to C at all.

They are methods of a C type of the same convention and with the same arguments (calls.c): one does
nothing, which is the least that any call takes, and one makes what the operation must make.  The
goal is held against the first.  Of ``get_many`` the first are as many calls as there are keys.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ExtensionFileLoader
from typing import Any

import plib_cache
from benchmarks.bench import MIB, Bench
from benchmarks.figures import Goal, Line, compared
from benchmarks.programs import BrokenError, build
from benchmarks.python_rows import KEYS, VALUE, answer, batches, hits, loops, quiet, together
from benchmarks.timing import Work, timed
from benchmarks.turns import Candidate, take_turns

NOTHING = "a C call that does nothing"
GOAL = Goal(most=2)


def load() -> Any:
    """The methods of calls.c, built for this interpreter."""
    made = build("calls", python_include=sysconfig.get_path("include"))
    loader = ExtensionFileLoader("calls", str(made))
    spec = importlib.util.spec_from_file_location("calls", made, loader=loader)
    if spec is None:
        raise BrokenError(f"{made} is no module")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module.Calls()


def lines_of(work: str, candidates: dict[str, Candidate], rounds: int) -> list[Line]:
    """A line for each candidate beside "ours"; the goal is that of the one that does nothing."""
    samples = take_turns(candidates, rounds)
    return [
        compared(
            work, peer, samples["ours"], samples[peer], direction="ours / theirs",
            goal=GOAL if NOTHING in peer else None,
        )
        for peer in candidates if peer != "ours"
    ]  # fmt: skip


@contextlib.contextmanager
def stores(bench: Bench) -> Iterator[tuple[plib_cache.Cache, Any]]:
    """A cache, and the calls that keep nothing."""
    calls = load()
    with plib_cache.Cache(path=bench.fresh("region"), size=64 * MIB) as cache, quiet(bench):
        yield cache, calls


def plain(bench: Bench, work: str, operation: str) -> list[Line]:
    """``get`` or ``set`` of 128 bytes, 1,000 hot keys."""
    with stores(bench) as (cache, calls):
        calls.take(KEYS[0], VALUE)

        def timed_call(get: Callable[[str], object], put: Callable[[str, bytes], object]) -> Any:
            return timed(loops(get, put)[operation], bench.scale)

        def timed_nothing(call: Callable[..., object]) -> Candidate:
            def gets(keys: Sequence[str]) -> None:
                for key in keys:
                    call(key)

            def sets(keys: Sequence[str]) -> None:
                for key in keys:
                    call(key, VALUE)

            return timed(Work(gets if operation == "get" else sets, KEYS), bench.scale)

        copies = "a C call that makes 128 B" if operation == "get" else "a C call that copies 128 B"
        candidates = {
            "ours": timed_call(cache.get, cache.set),
            NOTHING: timed_nothing(calls.nothing),
            copies: timed_call(calls.copy, calls.take),
        }
        return lines_of(work, candidates, bench.rounds)


def get_many(bench: Bench, work: str) -> list[Line]:
    """Batches of 100 hot keys."""
    calls = load()
    with quiet(bench), batches(bench, len(KEYS)) as (cache, made):
        calls.take(KEYS[0], VALUE)
        if calls.copies(made[3]) != cache.get_many(made[3]):
            raise BrokenError("the calls that keep nothing do not give what a cache gives")

        def singly(batches: Sequence[list[str]]) -> None:
            call = calls.nothing
            for batch in batches:
                for key in batch:
                    call(key)

        def at_once(batches: Sequence[list[str]]) -> None:
            for batch in batches:
                calls.copies(batch)

        candidates = {
            "ours": together(bench, cache, made),
            f"100 times {NOTHING}": timed(Work(singly, made), bench.scale),
            "a C call that makes the dict": timed(Work(at_once, made), bench.scale),
        }
        return lines_of(work, candidates, bench.rounds)


def decorator(bench: Bench, work: str) -> list[Line]:
    """Hits of a decorated function of one int that returns 128 bytes."""
    with stores(bench) as (cache, calls):
        candidates = {
            "ours": hits(bench, plib_cache.cache(cache=cache)(answer)),
            NOTHING: hits(bench, calls.nothing),
            "a C call that makes 128 B": hits(bench, calls.copy),
        }
        return lines_of(work, candidates, bench.rounds)
