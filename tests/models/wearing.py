# SPDX-License-Identifier: BSD-3-Clause
"""Numbers that come to their end: a page's generation, a place's incarnation.

Both are narrow here: LAST is the largest.  ``worn-page``: a reader is stopped while its page is
recycled as often as its generation allows, and once more.  ``worn-place``: a reaper is stopped
behind its proof while tenants come and go.  Held: what has come to its end is used no more, so no
number recurs: nothing torn is accepted, no living tenant is held to be dead.
"""

from __future__ import annotations

from typing import Any

from .explore import Program
from .model import EVERYWHERE, Model
from .words import Broken, Thread, acq, fence_acquire, fence_release, put_rel, put_rlx, rlx, swap

LAST = 3
ROUNDS = 4


def reader(bug: str) -> Thread:
    """find.h: glance_slot; index.h: index_still_at.  What was copied must be of one round."""
    slot = yield acq("slot")
    if slot == 0:
        return
    state, gen = yield acq("head")
    if state != "SEALED":
        return
    again = yield acq("slot")
    if again != slot:
        return
    first = yield rlx("header")
    second = yield rlx("body")
    yield fence_acquire()
    state, now = yield acq("head")
    if state == "SEALED" and now == gen and first != second:
        raise Broken(f"accepted words of the rounds {first} and {second}")


def recycler(bug: str) -> Thread:
    """evict.c: free_run; pages.c: pages_claim (GEN_LAST), pages_form; store.c: publish."""
    gen = 1
    for n in range(1, ROUNDS + 1):
        yield swap("slot", "place", 0)
        yield put_rel("head", ("FREEING", gen))
        if gen == LAST and bug != "generation-wraps":
            yield put_rel("head", ("RETIRED", gen))
            return
        gen = gen % LAST + 1
        yield put_rel("head", ("OPEN", gen))
        yield fence_release()
        yield put_rlx("header", n)
        yield put_rlx("body", n)
        yield put_rel("head", ("SEALED", gen))
        yield swap("slot", 0, "place")


def build_page(bug: str) -> Program:
    return Program(
        words={"slot": "place", "head": ("SEALED", 1), "header": 0, "body": 0},
        threads={"reader": lambda: reader(bug), "recycler": lambda: recycler(bug)},
    )


def reaper(bug: str) -> Thread:
    """process.c: process_reap_locked, of the first tenant, which is dead."""
    inc = yield acq("incarnation")
    if inc == 1:
        yield swap("incarnation", inc, 2)


def tenants(bug: str) -> Thread:
    """process.c: process_reap_locked; place.c: usable, move_in, process_detach: again and again."""
    inc = 1
    while True:
        done = yield swap("incarnation", inc, inc + 1)
        if not done and inc != 1:
            raise Broken("a living tenant is held to be dead")
        inc += 1
        if inc > LAST and bug != "incarnation-wraps":
            return "retired"
        to = inc + 1 if inc < LAST else 1
        moved = yield swap("incarnation", inc, to)
        if not moved:
            return "no place"
        inc = to
        if inc == 1:
            now = yield acq("incarnation")
            return "moved in" if now == 1 else "dead"


def alive(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    if results["tenants"] == "dead" or (
        results["tenants"] == "moved in" and words["incarnation"] != 1
    ):
        return "a living tenant is held to be dead"
    return None


def build_place(bug: str) -> Program:
    return Program(
        words={"incarnation": 1},
        threads={"reaper": lambda: reaper(bug), "tenants": lambda: tenants(bug)},
        promise=alive,
    )


MODELS = [
    Model(
        "worn-page",
        "glance_slot, index_still_at; pages_claim: GEN_LAST",
        build_page,
        {"generation-wraps": EVERYWHERE},
    ),
    Model(
        "worn-place",
        "process_reap_locked; usable: INC_LAST",
        build_place,
        {"incarnation-wraps": EVERYWHERE},
    ),
]
