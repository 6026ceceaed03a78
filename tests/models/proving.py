# SPDX-License-Identifier: BSD-3-Clause
"""The proof that a process is dead, from two listings of its threads, while these start others and
exit.

``threads``: a process whose threads start another and exit, one behind the other; the last one
lives.  Somebody lists them, asks each whether it is exiting, and lists them again.  A listing goes
by numbers: when one vanishes that was listed already, the next one is passed over.  Held: a
process of which a thread lives is not held to be dead.
"""

from __future__ import annotations

from .explore import Program
from .model import EVERYWHERE, Model
from .words import Broken, Thread, acq, put_rel

TIDS = 4
RUNS, EXITING = "runs", "exiting"


def process() -> Thread:
    """Each thread starts the next and exits; the last one stays."""
    for tid in range(1, TIDS):
        yield put_rel("threads", ((tid, RUNS), (tid + 1, RUNS)))
        yield put_rel("threads", ((tid, EXITING), (tid + 1, RUNS)))
        yield put_rel("threads", ((tid + 1, RUNS),))


def listing() -> Thread:
    """os_proc.c: list_threads."""
    there: tuple[int, ...] = ()
    while True:
        now = yield acq("threads")
        if len(there) >= len(now):
            return there
        there = (*there, now[len(there)][0])


def prover(bug: str) -> Thread:
    """os_proc.c: os_all_exiting."""
    first = yield from listing()
    for tid in first:
        now = yield acq("threads")
        if (tid, RUNS) in now:
            return
    if bug != "counted-behind-the-second":
        now = yield acq("threads")
    second = first
    if bug != "one-listing":
        second = yield from listing()
    if bug == "counted-behind-the-second":
        now = yield acq("threads")
    if bug != "new-threads-overlooked" and not set(second) <= set(first):
        return
    if bug != "count-not-compared" and (not second or len(now) != len(second)):
        return
    raise Broken("a process with a living thread is held to be dead")


def build(bug: str) -> Program:
    return Program(
        words={"threads": ((1, RUNS),)},
        threads={"process": process, "prover": lambda: prover(bug)},
    )


BUGS = ("one-listing", "new-threads-overlooked", "count-not-compared", "counted-behind-the-second")
SC = EVERYWHERE[:1]
MODELS = [Model("threads", "os_all_exiting, list_threads", build, dict.fromkeys(BUGS, SC), SC)]
