# SPDX-License-Identifier: BSD-3-Clause
"""Leaving and joining: a region is closed while threads enter it; the mark that it was closed in
good order.

``close``: a thread enters by a plain store of ``busy`` (its seat) and then looks at ``closed``;
the one that closes stores ``closed``, makes every thread pass a barrier, and waits until nobody is
busy before it unmaps.
``clean``: one process attaches while another, the last, closes: afterwards the mark is not set
under somebody who is attached.
"""

from __future__ import annotations

from typing import Any

from .explore import Program
from .model import REORDERED, WEAK, Model
from .words import (
    Broken,
    Thread,
    acq,
    fence_full,
    later,
    membarrier,
    note,
    put_rel,
    put_rlx,
    see,
    swap,
    value,
)


def caller(bug: str) -> Thread:
    """seat.h: seat_sit, seat_leave; call.h: call_begin_untimed.  Two calls."""
    for _ in range(2):
        yield put_rlx("busy", 1)
        closed = yield acq("closed")
        if closed != 0:
            yield put_rel("busy", 0)
            return
        loaded = yield later("bytes")
        mapped = yield see("mapped")
        if not mapped:
            raise Broken("a call is inside of a region that is unmapped")
        if bug == "left-by-a-relaxed-store":
            yield put_rlx("busy", 0)
        else:
            yield put_rel("busy", 0)
        byte = yield value(loaded)
        if byte != "ours":
            raise Broken("a call has read what was mapped there afterwards")


def closer(bug: str) -> Thread:
    """region_open.c: region_close, calls_ended, release."""
    if bug == "barrier-before-closed":
        yield membarrier()
    yield put_rel("closed", 1)
    yield fence_full()
    if bug not in ("no-membarrier", "barrier-before-closed"):
        yield membarrier()
    while True:
        busy = yield acq("busy")
        if busy == 0:
            break
    yield put_rlx("bytes", "others")
    yield note("mapped", 0)


def build_close(bug: str) -> Program:
    return Program(
        words={"busy": 0, "closed": 0, "bytes": "ours"},
        threads={"caller": lambda: caller(bug), "closer": lambda: closer(bug)},
        notes={"mapped": 1},
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
        "seat_sit, seat_leave, call_begin_untimed; region_close, calls_ended",
        build_close,
        {
            "no-membarrier": REORDERED,
            "barrier-before-closed": REORDERED,
            "left-by-a-relaxed-store": WEAK,
        },
    ),
    Model(
        "clean",
        "move_in, mark_used; mark_clean",
        build_clean,
        {"no-fence-in-mark_used": WEAK, "no-fence-in-mark_clean": REORDERED},
    ),
]
