# SPDX-License-Identifier: BSD-3-Clause
"""A place in the table of processes: its tenant dies, somebody proves it, a new tenant moves in and
pins.

``tenants``: two processes prove the death of the first tenant, at their leisure; a new one moves
in, pins a run and reads in it, while an evictor wants that run.  Held: the new tenant is not held
to be dead by a proof about the old one; its pin is respected; a pin that the dead one left keeps
no run.
"""

from __future__ import annotations

from typing import Any

from .explore import Program
from .model import EVERYWHERE, REORDERED, WEAK, Model
from .words import Broken, Thread, acq, fence_full, gone, put_rel, put_rlx, rlx, swap

INC = "incarnation"


def old(bug: str) -> Thread:
    """It dies with a pin."""
    yield put_rlx("pin", "run")
    yield fence_full()


def reap(bug: str) -> Thread:
    """process.c: process_reap_locked."""
    inc = yield acq(INC)
    if inc % 2 == 0:
        return
    dead = yield gone("old")
    if not dead:
        return
    if bug == "incarnation-read-behind-the-proof":
        inc = yield acq(INC)
        if inc % 2 == 0:
            return
    elif inc != 1:
        return  # the proof names the tenant that was read, by its pid: not the old one
    if bug == "raised-by-a-store":
        yield put_rel(INC, inc + 1)
    else:
        yield swap(INC, inc, inc + 1)


def new(bug: str) -> Thread:
    """place.c: take, move_in; index.c: pin; read.c: read_pinned; place.c: process_detach."""
    yield from reap(bug)
    if bug == "pins-cleared-late":
        moved = yield swap(INC, 2, 3)
    else:
        inc = yield acq(INC)
        if inc != 2:
            return "no place"
        if bug != "pins-not-cleared":
            yield put_rlx("pin", 0)
        moved = yield swap(INC, 2, 3)
    if not moved:
        return "no place"
    slot = yield acq("slot")
    if slot == 0:
        return "moved in"
    yield put_rlx("pin", "run")
    if bug == "pins-cleared-late":
        yield put_rlx("pin", 0)
    if bug != "no-fence-in-pin":
        yield fence_full()
    slot = yield acq("slot")
    if slot != 0:
        byte = yield rlx("byte")
        if byte != "A":
            raise Broken(f"read {byte} under a pin")
    yield put_rel("pin", 0)
    return "moved in"


def evictor(bug: str) -> Thread:
    """evict.c: unlink_entry, free_run; pinned.c: pinned."""
    yield swap("slot", "run", 0)
    if bug != "no-fence-before-pins":
        yield fence_full()
    inc = yield acq(INC)
    if inc % 2 == 1 or bug == "pins-of-the-dead-count":
        pin = yield acq("pin")
        if pin == "run":
            return "limbo"
    yield put_rlx("byte", "B")
    return "freed"


def look_again(bug: str) -> Thread:
    """The evictor's next look at the run in limbo, when all is quiet."""
    inc = yield acq(INC)
    pin = yield acq("pin")
    return (
        "limbo"
        if pin == "run" and inc > 1 and (inc % 2 == 1 or bug == "pins-of-the-dead-count")
        else "free"
    )


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    if results["new"] == "moved in" and words[INC] != 3:
        return f"a living tenant is held to be dead: {words[INC]}"
    return "a dead one's pin keeps its run" if results["last"] == "limbo" else None


def build(bug: str) -> Program:
    return Program(
        words={"slot": "run", INC: 1, "pin": 0, "byte": "A"},
        threads={
            "old": lambda: old(bug),
            "new": lambda: new(bug),
            "reaper": lambda: reap(bug),
            "evictor": lambda: evictor(bug),
            "last": lambda: look_again(bug),
        },
        promise=promise,
        killed=("old",),
        last="last",
    )


MODELS = [
    Model(
        "tenants",
        "process_reap_locked, take, move_in; pin; pinned",
        build,
        {
            "incarnation-read-behind-the-proof": EVERYWHERE,
            "raised-by-a-store": EVERYWHERE,
            "pins-not-cleared": EVERYWHERE,
            "pins-cleared-late": EVERYWHERE,
            "pins-of-the-dead-count": EVERYWHERE,
            "no-fence-in-pin": REORDERED,
            "no-fence-before-pins": WEAK,
        },
    )
]
