# SPDX-License-Identifier: BSD-3-Clause
"""Filling a run: parked runs, their mark, publishing, sealing; owners that are stopped or killed.

``open-run``: a writer continues a parked run behind its mark, publishes, and seals it.  It may be
stopped anywhere (the evictor and who takes the page afterwards then go on) and killed anywhere: a
second writer continues what it left open.  Two entries of different keys, one slot each.  Held:
what a slot names is whole and of its own run, and what was acknowledged is in its slot, or was
evicted.
"""

from __future__ import annotations

from typing import Any

from .explore import Program
from .model import EVERYWHERE, Model
from .words import Broken, Thread, acq, fence_release, gone, put_rel, put_rlx, rlx, swap

PLACES = 3


def own(bug: str, me: str) -> Thread:
    """run.c: run_resume: the generation and the mark of the run that was won, or None."""
    early = yield rlx("mark")
    state, who, gen = yield acq("head")
    if state == "OPEN":
        dead = yield gone(who)
        if not dead:
            return None
    elif state != "PARKED":
        return None
    won = yield swap("head", (state, who, gen), ("OPEN", me, gen))
    if not won:
        return None
    mark = yield acq("mark")
    if bug == "mark-read-before-winning":
        mark = early
    if bug == "dead-run-taken-as-empty" and state == "OPEN":
        mark = 0
    return gen, mark


def writer(bug: str, me: str) -> Thread:
    """store.c: store_run; run.c: run_write, run_commit, run_finish."""
    got = yield from own(bug, me)
    if got is None:
        return "no room"
    gen, mark = got
    yield put_rlx(f"bytes {mark}", (gen, me))
    if bug == "sealed-before-publishing":
        yield put_rel("head", ("SEALED", "", gen))
    if bug != "mark-behind-the-slot":
        yield put_rel("mark", mark + 1)
    yield swap(f"slot {me}", 0, (gen, mark))
    if bug == "mark-behind-the-slot":
        yield put_rel("mark", mark + 1)
    if bug != "sealed-before-publishing":
        parked = "SEALED" if mark + 1 == PLACES else "PARKED"
        yield put_rel("head", (parked, "", gen))
    return "stored"


def evictor(bug: str) -> Thread:
    """evict.c: win, unlink_all, free_run; pages.c: pages_form, and another run's bytes."""
    head = yield acq("head")
    state, who, gen = head
    if state == "OPEN":
        dead = yield gone(who)
        if not dead:
            return
    won = yield swap("head", head, ("EVICT", "evictor", gen))
    if not won:
        return
    mark = yield acq("mark")
    for place in range(mark):
        found = yield rlx(f"bytes {place}")
        if found[0] != gen:
            break  # garbage: what is behind it is unreadable
        slot = yield acq(f"slot {found[1]}")
        if slot == (gen, place):
            yield swap(f"slot {found[1]}", slot, 0)
    yield put_rel("head", ("FREEING", "evictor", gen))
    yield put_rel("head", ("OPEN", "stranger", gen + 1))
    yield fence_release()
    yield put_rlx("bytes 0", (gen + 1, "stranger"))
    yield put_rlx("bytes 1", (gen + 1, "stranger"))


def check(bug: str) -> Thread:
    """What a survivor finds: check.c, I1 and I2, and the entries."""
    state, _, now = yield acq("head")
    for who in ("writer 1", "writer 2"):
        slot = yield acq(f"slot {who}")
        if slot != 0:
            gen, place = slot
            there = yield rlx(f"bytes {place}")
            if state in ("FREE", "FREEING") or now != gen:
                raise Broken(f"the slot of {who} names a run that is gone")
            if there != (gen, who):
                raise Broken(f"the slot of {who} names {there}")
    if now == 2:
        for place in (0, 1):
            there = yield rlx(f"bytes {place}")
            if there != (2, "stranger"):
                raise Broken(f"another run's bytes were overwritten by {there}")


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    if words["head"][2] == 1:
        for who in ("writer 1", "writer 2"):
            if results.get(who) == "stored" and words[f"slot {who}"] == 0:
                return f"what {who} stored is gone"
    return None


def build(bug: str, evicted: bool) -> Program:
    threads = {
        "writer 1": lambda: writer(bug, "writer 1"),
        "writer 2": lambda: writer(bug, "writer 2"),
        "check": lambda: check(bug),
    }
    if evicted:
        threads["evictor"] = lambda: evictor(bug)
    return Program(
        words={
            "head": ("PARKED", "", 1),
            "mark": 0,
            "slot writer 1": 0,
            "slot writer 2": 0,
            **{f"bytes {i}": (0, "nobody") for i in range(PLACES)},
        },
        threads=threads,
        promise=promise,
        killed=("writer 1", "writer 2"),
        kills=2,
        last="check",
    )


MODELS = [
    Model(
        "open-run",
        "run_resume, run_write, run_commit, publish, run_finish; win, unlink_all",
        lambda bug: build(bug, evicted=True),
        {
            "sealed-before-publishing": EVERYWHERE,
            "mark-read-before-winning": EVERYWHERE,
            "mark-behind-the-slot": EVERYWHERE,
            "dead-run-taken-as-empty": EVERYWHERE,
        },
    ),
]
