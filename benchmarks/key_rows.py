# SPDX-License-Identifier: BSD-3-Clause
"""Keys of large arguments: what a call pays before it is known whether it is a hit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.bench import Bench, module
from benchmarks.figures import Goal, Line, compared
from benchmarks.large import a_array, array_bytes, calm, repeated
from benchmarks.programs import BrokenError
from benchmarks.turns import take_turns
from plib_cache import keys

STRINGS = 100_000


def key_of(argument: Any) -> bytes:
    """The key by content of a call with one argument."""
    return keys.content_args_digest((argument,))


def beside_joblib(bench: Bench, work: str, peer: str, make: Callable[[], Any], goal: Goal) -> Line:
    """The key of what ``make`` returns, against ``joblib.hash`` of it."""
    theirs, argument = module("joblib").hash, make()
    if key_of(argument) != key_of(make()):
        raise BrokenError("the key of an equal argument is another one")
    samples = take_turns(
        {
            "ours": repeated(bench, lambda: key_of(argument)),
            "joblib.hash": repeated(bench, lambda: theirs(argument)),
        },
        bench.rounds,
    )
    return compared(work, peer, samples["ours"], samples["joblib.hash"], goal=goal)


def array(bench: Bench, work: str) -> list[Line]:
    """An array of 64 MB, by as many threads as there are processors."""
    nbytes = array_bytes(bench)
    with calm(bench):
        return [beside_joblib(bench, work, "joblib.hash", lambda: a_array(nbytes), Goal(least=20))]


def frame(bench: Bench, work: str) -> list[Line]:
    """A column of strings, as pandas keeps it by itself, and as Python's objects."""
    cells = [f"string number {n}" for n in range(bench.scaled(STRINGS, 100))]
    pandas, lines = module("pandas"), []
    with calm(bench):
        for named, dtype in [("pandas' own", None), ("objects", object)]:
            make = partial(pandas.DataFrame, {"text": cells}, dtype=dtype)
            peer = f"joblib.hash, {named}"
            lines.append(beside_joblib(bench, work, peer, make, Goal(least=10)))
    return lines
