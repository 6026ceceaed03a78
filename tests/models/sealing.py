# SPDX-License-Identifier: BSD-3-Clause
"""A value is filled in place and sealed: its filler goes on looking at it through its own mapping.

``seal``: the filler holds its own run, publishes it and ends it, and somebody deletes what was
published.  ``seal-evict``: somebody replaces it, and an evictor wants the run.
Held: the filler's mapping shows no other bytes while it holds them; nothing is freed twice; what is
out of the index is free in the end, though nobody else comes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .explore import Program
from .leasing import COUNTED, evict, holder
from .model import EVERYWHERE, REORDERED, WEAK, Model
from .words import Thread, acq, fence_full, put_rel, put_rlx, swap

ROW = "filler"


def pinned() -> Thread:
    """pinned.c: row_pins, of the filler's row."""
    high = yield acq(f"high {ROW}")
    if high == 0:
        return ""
    pin = yield acq(f"counted {ROW}")
    return COUNTED if pin == "run" else ""


def hold() -> Thread:
    """lease.c: lease_own, name_run."""
    yield put_rel(f"high {ROW}", 1)
    yield put_rel(f"counted {ROW}", "run")
    yield fence_full()


def filler(bug: str, me: str) -> Thread:
    """reserve.c: publish; store.c: store_run; run.c: run_finish, seal; later lease.c: leave_run."""
    yield put_rlx("byte", "A")
    if bug != "held-behind-the-seal":
        yield from hold()
    yield swap("slot", 0, "run")
    yield put_rel("head", ("SEALED", ""))
    yield fence_full()
    dead = yield acq("dead")
    if dead != 0:
        yield from evict(bug, me, ("SEALED",), pinned)
    if bug == "held-behind-the-seal":
        yield from hold()
    yield from holder(bug, me, ROW, pinned)


def replacer(bug: str, me: str, to: object) -> Thread:
    """store.c: publish, store_unlink; run.c: run_dead; evict.c: evict_emptied."""
    slot = yield acq("slot")
    if slot != "run":
        return
    won = yield swap("slot", slot, to)
    if not won:
        return
    yield swap("dead", 0, 1)
    yield fence_full()
    head = yield acq("head")
    if head[0] == "SEALED":
        yield from evict(bug, me, ("SEALED",), pinned)


def evictor(bug: str, me: str) -> Thread:
    yield from evict(bug, me, ("SEALED", "LIMBO"), pinned)


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    state = words["head"][0]
    good = state == ("SEALED" if words["slot"] == "run" else "FREEING")
    return None if good else f"the run is left as {state}, the slot says {words['slot']}"


ACTORS: dict[str, Callable[[str, str], Thread]] = {
    "filler": filler,
    "delete": partial(replacer, to=0),
    "set": partial(replacer, to="other"),
    "evictor": evictor,
}


def build(bug: str, who: str) -> Program:
    words: dict[str, Any] = {"slot": 0, "head": ("OPEN", "filler"), "dead": 0, "byte": ""}
    words |= {f"high {ROW}": 0, f"counted {ROW}": 0}
    threads = {name: partial(ACTORS[name], bug, name) for name in who.split(", ")}
    return Program(words=words, threads=threads, notes={"freed": 0}, promise=promise)


MIRRORS = "lease_own, publish, seal, leave_run; store_unlink, run_dead; evict_run, in_limbo"
MODELS = [
    Model(
        "seal",
        MIRRORS,
        lambda bug: build(bug, "filler, delete"),
        {
            "held-behind-the-seal": EVERYWHERE,
            "no-fence-in-leave_run": REORDERED,
            "left-by-a-relaxed-store": WEAK,
        },
    ),
    Model(
        "seal-evict",
        MIRRORS,
        lambda bug: build(bug, "filler, set, evictor"),
        {"held-behind-the-seal": ("sc", "tso"), "limbo-not-looked-at": ("sc", "tso")},
        ("sc", "tso"),
        WEAK,
    ),
]
