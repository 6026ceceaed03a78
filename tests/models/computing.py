# SPDX-License-Identifier: BSD-3-Clause
"""What is computed from something that changes meanwhile: claims, and the generations of names.

``claim``: somebody claims a key, reads the truth (which lies elsewhere: a file, a database) and
publishes; somebody else changes the truth and then deletes the key; the claimer may be killed, and
its claim taken over.
``flush``: the sum of generations is captured, the truth read, the entry stored; somebody changes
the truth and then raises the generation.
Held: when the second has returned, nobody is given what was computed from the old truth.
"""

from __future__ import annotations

from typing import Any

from .explore import Program
from .model import EVERYWHERE, REORDERED, WEAK, Model
from .words import Op, Thread, acq, fence_full, gone, put_rlx, rlx, swap

TRIES = 5


def claimer(bug: str, me: str) -> Thread:
    """flight.c: flight_claim, admit_claim; then the caller computes; verbs.c: admit_publish."""
    yield fence_full()
    slot = yield acq("slot")
    if slot != 0:
        if slot[0] != "claim":
            return
        dead = yield gone(slot[1])
        if not dead:
            return
    mine = ("claim", me)
    won = yield swap("slot", slot, mine)
    if not won:
        return
    if bug != "no-fence-behind-the-claim":
        yield fence_full()
    truth = yield rlx("truth")
    slot = yield acq("slot")
    if slot == mine or (bug == "published-without-a-look" and slot != ("value", 2)):
        yield swap("slot", slot, ("value", truth))


def deleter(bug: str) -> Thread:
    """The truth changes; verbs.c: verb_delete: a fence, every slot; store.c: store_unlink."""
    yield put_rlx("truth", 2)
    if bug != "no-fence-before-the-first-slot":
        yield fence_full()
    for _ in range(TRIES):
        slot = yield acq("slot")
        if slot == 0:
            return
        won = yield swap("slot", slot, 0)
        if won:
            return


def setter(bug: str) -> Thread:
    """The truth changes; store.c: store_run: a fence, every slot."""
    yield put_rlx("truth", 2)
    if bug != "no-fence-before-the-first-slot":
        yield fence_full()
    for _ in range(TRIES):
        slot = yield acq("slot")
        if slot == 0:
            return  # the shard lock and a second look follow: storing.py
        won = yield swap("slot", slot, ("value", 2))
        if won:
            return


def fresh(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    return (
        "what was computed from the old truth is served" if words["slot"] == ("value", 1) else None
    )


def build_claim(bug: str, other: Any) -> Program:
    return Program(
        words={"slot": 0, "truth": 1},
        threads={
            "claimer 1": lambda: claimer(bug, "claimer 1"),
            "claimer 2": lambda: claimer(bug, "claimer 2"),
            "other": lambda: other(bug),
        },
        promise=fresh,
        killed=("claimer 1", "claimer 2"),
    )


def storer(bug: str) -> Thread:
    """names.h: name_sum, before the caller computes; then a set with that sum."""
    if bug == "captured-late":
        truth = yield rlx("truth")
        captured = yield acq("generation")
    else:
        captured = yield rlx("generation") if bug == "captured-relaxed" else acq("generation")
        truth = yield rlx("truth")
    yield swap("slot", 0, (captured, truth))


def flusher(bug: str) -> Thread:
    """names.c: name_invalidate: a fetch_add with release."""
    if bug == "raised-before-the-truth":
        yield Op("add", "generation", 1, release=True)
        yield put_rlx("truth", 2)
        return
    yield put_rlx("truth", 2)
    yield Op("add", "generation", 1, release=bug != "raised-relaxed")


def current(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    captured, truth = words["slot"]
    return (
        "what is stale counts as current"
        if captured == words["generation"] and truth == 1
        else None
    )


def build_flush(bug: str) -> Program:
    return Program(
        words={"slot": 0, "truth": 1, "generation": 1},
        threads={"storer": lambda: storer(bug), "flusher": lambda: flusher(bug)},
        promise=current,
    )


MODELS = [
    Model(
        "claim-delete",
        "flight_claim, admit_claim, admit_publish; verb_delete, store_unlink",
        lambda bug: build_claim(bug, deleter),
        {
            "no-fence-behind-the-claim": WEAK,
            "no-fence-before-the-first-slot": REORDERED,
            "published-without-a-look": EVERYWHERE,
        },
    ),
    Model(
        "claim-set",
        "flight_claim, admit_claim, admit_publish; store_run, attempt",
        lambda bug: build_claim(bug, setter),
        {"no-fence-behind-the-claim": WEAK, "no-fence-before-the-first-slot": REORDERED},
    ),
    Model(
        "flush",
        "name_sum; name_invalidate",
        build_flush,
        {
            "captured-late": EVERYWHERE,
            "captured-relaxed": WEAK,
            "raised-before-the-truth": EVERYWHERE,
            "raised-relaxed": WEAK,
        },
    ),
]
