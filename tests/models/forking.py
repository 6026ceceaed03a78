# SPDX-License-Identifier: BSD-3-Clause
"""What a process holds in place is held for its fork child too.

``handover``: the parent copies its pins to a row for the child, makes that alive, raises
``handovers``, forks, and lets go at its leisure, as does the child; an evictor that has passed the
child's row while it was nobody's looks again.  ``handover-behind``: the child's row comes behind
the parent's.  Held: nothing is freed under a lease.
``handover-free``: the same with limbo, and who lets go looks for it.  Held: in the end the run is
free, once, though nobody else comes.

``inherit``: the child's place, which no process has called with, becomes that of any process, while
somebody asks whether its tenant is dead.  What the kernel is asked and told (locks on bytes) is in
the model's own words, between full fences.  Held: a living child is not held to be dead; one that
was killed is found to be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .explore import Program
from .leasing import Scan, evictor, holder
from .model import EVERYWHERE, WEAK, Model
from .words import (
    Broken,
    Thread,
    acq,
    add_rlx,
    fence_full,
    fence_release,
    gone,
    later,
    note,
    put_rel,
    put_rlx,
    rlx,
    see,
    swap,
    value,
)

TRIES = 3


def row_pins(row: str) -> Thread:
    """pinned.c: some_row_pins, row_pins; the parent's row is alive."""
    if row == "child":
        inc = yield acq("inc")
        if inc % 2 == 0:
            return ""
    high = yield acq(f"high {row}")
    if high == 0:
        return ""
    pin = yield acq(f"counted {row}")
    return "counted" if pin == "run" else ""


def pinned(bug: str, rows: tuple[str, ...]) -> Thread:
    """pinned.c: pinned."""
    for _ in range(TRIES):
        seen = yield acq("handovers")
        for row in rows:
            kind = yield from row_pins(row)
            if kind:
                return kind
        now = yield acq("handovers")
        if now == seen:
            return ""
    return "tries"


def place_child(bug: str) -> Thread:
    """place.c: move_child_in."""
    if bug == "handovers-raised-first":
        yield add_rlx("handovers", 1)
    yield put_rlx("counted child", "run")
    yield put_rlx("high child", 1)
    yield swap("inc", 0, 1)
    if bug != "no-fence-before-handovers":
        yield fence_release()
    if bug not in ("no-handovers", "handovers-raised-first"):
        yield add_rlx("handovers", 1)


def let_go(bug: str, me: str, row: str, scan: Scan) -> Thread:
    """The reader's half of it."""
    loaded = yield later("byte")
    yield put_rel(f"counted {row}", 0)
    yield put_rel(f"high {row}", 0)
    byte = yield value(loaded)
    if byte != "A":
        raise Broken(f"read {byte} under a lease")


def take_out(bug: str, me: str, row: str, scan: Scan) -> Thread:
    """evict.c: unlink_entry, in_limbo (one look at the pins), free_run."""
    yield swap("slot", "run", 0)
    yield fence_full()
    pin = yield from scan()
    if not pin:
        yield put_rlx("byte", "B")


Act = Callable[[str, str, str, Scan], Thread]


def parent(bug: str, letting_go: Act, scan: Scan) -> Thread:
    """forks.c: forks_before, the fork; later it gives its lease back."""
    if bug == "parent-lets-go-first":
        yield put_rel("counted parent", 0)
    yield from place_child(bug)
    yield put_rel("forked", 1)
    yield from letting_go(bug, "parent", "parent", scan)


def child(bug: str, letting_go: Act, scan: Scan) -> Thread:
    while True:
        forked = yield acq("forked")
        if forked == 1:
            break
    yield from letting_go(bug, "child", "child", scan)


