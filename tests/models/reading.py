# SPDX-License-Identifier: BSD-3-Clause
"""A reader without a pin, while its run is evicted, freed, taken by another and filled again.

``get-recycled``: the run is taken whole, and an entry published at the same place: the slot's
value recurs.
``get-tail``: the bytes lie in a tail page, which another run takes for itself. Only what was whole
at some moment is accepted: a reader returns a miss, or both words of one entry.
"""

from __future__ import annotations

from .explore import Program
from .model import EVERYWHERE, WEAK, Model
from .words import (
    Broken,
    Thread,
    acq,
    fence_acquire,
    fence_release,
    later,
    put_rel,
    put_rlx,
    rlx,
    swap,
    value,
)

READABLE = ("OPEN", "SEALED", "EVICT", "LIMBO")


def reader(bug: str) -> Thread:
    """find.h: glance_slot and glance_header; index.h: index_still_at."""
    slot = yield acq("slot")
    if slot == 0:
        return
    state, gen = yield acq("head")
    if state not in READABLE:
        return
    if bug != "no-reload":
        again = yield rlx("slot") if bug == "reload-relaxed" else acq("slot")
        if again != slot:
            return
    header = yield later("header")
    body = yield later("body")
    if bug != "no-fence-behind-the-copy":
        yield fence_acquire()
    if bug != "not-looked-at-again":
        state, now = yield acq("head")
        if state not in READABLE or now != gen:
            return
    itself, first = yield value(header)
    second = yield value(body)
    if itself == gen and first != second:
        raise Broken(f"accepted the words {first} {second}")


def evictor(bug: str, tail: bool) -> Thread:
    """evict.c: win, unlink_entry, free_run; pages.c: pages_release.  Nobody pins."""
    yield swap("head", ("SEALED", 1), ("EVICT", 1))
    if bug != "unlinked-late":
        yield swap("slot", "place", 0)
    if bug != "not-freeing":
        yield put_rel("head", ("FREEING", 1))
        yield fence_release()
    if tail:
        yield swap("tail", ("CONT", 1), ("FREE", 1))
    yield put_rel("head", ("FREE", 1))
    if bug == "unlinked-late":
        yield swap("slot", "place", 0)


def taker(bug: str, page: str) -> Thread:
    """pages.c: pages_claim, pages_form; run.c: run_write, run_commit; store.c: publish."""
    found = yield acq(page)
    if found != ("FREE", 1):
        return
    won = yield swap(page, ("FREE", 1), ("CLAIM", 1))
    if not won:
        return
    yield put_rel(page, ("OPEN", 2))
    if bug != "filled-without-fence":
        yield fence_release()
    yield put_rlx("header", (2, "B"))
    yield put_rlx("body", "B")
    if page == "head":
        yield swap("slot", 0, "place")


def recycled(bug: str) -> Program:
    return Program(
        words={"slot": "place", "head": ("SEALED", 1), "header": (1, "A"), "body": "A"},
        threads={
            "reader": lambda: reader(bug),
            "evictor": lambda: evictor(bug, tail=False),
            "taker": lambda: taker(bug, "head"),
        },
    )


def of_tail(bug: str) -> Program:
    return Program(
        words={
            "slot": "place",
            "head": ("SEALED", 1),
            "tail": ("CONT", 1),
            "header": (1, "A"),
            "body": "A",
        },
        threads={
            "reader": lambda: reader(bug),
            "evictor": lambda: evictor(bug, tail=True),
            "taker": lambda: taker(bug, "tail"),
        },
    )


MODELS = [
    Model(
        "get-recycled",
        "glance_slot, index_still_at; free_run; pages_form, run_write, publish",
        recycled,
        {
            "no-reload": EVERYWHERE,
            "reload-relaxed": WEAK,
            "no-fence-behind-the-copy": WEAK,
            "not-looked-at-again": EVERYWHERE,
            "unlinked-late": EVERYWHERE,
            "filled-without-fence": WEAK,
        },
    ),
    Model(
        "get-tail",
        "glance_slot, index_still_at; free_run, pages_release",
        of_tail,
        {"not-freeing": EVERYWHERE, "no-fence-behind-the-copy": WEAK, "filled-without-fence": WEAK},
    ),
]
