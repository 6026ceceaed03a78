# SPDX-License-Identifier: BSD-3-Clause
"""A child of a clone that ran no fork handlers enters a region of its parent's.

``enter-child``: two threads enter for the first time; the first remembers a seat of its parent's,
the second none.  What they find is the parent's memory as it was at the clone, a call of another
thread under way in that seat, and the fork mark, which reads 0.
Held: whoever is in has the child's place, and sits alone where it sits, in a seat that says so.
"""

from __future__ import annotations

from functools import partial

from .explore import Program
from .model import EVERYWHERE, WEAK, Model
from .words import Broken, Thread, acq, note, put_rel, put_rlx, rlx, see, swap

FORGOT_NOTHING, FORGETTING, FORGOTTEN = 0, 1, 2


def forget(bug: str) -> Thread:
    """registry.c: registry_forget, forget; seat.c: seat_forget."""
    state = yield acq("state")
    if state == FORGOTTEN:
        return
    won = True
    if bug != "forgotten-by-each":
        won = yield swap("state", FORGOT_NOTHING, FORGETTING)
    if won:
        yield put_rlx("owner", "")
        epoch = yield rlx("epoch")
        if bug != "epoch-stays":
            yield put_rlx("epoch", epoch + 1)
        yield put_rlx("ticket", "free")
        yield put_rlx("tid", "")
        yield put_rel("busy", 0)
        yield put_rlx("mutex", "")
        yield put_rel("state", FORGOTTEN)
    while True:
        state = yield acq("state")
        if state == FORGOTTEN:
            break


def adopt(bug: str, me: str) -> Thread:
    """place.c: process_adopt, adopt, move_me_in."""
    if bug == "mark-before-the-place":
        yield put_rel("mark", 1)
    yield from forget(bug)
    while True:
        got = yield swap("mutex", "", me)
        if got:
            break
    mark = yield acq("mark")
    if mark == 0 or bug == "mark-before-the-place":
        yield put_rel("owner", "child")
        if bug == "mark-stored-relaxed":
            yield put_rlx("mark", 1)
        else:
            yield put_rel("mark", 1)
    yield put_rel("mutex", "")


def sit(seat: str) -> Thread:
    """seat.h: seat_sit."""
    busy = yield rlx("busy")
    if busy == 0:
        yield put_rlx("busy", 1)
        return seat
    return ""


def seat_enter_first(remembered: int) -> Thread:
    """seat.h."""
    epoch = yield rlx("epoch")
    if epoch != remembered:
        return ""
    seat = yield from sit("seat")
    return seat


def take_place(me: str, remembered: int) -> Thread:
    """call.c: take_place; seat.c: seat_enter, look_up, take."""
    epoch = yield rlx("epoch")
    mine = epoch == remembered
    if not mine:
        tid = yield rlx("tid")
        if tid == "":
            mine = yield swap("tid", "", me)
    seat = ""
    if mine:
        seat = yield from sit("seat")
    if seat == "":
        taken = yield swap("ticket", "free", me)
        seat = "ticket" if taken else ""
    return seat


def begin_slow(bug: str, me: str, remembered: int) -> Thread:
    """call.c: call_begin_slow; nobody closes."""
    mark = yield acq("mark")
    if mark != 1:
        yield from adopt(bug, me)
    place = yield from take_place(me, remembered)
    return place


def begin(bug: str, me: str, remembered: int) -> Thread:
    """call.h: call_begin_untimed.  Where it sits."""
    mark = yield acq("mark")
    place = ""
    if mark == 1 or bug == "mark-behind-the-seat":
        place = yield from seat_enter_first(remembered)
    if place != "" and bug == "mark-behind-the-seat":
        mark = yield acq("mark")
        if mark != 1:
            yield put_rel("busy", 0)
            place = ""
    if place == "":
        place = yield from begin_slow(bug, me, remembered)
    return place


def caller(bug: str, me: str, remembered: int) -> Thread:
    """One call; its end is call_leave.  Without a place it is PLC_AGAIN."""
    place = yield from begin(bug, me, remembered)
    if place == "":
        return
    owner = yield rlx("owner")  # call_clear
    sitting = yield see(f"in {place}")
    yield note(f"in {place}", me)
    if owner != "child":
        raise Broken(f"it calls as {owner or 'nobody'}")
    if sitting:
        raise Broken(f"two sit in one {place}")
    if place == "seat":
        busy = yield rlx("busy")
        if busy != 1:
            raise Broken("it sits in a seat that says nobody does")
    yield note(f"in {place}", "")
    if place == "seat":
        yield put_rel("busy", 0)


def build(bug: str) -> Program:
    return Program(
        words={
            "mark": 0,
            "state": FORGOT_NOTHING,
            "mutex": "another thread of the parent",
            "owner": "parent",
            "epoch": 1,
            "tid": "first",
            "busy": 0,
            "ticket": "another thread of the parent",
        },
        threads={
            "first": partial(caller, bug, "first", 1),
            "second": partial(caller, bug, "second", 0),
        },
        notes={"in seat": "", "in ticket": ""},
    )


MODELS = [
    Model(
        "enter-child",
        "call_begin_untimed, seat_enter_first, call_begin_slow; process_adopt, registry_forget",
        build,
        {
            "mark-behind-the-seat": EVERYWHERE,
            "mark-before-the-place": EVERYWHERE,
            "mark-stored-relaxed": WEAK,
            "epoch-stays": EVERYWHERE,
            "forgotten-by-each": EVERYWHERE,
        },
    )
]