def all_free(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    state = words["head"][0]
    return None if state == "FREEING" else f"the run is left as {state}"


def build(bug: str, rows: tuple[str, ...], limbo: bool = False) -> Program:
    scan = partial(pinned, bug, rows)
    words: dict[str, Any] = {"slot": "run", "byte": "A", "handovers": 0, "forked": 0}
    words |= {"counted parent": "run", "counted child": 0, "inc": 0}
    words |= {"high parent": 1, "high child": 0}
    letting_go = holder if limbo else let_go
    threads = {
        "parent": partial(parent, bug, letting_go, scan),
        "child": partial(child, bug, letting_go, scan),
        "evictor": partial(evictor if limbo else take_out, bug, "evictor", "", scan),
    }
    if not limbo:
        return Program(words, threads)
    return Program(words | {"head": ("SEALED", "")}, threads, all_free, {"freed": 0})


# ---- the child's own life ------------------------------------------------------------------------


def told(word: str, to: int) -> Thread:
    """The kernel is told something, and so orders what was stored before it."""
    yield fence_full()
    yield note(word, to)


def asked(word: str) -> Thread:
    """Does the kernel say that the child, which is alive, holds that?"""
    yield fence_full()
    dead = yield gone("child")
    held = yield see(word)
    yield fence_full()
    return held == 1 and not dead


def maker(bug: str) -> Thread:
    """place.c: take, move_child_in; forks.c: forks_parent."""
    yield put_rlx("child", 1)
    yield swap("inc", 0, 1)
    yield put_rel("forked", 1)
    yield from told("parent's descriptor", 0)


def adopter(bug: str) -> Thread:
    """place.c: move_into_inherited; later somebody in it opens and closes the region's file."""
    while True:
        forked = yield acq("forked")
        if forked == 1:
            break
    yield from told("lock byte", 1)
    if bug == "no-child-before-it-is-known":
        yield put_rel("child", 0)
    yield put_rlx("who", "child")
    if bug != "no-child-before-it-is-known":
        yield put_rel("child", 0)
    yield from told("child's descriptor", 0)
    yield from told("lock byte", 0)
    return "alive"


def child_proved_dead(bug: str) -> Thread:
    """process.c: proved_dead, child_dead."""
    held = yield from asked("lock byte")
    if held:
        return False
    yield fence_full()
    open_yet = yield see("parent's descriptor")
    held = yield from asked("child's descriptor")
    if open_yet or held:
        return False
    if bug != "not-asked-again-whether-it-is-a-child":
        still = yield acq("child")
        return still == 1
    return True


def reaper(bug: str) -> Thread:
    """process.c: tenant_of, proved_dead, process_reap_locked."""
    inc = yield acq("inc")
    if inc % 2 == 0:
        return
    who = ""
    if bug == "child-read-last":
        who = yield rlx("who")
    is_child = yield acq("child")
    if bug != "child-read-last":
        who = yield rlx("who")
    if is_child:
        dead = yield from child_proved_dead(bug)
    else:
        held = yield from asked("lock byte")
        dead = yield gone("child")
        dead = not held and (dead or who == "")  # of nobody's pid namespace: the byte decides
    if dead:
        yield swap("inc", inc, inc + 1)


def lives(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    if results["child"] == "alive" and words["inc"] != 1:
        return "a living child is held to be dead"
    return "a dead child keeps its place" if not results["child"] and words["inc"] == 1 else None


def build_inherit(bug: str) -> Program:
    return Program(
        words={"inc": 0, "child": 0, "who": "", "forked": 0},
        threads={
            "parent": partial(maker, bug),
            "child": partial(adopter, bug),
            "reaper": partial(reaper, bug),
            "last": partial(reaper, bug),
        },
        notes={"parent's descriptor": 1, "child's descriptor": 1, "lock byte": 0},
        promise=lives,
        killed=("child",),
        last="last",
    )


MIRRORS = "place_child, move_child_in; pinned, free_run"
MODELS = [
    Model(
        "handover",
        MIRRORS,
        lambda bug: build(bug, ("child", "parent")),
        {
            "no-handovers": EVERYWHERE,
            "handovers-raised-first": EVERYWHERE,
            "no-fence-before-handovers": WEAK,
            "parent-lets-go-first": EVERYWHERE,
        },
    ),
    Model(
        "handover-behind",
        MIRRORS,
        lambda bug: build(bug, ("parent", "child")),
        {"parent-lets-go-first": EVERYWHERE},
    ),
    Model(
        "handover-free",
        MIRRORS + "; leave_run, in_limbo",
        lambda bug: build(bug, ("child", "parent"), limbo=True),
        {"no-handovers": ("sc", "tso")},
        ("sc", "tso"),
        WEAK,
    ),
    Model(
        "inherit",
        "move_child_in, forks_parent, move_into_inherited; tenant_of, proved_dead",
        build_inherit,
        {
            "child-read-last": EVERYWHERE,
            "no-child-before-it-is-known": EVERYWHERE,
            "not-asked-again-whether-it-is-a-child": EVERYWHERE,
        },
    ),
]
