# SPDX-License-Identifier: BSD-3-Clause
"""A run that is continued, read in place, and evicted, all at once.

``parked-pins``: the run is parked and holds an entry, which a reader pins.  A writer, who may be
killed anywhere, continues the run behind its mark and publishes a second entry, which another
reader pins; two evictors want the run, one may be killed, and meet it parked, sealed, in limbo, or
left by the dead.  Held: nothing is freed under a pin, nor twice; what is read is whole; the run
does not stay with a dead one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .explore import Program
from .model import EVERYWHERE, WEAK, Model
from .pinning import CELLS, freed_once, in_limbo
from .words import (
    Broken,
    Thread,
    acq,
    fence_full,
    gone,
    put_rel,
    put_rlx,
    rlx,
    swap,
)

HEAD = "head"


def reader(bug: str, n: int) -> Thread:
    """index.c: pin, index_unpin; a copy between them."""
    cell, place = f"pin {n}", f"slot {n}"
    slot = yield acq(place)
    if slot == 0:
        return
    yield put_rlx(cell, "run")
    if bug != "no-fence-in-pin":
        yield fence_full()
    slot = yield acq(place)
    if slot != 0:
        byte = yield rlx(f"byte {n}")
        if byte != n:
            raise Broken(f"read {byte} of entry {n} under a pin")
    yield put_rel(cell, 0)


def writer(bug: str) -> Thread:
    """run.c: run_resume, run_commit, run_finish; store.c: publish."""
    head = yield acq(HEAD)
    if head != ("PARKED", ""):
        return
    won = yield swap(HEAD, head, ("OPEN", "writer"))
    if not won:
        return
    yield put_rlx("byte 2", 2)
    if bug == "parked-before-publishing":
        yield put_rel(HEAD, ("PARKED", ""))
    yield put_rel("mark", 2)
    yield swap("slot 2", 0, "run")
    if bug != "parked-before-publishing":
        yield put_rel(HEAD, ("PARKED", ""))


def evictor(bug: str, me: str) -> Thread:
    """evict.c: win, unlink_all, in_limbo, free_run; then others fill the pages."""
    head = yield acq(HEAD)
    state, who = head
    if state in ("FREEING", "FREE"):
        return
    if state in ("OPEN", "EVICT"):
        dead = yield gone(who)
        if not dead:
            return
    won = yield swap(HEAD, head, ("EVICT", me))
    if not won:
        return
    mark = yield acq("mark")
    for n in (1, 2):
        if n <= mark:
            slot = yield acq(f"slot {n}")
            if slot != 0:
                yield swap(f"slot {n}", slot, 0)
    if bug != "pins-ignored":
        limbo = yield from in_limbo(bug, ("EVICT", me))
        if limbo:
            return
    yield from freed_once()
    yield put_rel(HEAD, ("FREEING", me))
    yield put_rlx("byte 1", "others'")
    yield put_rlx("byte 2", "others'")
    yield put_rel(HEAD, ("FREE", ""))


def check(bug: str) -> Thread:
    """In the end: a slot names a run that is there."""
    state, _ = yield acq(HEAD)
    for n in (1, 2):
        slot = yield acq(f"slot {n}")
        if slot != 0 and state in ("FREEING", "FREE"):
            raise Broken(f"slot {n} names a run that is gone")


def build(bug: str, readers: int, evictors: int, killed: tuple[str, ...]) -> Program:
    threads: dict[str, Any] = {
        f"reader {n}": partial(reader, bug, n) for n in range(1, readers + 1)
    }
    threads["writer"] = partial(writer, bug)
    for n in range(1, evictors + 1):
        threads[f"evictor {n}"] = partial(evictor, bug, f"evictor {n}")
    threads["check"] = partial(check, bug)
    return Program(
        words={
            HEAD: ("PARKED", ""),
            "mark": 1,
            "slot 1": "run",
            "slot 2": 0,
            **dict.fromkeys(CELLS, 0),
            "byte 1": 1,
            "byte 2": "nothing",
        },
        threads=threads,
        notes={"freed": 0},
        killed=killed,
        kills=len(killed),
        last="check",
    )


MIRRORS = "run_resume, publish, run_finish; pin, index_unpin; win, unlink_all, in_limbo, free_run"
MODELS = [
    Model(
        "parked-pin",
        MIRRORS,
        lambda bug: build(bug, 1, 2, ("writer",)),
        {
            "no-fence-in-pin": ("tso",),
            "no-fence-before-pins": WEAK,
            "pins-ignored": EVERYWHERE,
            "parked-before-publishing": EVERYWHERE,
        },
        ("sc", "tso"),
        WEAK,
    ),
    Model(
        "parked-pins",
        MIRRORS,
        lambda bug: build(bug, 2, 2, ("writer", "evictor 1")),
        {},
        (),
        EVERYWHERE,
    ),
]
