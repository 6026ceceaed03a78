# SPDX-License-Identifier: BSD-3-Clause
"""A value is leased: a pin passes from a call's cell to a counted one, which stays when the call is
over; and who of those that let go, and of the evictors, frees the run.

``lease``: a process takes a lease under its call's pin, reads in place, and gives it back, while an
evictor wants the run.  ``lease-limbo``: two evictors, one of which may meet it in limbo.
``leases``: two processes and one evictor.
``told``: a process keeps the run and lets go when another one, whom it has told, has it too.
``leave``: two processes hold the run from the beginning and let go, while it is evicted.

Held: nothing is freed under a lease, nor twice.  When all have let go the run is free, though
nobody else comes; it is left in limbo only where somebody has seen the pin of a call, whose owner
does not look.

The order in which the cells of a row are looked at and the second look at the slot each do without
the other; so the bugs of one are planted together with the lack of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .explore import Program
from .model import EVERYWHERE, REORDERED, WEAK, Model
from .words import (
    Broken,
    Thread,
    acq,
    fence_full,
    later,
    note,
    put_rel,
    put_rlx,
    see,
    swap,
    value,
)

LIMBO = ("LIMBO", "")
CALL, COUNTED = "call", "counted"

Scan = Callable[[], Thread]
"""Which kind of pin is there, or "": pinned.c: pinned."""


def row_pins(bug: str, row: str, kinds: tuple[str, ...]) -> Thread:
    """pinned.c: row_pins: the cells of calls, then those of leases."""
    for kind in reversed(kinds) if bug == "counted-first-and-not-rechecked" else kinds:
        if kind == COUNTED:
            high = yield acq(f"high {row}")
            if high == 0:
                continue
        pin = yield acq(f"{kind} {row}")
        if pin == "run":
            return kind
    return ""


def pinned(bug: str, rows: tuple[str, ...], kinds: tuple[str, ...]) -> Thread:
    """pinned.c: some_row_pins."""
    for row in rows:
        kind = yield from row_pins(bug, row, kinds)
        if kind:
            return kind
    return ""


def in_limbo(bug: str, mine: tuple[str, str], scan: Scan) -> Thread:
    """evict.c: in_limbo.  What was seen last; "": the run may be freed."""
    for _ in range(3):
        if bug != "no-fence-before-pins":
            yield fence_full()
        kind = yield from scan()
        if not kind:
            return ""
        yield put_rel("head", LIMBO)
        if bug != "no-fence-behind-limbo":
            yield fence_full()
        kind = yield from scan()
        if kind:
            return kind
        won = yield swap("head", LIMBO, mine)
        if not won:
            return "lost"
    yield put_rel("head", LIMBO)
    return "tries"


def freed_once() -> Thread:
    """Held: nobody else frees the run."""
    freed = yield see("freed")
    if freed:
        raise Broken("freed twice")
    yield note("freed", 1)


def evict(bug: str, me: str, states: tuple[str, ...], scan: Scan) -> Thread:
    """evict.c: win, unlink_entry, in_limbo, free_run; then others fill the page."""
    mine = ("EVICT", me)
    head = yield acq("head")
    if head[0] not in states:
        return "lost"
    won = yield swap("head", head, mine)
    if not won:
        return "lost"
    slot = yield acq("slot")
    if slot == "run":
        yield swap("slot", slot, 0)
    pin = yield from in_limbo(bug, mine, scan)
    if pin:
        return pin
    yield from freed_once()
    yield put_rel("head", ("FREEING", me))
    yield put_rlx("byte", "B")
    return "freed"


def leave_run(bug: str, me: str, row: str, scan: Scan) -> Thread:
    """lease.c: leave_run, of the only run that the process holds."""
    if bug == "left-by-a-relaxed-store":
        yield put_rlx(f"counted {row}", 0)
    else:
        yield put_rel(f"counted {row}", 0)
    yield put_rel(f"high {row}", 0)
    if bug != "no-fence-in-leave_run":
        yield fence_full()
    if bug == "limbo-not-looked-at":
        return "left"
    met = yield from evict(bug, me, ("LIMBO",), scan)
    return met


def holder(bug: str, me: str, row: str, scan: Scan) -> Thread:
    """Reads in place, and lets go."""
    loaded = yield later("byte")
    met = yield from leave_run(bug, me, row, scan)
    byte = yield value(loaded)
    if byte != "A":
        raise Broken(f"read {byte} under a lease")
    return met


def name_run(row: str, fence: bool) -> Thread:
    """lease.c: name_run."""
    yield put_rel(f"high {row}", 1)
    yield put_rel(f"counted {row}", "run")
    if fence:
        yield fence_full()


def next_call(bug: str, row: str) -> Thread:
    """The next of the same thread pins another run."""
    if bug != "unfenced-to-the-next-pin":
        yield fence_full()
    yield put_rlx(f"call {row}", "other")
    yield put_rel(f"call {row}", 0)


NOT_RECHECKED = (
    "counted-first-and-not-rechecked",
    "pin-let-go-first-and-not-rechecked",
    "no-fence-in-pin-and-not-rechecked",
    "unfenced-to-the-next-pin",
)


def taker(bug: str, me: str, row: str, scan: Scan) -> Thread:
    """index.c: pin, index_unpin; lease.c: lease_take."""
    slot = yield acq("slot")
    if slot == 0:
        return "missed"
    yield put_rlx(f"call {row}", "run")
    if bug != "no-fence-in-pin-and-not-rechecked":
        yield fence_full()
    slot = yield acq("slot")
    if slot == 0:
        yield put_rel(f"call {row}", 0)
        return "missed"
    if bug == "pin-let-go-first-and-not-rechecked":
        yield put_rel(f"call {row}", 0)
    yield from name_run(row, fence=bug != "unfenced-to-the-next-pin")
    if bug not in NOT_RECHECKED:
        slot = yield acq("slot")
    if slot == 0:
        yield put_rel(f"counted {row}", 0)
        yield put_rel(f"call {row}", 0)
        return "missed"
    yield put_rel(f"call {row}", 0)
    yield from next_call(bug, row)
    met = yield from holder(bug, me, row, scan)
    return met


def evictor(bug: str, me: str, row: str, scan: Scan) -> Thread:
    met = yield from evict(bug, me, ("SEALED", "LIMBO"), scan)
    return met


def told(bug: str, me: str, row: str, scan: Scan) -> Thread:
    """lease.c: name_told, leave_run.  Who has told keeps the run until he hears that it is held."""
    yield from name_run(row, fence=bug != "told-without-a-fence")
    head = yield acq("head")
    readable = ("SEALED", "LIMBO", "EVICT") if bug == "told-while-evicted" else ("SEALED", "LIMBO")
    if head[0] not in readable:
        yield from leave_run(bug, me, row, scan)
        return "busy" if head[0] == "EVICT" else "missed"
    yield put_rel("heard", 1)
    met = yield from holder(bug, me, row, scan)
    return met


def teller(bug: str, me: str, row: str, scan: Scan) -> Thread:
    """Lets go when it has heard, and else keeps it."""
    heard = yield acq("heard")
    if not heard and bug != "not-kept":
        return "kept"
    met = yield from leave_run(bug, me, row, scan)
    return met


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    state = words["head"][0]
    good = state == "FREEING" or (state == "LIMBO" and CALL in results.values())
    return None if good else f"the run is left as {state}"


def build(bug: str, rows: tuple[str, ...], evictors: int, held: bool = False) -> Program:
    kinds = (COUNTED,) if held else (CALL, COUNTED)
    actors = {f"row {row}": (holder if held else taker, row) for row in rows}
    actors |= {f"evictor {n}": (evictor, "") for n in range(evictors)}
    words: dict[str, Any] = {"slot": "run", "head": ("SEALED", ""), "byte": "A"}
    for row in rows:
        words[f"counted {row}"] = "run" if held else 0
        words[f"high {row}"] = int(held)
        words |= {} if held else {f"call {row}": 0}
    scan = partial(pinned, bug, rows, kinds)
    threads = {who: partial(act, bug, who, row, scan) for who, (act, row) in actors.items()}
    return Program(words=words, threads=threads, notes={"freed": 0}, promise=promise)


def build_told(bug: str) -> Program:
    """A process keeps the run and has told of it; another takes it; an evictor, who looks at the
    row of the second one first."""
    words: dict[str, Any] = {"slot": "run", "head": ("SEALED", ""), "byte": "A", "heard": 0}
    words |= {"counted 1": 0, "high 1": 0, "counted 2": "run", "high 2": 1}
    scan = partial(pinned, bug, ("1", "2"), (COUNTED,))
    actors = {"told": (told, "1"), "teller": (teller, "2"), "evictor": (evictor, "")}
    threads = {who: partial(act, bug, who, row, scan) for who, (act, row) in actors.items()}
    return Program(words=words, threads=threads, notes={"freed": 0}, promise=told_promise)


def told_promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    """Who was told finds it, or is to ask again; free when all have let go and it was evicted."""
    if results["told"] == "missed":
        return "what was told of is not there"
    state = words["head"][0]
    stays = results["teller"] == "kept" or results["evictor"] == "lost"
    return None if stays or state == "FREEING" else f"the run is left as {state}"


TAKING = "pin, index_unpin; lease_take, leave_run; pinned, in_limbo, free_run"
MODELS = [
    Model(
        "lease",
        TAKING,
        lambda bug: build(bug, ("1",), 1),
        {
            "no-fence-in-pin-and-not-rechecked": REORDERED,
            "counted-first-and-not-rechecked": EVERYWHERE,
            "pin-let-go-first-and-not-rechecked": EVERYWHERE,
            "unfenced-to-the-next-pin": WEAK,
            "left-by-a-relaxed-store": WEAK,
            "no-fence-before-pins": WEAK,
        },
    ),
    Model("lease-limbo", TAKING, lambda bug: build(bug, ("1",), 2), {}, ("sc", "tso"), WEAK),
    Model("leases", TAKING, lambda bug: build(bug, ("1", "2"), 1), {}, ("sc",), REORDERED),
    Model(
        "told",
        "name_told, leave_run; pinned, in_limbo, free_run",
        build_told,
        {
            "told-without-a-fence": REORDERED,
            "told-while-evicted": ("sc", "tso"),
            "not-kept": ("sc", "tso"),
        },
    ),
    Model(
        "leave",
        "leave_run; pinned, in_limbo, free_run",
        lambda bug: build(bug, ("1", "2"), 1, held=True),
        {
            "no-fence-in-leave_run": REORDERED,
            "no-fence-behind-limbo": REORDERED,
            "limbo-not-looked-at": EVERYWHERE,
        },
    ),
]
