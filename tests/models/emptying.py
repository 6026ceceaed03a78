# SPDX-License-Identifier: BSD-3-Clause
"""Whose task it is to free a run whose last living entry goes while the run is being sealed.

``empty-run``: two writers take their entries out of a run while its owner seals it.  The run is
freed, once, by whoever finds it sealed and without life; and never while an entry lives.
"""

from __future__ import annotations

from .explore import Program
from .model import EVERYWHERE, REORDERED, WEAK, Model
from .words import Broken, Thread, acq, fence_full, note, put_rel, put_rlx, see, swap

ENTRIES = 2


def free_dead(bug: str, me: str) -> Thread:
    """evict.c: evict_run of mode EVICT_DEAD: win, is_empty, free_run."""
    if bug == "freed-without-winning":
        head = yield acq("head")
        if head != "SEALED":
            return
    else:
        won = yield swap("head", "SEALED", me)
        if not won:
            return
    dead = yield acq("dead")
    if dead < ENTRIES:
        yield put_rel("head", "SEALED")
        return
    freed = yield see("freed")
    if freed:
        raise Broken("freed twice")
    yield note("freed", 1)
    yield put_rel("head", "FREE")


def owner(bug: str) -> Thread:
    """run.c: seal; at the end of the call, call.c: call_leave_busy; evict.c: evict_emptied."""
    yield put_rel("head", "SEALED")
    if bug != "no-fence-in-seal":
        yield fence_full()
    dead = yield acq("dead")
    if dead == ENTRIES:
        yield from free_dead(bug, "owner")


def deleter(bug: str, me: str) -> Thread:
    """run.c: run_dead, of an entry whose slot this one has swapped; evict.c: evict_emptied."""
    dead = yield acq("dead")
    while True:
        if bug == "counted-plainly":
            yield put_rlx("dead", dead + 1)
            break
        won = yield swap("dead", dead, dead + 1)
        if won:
            break
        dead = yield acq("dead")
    if bug != "no-fence-in-run_dead":
        yield fence_full()
    head = yield acq("head")
    if head == "SEALED" and dead + 1 == ENTRIES:
        yield from free_dead(bug, me)


def promise(words: dict[str, object], results: dict[str, object]) -> str | None:
    return None if words["head"] == "FREE" else f"an empty run is left as {words['head']}"


def build(bug: str) -> Program:
    return Program(
        words={"head": "OPEN", "dead": 0},
        threads={
            "owner": lambda: owner(bug),
            "deleter 1": lambda: deleter(bug, "deleter 1"),
            "deleter 2": lambda: deleter(bug, "deleter 2"),
        },
        notes={"freed": 0},
        promise=promise,
    )


MODELS = [
    Model(
        "empty-run",
        "run_dead; seal; evict_emptied, is_empty",
        build,
        {
            "no-fence-in-run_dead": WEAK,
            "no-fence-in-seal": REORDERED,
            "counted-plainly": EVERYWHERE,
            "freed-without-winning": EVERYWHERE,
        },
    )
]
