# SPDX-License-Identifier: BSD-3-Clause
"""Runs, slot and reader together: two set the same key, each in a run of its own, while an evictor
frees whatever it can get and a reader copies without a pin.

``recycling``: two pages, each a run with one entry at most.  The setters may both be killed
anywhere.  Held: what the reader accepts is one whole entry; the slot never names a run that is
gone, nor bytes of another; a run is freed once; and in the end every page can be had again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .explore import Program
from .model import EVERYWHERE, REORDERED, Model
from .words import (
    Broken,
    Thread,
    acq,
    fence_acquire,
    fence_full,
    fence_release,
    gone,
    later,
    put_rel,
    put_rlx,
    swap,
    value,
)

PAGES = (0, 1)
READABLE = ("OPEN", "SEALED", "EVICT")
TRIES = 2


def free(bug: str, page: int, me: str, gen: int) -> Thread:
    """evict.c: free_run."""
    yield put_rel(f"head {page}", ("FREEING", me, gen))
    yield fence_release()
    yield put_rel(f"head {page}", ("FREE", "", gen))


def free_dead(bug: str, page: int, me: str, gen: int) -> Thread:
    """evict.c: evict_run of mode EVICT_DEAD."""
    if bug == "freed-without-winning":
        head = yield acq(f"head {page}")
        if head == ("SEALED", "", gen):
            yield from free(bug, page, me, gen)
        return
    won = yield swap(f"head {page}", ("SEALED", "", gen), ("EVICT", me, gen))
    if won:
        yield from free(bug, page, me, gen)


def dead(bug: str, page: int, me: str, gen: int) -> Thread:
    """run.c: run_dead of the one entry; evict.c: evict_emptied."""
    yield swap(f"dead {page}", 0, gen)
    yield fence_full()
    head = yield acq(f"head {page}")
    if head == ("SEALED", "", gen):
        yield from free_dead(bug, page, me, gen)


def claim(page: int, me: str) -> Thread:
    """pages.c: pages_claim.  The generation that it had, or None."""
    old = yield acq(f"head {page}")
    if old[0] == "CLAIM":
        lost = yield gone(old[1])
        if not lost:
            return None
    elif old[0] != "FREE":
        return None
    won = yield swap(f"head {page}", old, ("CLAIM", me, old[2]))
    return old[2] if won else None


def setter(bug: str, me: str) -> Thread:
    """store.c: store_run, publish, account_replaced; pages.c: pages_form; run.c: run_write,
    seal."""
    page, had = 0, None
    for page in PAGES:
        had = yield from claim(page, me)
        if had is not None:
            break
    if had is None:
        return "no room"
    gen = had + 1
    yield put_rlx(f"dead {page}", 0)
    yield put_rel(f"head {page}", ("OPEN", me, gen))
    yield fence_release()
    yield put_rlx(f"header {page}", (gen, me))
    yield put_rlx(f"body {page}", me)
    if bug == "sealed-before-publishing":
        yield put_rel(f"head {page}", ("SEALED", "", gen))
    done, old = False, None
    for _ in range(TRIES):
        old = yield acq("slot")
        done = yield swap("slot", old, (page, gen))
        if done:
            break
    if done and old != 0:
        yield from dead(bug, old[0], me, old[1])
    if not done:
        yield put_rlx(f"dead {page}", gen)
    if bug != "sealed-before-publishing":
        yield put_rel(f"head {page}", ("SEALED", "", gen))
    yield fence_full()
    mine = yield acq(f"dead {page}")
    if mine == gen:
        yield from free_dead(bug, page, me, gen)
    return "stored" if done else "busy"


def evict(bug: str, page: int, me: str) -> Thread:
    """evict.c: win, unlink_all, free_run."""
    head = yield acq(f"head {page}")
    state, who, gen = head
    if state in ("FREE", "CLAIM"):
        return
    if state != "SEALED":
        lost = yield gone(who)
        if not lost:
            return
    to = "FREEING" if state == "FREEING" else "EVICT"
    won = yield swap(f"head {page}", head, (to, me, gen))
    if not won:
        return
    if bug != "freed-without-unlinking":
        yield swap("slot", (page, gen), 0)
    yield from free(bug, page, me, gen)


def evictor(bug: str, me: str) -> Thread:
    for page in PAGES:
        yield from evict(bug, page, me)


def reader(bug: str) -> Thread:
    """find.h: glance_slot; index.h: index_still_at."""
    slot = yield acq("slot")
    if slot == 0:
        return
    page = slot[0]
    state, _, gen = yield acq(f"head {page}")
    if state not in READABLE:
        return
    if bug != "no-reload":
        again = yield acq("slot")
        if again != slot:
            return
    header = yield later(f"header {page}")
    body = yield later(f"body {page}")
    yield fence_acquire()
    state, _, now = yield acq(f"head {page}")
    if state not in READABLE or now != gen:
        return
    first = yield value(header)
    second = yield value(body)
    if first[0] == gen and first[1] != second:
        raise Broken(f"accepted {first} {second}")


def last(bug: str) -> Thread:
    """check.c: check_slice (I1, I2); then walk.c: walk_drain."""
    slot = yield acq("slot")
    if slot != 0:
        page, gen = slot
        head = yield acq(f"head {page}")
        header = yield acq(f"header {page}")
        body = yield acq(f"body {page}")
        if head[0] not in READABLE or head[2] != gen:
            raise Broken(f"the slot names a run that is gone: {head}")
        if header[0] != gen or header[1] != body:
            raise Broken(f"the slot names {header} {body}")
    for page in PAGES:
        yield from evict(bug, page, "last")
    for page in PAGES:
        had = yield from claim(page, "last")
        if had is None:
            raise Broken(f"page {page} cannot be had again")


def build(bug: str, who: str, kills: int) -> Program:
    actors: dict[str, Any] = {
        "set 1": partial(setter, bug, "set 1"),
        "set 2": partial(setter, bug, "set 2"),
        "evictor": partial(evictor, bug, "evictor"),
        "reader": partial(reader, bug),
        "last": partial(last, bug),
    }
    words: dict[str, Any] = {"slot": (0, 1)}
    for page, state in zip(PAGES, ("SEALED", "FREE"), strict=True):
        words |= {f"head {page}": (state, "", 1), f"dead {page}": 0}
        words |= {f"header {page}": (1, "first"), f"body {page}": "first"}
    return Program(
        words=words,
        threads={name: actors[name] for name in (*who.split(", "), "last")},
        killed=("set 1", "set 2"),
        kills=kills,
        last="last",
    )


MIRRORS = "store_run, publish, run_dead, seal; win, unlink_all, free_run; pages_claim, pages_form"
MODELS = [
    Model(
        "recycle-sets",
        MIRRORS,
        lambda bug: build(bug, "set 1, set 2, evictor", 1),
        {
            "sealed-before-publishing": EVERYWHERE[:1],
            "freed-without-unlinking": EVERYWHERE[:1],
            "freed-without-winning": EVERYWHERE[:1],
        },
        ("sc",),
        REORDERED,
    ),
    Model(
        "recycle-all",
        MIRRORS + "; glance_slot, index_still_at",
        lambda bug: build(bug, "set 1, set 2, evictor, reader", 2),
        {"no-reload": EVERYWHERE[:1]},
        (),
        ("sc", "tso"),
    ),
]
