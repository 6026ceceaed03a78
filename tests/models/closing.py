# SPDX-License-Identifier: BSD-3-Clause
"""Leaving and joining: a region is closed while threads enter it; the mark that it was closed in
good order.

Whoever enters takes a place first and looks at ``closed`` then; the one that closes stores
``closed``, makes every thread pass a barrier, and waits until nobody has a place before it unmaps.
``close``: the place is the thread's seat, taken by a plain store of ``busy``.
``close-slow``: it is a shared ticket, or, of who works with no window open, a count.
Held: nothing is unmapped under a call.

``reopen``: the region is opened again, with the handle that it had, while threads come with that.
Held: nobody calls in the place that the process had before.

``clean``: one process attaches while another, the last, closes: afterwards the mark is not set
under somebody who is attached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .explore import Program
from .model import EVERYWHERE, REORDERED, WEAK, Model
from .words import (
    Broken,
    Op,
    Thread,
    acq,
    add,
    add_rel,
    add_rlx,
    fence_full,
    later,
    membarrier,
    note,
    put_rel,
    put_rlx,
    rlx,
    see,
    swap,
    value,
)


def work(leave: Op) -> Thread:
    """What is read within a call may come in as late as its end allows."""
    loaded = yield later("bytes")
    mapped = yield see("mapped")
    if not mapped:
        raise Broken("a call is inside of a region that is unmapped")
    yield leave
    byte = yield value(loaded)
    if byte != "ours":
        raise Broken("a call has read what was mapped there afterwards")


def caller(bug: str) -> Thread:
    """call.h: call_begin_untimed, call_leave; seat.h: seat_enter_first, seat_sit, seat_leave.  Two
    calls.  The process was not forked, so the fork mark, which comes first, is 1, and the thread
    knows its seat."""
    for _ in range(2):
        busy = yield rlx("busy")  # seat_sit
        assert busy == 0
        closed = 0
        if bug == "closed-before-the-seat":
            closed = yield acq("closed")
        if closed != 0:
            return
        yield put_rlx("busy", 1)
        if bug != "closed-before-the-seat":
            closed = yield acq("closed")
        if closed != 0:
            yield put_rel("busy", 0)  # seat_leave
            return
        relaxed = bug == "left-by-a-relaxed-store"
        yield from work(put_rlx("busy", 0) if relaxed else put_rel("busy", 0))


def sharer(bug: str) -> Thread:
    """call.c: call_begin_slow, take_ticket, give_place, give_ticket.  One call."""
    closed = yield acq("closed")
    if closed != 0:
        return
    taken = yield swap("tickets", 1, 0)
    assert taken
    if bug != "closed-before-the-ticket-only":
        closed = yield acq("closed")
    if closed != 0:
        yield add_rel("tickets", 1)
        return
    relaxed = bug == "given-back-relaxed"
    yield from work(add_rlx("tickets", 1) if relaxed else add_rel("tickets", 1))


def outsider(bug: str) -> Thread:
    """call.c: call_assist, call_stay, call_go."""
    closed = yield acq("closed")
    if closed != 0:
        return
    yield add("outside", 1)
    if bug != "stays-without-looking":
        closed = yield acq("closed")
    if closed != 0:
        yield add_rel("outside", -1)
        return
    relaxed = bug == "gone-relaxed"
    yield from work(add_rlx("outside", -1) if relaxed else add_rel("outside", -1))


def all_ended(bug: str) -> Thread:
    """region_open.c: calls_ended, once through; seat.c: seat_all_idle."""
    if bug != "tickets-not-looked-at":
        tickets = yield acq("tickets")
        if tickets != 1:
            return False
    if bug != "seats-not-looked-at":
        busy = yield acq("busy")
        if busy != 0:
            return False
    if bug != "outside-not-looked-at":
        outside = yield acq("outside")
        if outside != 0:
            return False
    return True


def closer(bug: str) -> Thread:
    """region_open.c: region_close, region_close_begin, calls_ended, region_close_end, release."""
    ended = False
    if bug == "barrier-before-closed":
        yield membarrier()
    if bug == "places-before-closed":
        while not ended:
            ended = yield from all_ended(bug)
    yield put_rel("closed", 1)
    yield fence_full()
    if bug == "places-before-the-barrier":
        while not ended:
            ended = yield from all_ended(bug)
    if bug not in ("no-membarrier", "barrier-before-closed"):
        yield membarrier()
    if bug == "places-looked-at-once":
        yield from all_ended(bug)
        ended = True
    while not ended:
        ended = yield from all_ended(bug)
    yield put_rlx("bytes", "others")
    yield note("mapped", 0)


ACTORS: dict[str, Callable[[str], Thread]] = {
    "caller": caller,
    "sharer": sharer,
    "outsider": outsider,
    "closer": closer,
}


def build_close(bug: str, *who: str) -> Program:
    return Program(
        words={"busy": 0, "tickets": 1, "outside": 0, "closed": 0, "bytes": "ours"},
        threads={name: partial(ACTORS[name], bug) for name in who},
        notes={"mapped": 1},
    )


def comes(bug: str, take: Op, give: Op) -> Thread:
    """call.c: call_begin_slow, take_place, use_place.  It has found the handle open before."""
    place = ""
    yield take
    if bug == "place-before-closed":
        place = yield rlx("place")
    closed = yield acq("closed")
    if closed == 0 and bug != "place-before-closed":
        place = yield rlx("place")
    if closed == 0 and place != "new":
        raise Broken("a call works in the place that the process had before")
    yield give


def sitter(bug: str) -> Thread:
    """In its seat, twice."""
    for _ in range(2):
        yield from comes(bug, put_rlx("busy", 1), put_rel("busy", 0))


def opener(bug: str) -> Thread:
    """region_attach.c: region_attach; seat.c: seat_settle."""
    if bug == "open-before-the-place":
        yield put_rel("closed", 0)
    yield put_rlx("place", "new")
    relaxed = bug == "opened-by-a-relaxed-store"
    yield put_rlx("closed", 0) if relaxed else put_rel("closed", 0)


def build_reopen(bug: str) -> Program:
    return Program(
        words={"busy": 0, "tickets": 1, "closed": 1, "place": "old"},
        threads={
            "sitter": lambda: sitter(bug),
            "sharer": lambda: comes(bug, swap("tickets", 1, 0), add_rel("tickets", 1)),
            "opener": lambda: opener(bug),
        },
    )


def attach(bug: str) -> Thread:
    """place.c: move_in, mark_used."""
    yield swap("incarnation", 0, 1)
    if bug != "no-fence-in-mark_used":
        yield fence_full()
    yield acq("clean")
    yield put_rel("clean", 0)


def last(bug: str) -> Thread:
    """region_open.c: mark_clean."""
    yield put_rel("clean", 1)
    if bug != "no-fence-in-mark_clean":
        yield fence_full()
    count = yield acq("incarnation")
    if count != 0:
        yield put_rel("clean", 0)


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    return "marked as closed in good order, and somebody is attached" if words["clean"] else None


def build_clean(bug: str) -> Program:
    return Program(
        words={"incarnation": 0, "clean": 0},
        threads={"attach": lambda: attach(bug), "last": lambda: last(bug)},
        promise=promise,
    )


MODELS = [
    Model(
        "close",
        "call_begin_untimed, seat_sit, seat_leave; region_close, calls_ended, seat_all_idle",
        lambda bug: build_close(bug, "caller", "closer"),
        {
            "closed-before-the-seat": EVERYWHERE,
            "left-by-a-relaxed-store": WEAK,
            "no-membarrier": REORDERED,
            "barrier-before-closed": REORDERED,
            "places-before-closed": EVERYWHERE,
            "places-before-the-barrier": REORDERED,
            "places-looked-at-once": EVERYWHERE,
            "seats-not-looked-at": EVERYWHERE,
        },
    ),
    Model(
        "close-slow",
        "call_begin_slow, take_ticket, give_ticket, call_stay, call_go; region_close, calls_ended",
        lambda bug: build_close(bug, "sharer", "outsider", "closer"),
        {
            "closed-before-the-ticket-only": EVERYWHERE,
            "stays-without-looking": EVERYWHERE,
            "given-back-relaxed": WEAK,
            "gone-relaxed": WEAK,
            "tickets-not-looked-at": EVERYWHERE,
            "outside-not-looked-at": EVERYWHERE,
        },
    ),
    Model(
        "reopen",
        "region_attach, seat_settle; call_begin_slow, take_place, use_place",
        build_reopen,
        {
            "place-before-closed": EVERYWHERE,
            "open-before-the-place": EVERYWHERE,
            "opened-by-a-relaxed-store": WEAK,
        },
    ),
    Model(
        "clean",
        "move_in, mark_used; mark_clean",
        build_clean,
        {"no-fence-in-mark_used": WEAK, "no-fence-in-mark_clean": REORDERED},
    ),
]
