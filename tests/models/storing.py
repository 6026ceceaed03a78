# SPDX-License-Identifier: BSD-3-Clause
"""Writers of one key: set, delete, claim and publish, eviction with reinsertion, and the shard
lock.

The key has two ways.  A slot's value names an entry: ("set 1", 0) is what the thread ``set 1`` has
stored, ("set 1", 1) an evictor's copy of it.  Held: no key is in two slots (I4); the bytes of an
entry are counted as dead once, when it is out, and never while it is in a slot; what was stored is
there until somebody takes it out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .explore import Program
from .model import EVERYWHERE, REORDERED, Model
from .words import Thread, acq, fence_full, gone, note, put_rel, see, swap

WAYS = ("slot 0", "slot 1")
TRIES = 3
CLAIM = ("claim", 0)
RESULT = ("flight", 0)


def count(entry: tuple[str, int]) -> Thread:
    """run.c: run_dead.  The model keeps a list of what was counted."""
    dead = yield see("dead")
    yield note("dead", tuple(sorted((*dead, entry))))


def look() -> Thread:
    """index.c: index_look: the way that holds the key, and what is there."""
    for way in WAYS:
        found = yield acq(way)
        if found != 0:
            return way, found
    return "", 0


def replace(way: str, old: Any, new: Any) -> Thread:
    """store.c: publish, account_replaced, store_unlink."""
    won = yield swap(way, old, new)
    if won and old != 0:
        yield from count(old)
    return won


def lock(me: str) -> Thread:
    """lock.c: lock_try, and the takeover of a dead holder's word as it is."""
    holder = yield acq("lock")
    if holder != 0:
        dead = yield gone(holder)
        if not dead:
            return False
    won = yield swap("lock", holder, me)
    return won


def insert(bug: str, me: str, new: Any, over: bool) -> Thread:
    """store.c: insert, insert_locked; over: what is found under the lock is replaced."""
    if bug != "inserted-without-lock":
        locked = yield from lock(me)
        if not locked:
            return False
    way, found = "", 0
    if bug != "not-looked-at-again":
        way, found = yield from look()
    done = False
    if way != "":
        if over:
            done = yield from replace(way, found, new)
    else:
        for empty in WAYS:
            there = yield acq(empty)
            if there == 0:
                done = yield from replace(empty, 0, new)
                break
    if bug != "inserted-without-lock":
        yield swap("lock", me, 0)
    return done


def setter(bug: str, me: str) -> Thread:
    """store.c: store_run, attempt, replace_found; who had no success has an entry that is dead."""
    for _ in range(TRIES):
        way, found = yield from look()
        if way == "":
            done = yield from insert(bug, me, (me, 0), over=True)
        else:
            done = yield from replace(way, found, (me, 0))
        if done:
            return "stored"
    yield from count((me, 0))
    return "busy"


def deleter(bug: str, me: str) -> Thread:
    """verbs.c: verb_delete, way by way; store.c: store_unlink."""
    removed = "nothing"
    for way in WAYS:
        found = yield acq(way)
        while found != 0:
            if bug == "unlinked-by-a-store":
                yield put_rel(way, 0)
                yield from count(found)
                won = True
            else:
                won = yield from replace(way, found, 0)
            if won:
                removed = "removed"
                break
            found = yield acq(way)
    return removed


def mover(bug: str, me: str) -> Thread:
    """evict.c: unlink_entry and move, of the entry that was there first."""
    for way in WAYS:
        found = yield acq(way)
        if found == ("first", 0):
            if bug == "moved-by-a-store":
                yield put_rel(way, ("first", 1))
                yield from count(found)
                return "moved"
            won = yield from replace(way, found, ("first", 1))
            if won:
                return "moved"
            yield from count(("first", 1))
            return "lost"
    return "not there"


def mover_of_all(bug: str, me: str) -> Thread:
    """evict.c: unlink_entry and move, of whatever is there: a claim's copy keeps its token."""
    for way in WAYS:
        found = yield acq(way)
        if found != 0:
            copy = (found[0], found[1] + 1)
            if bug == "moved-by-a-store":
                yield put_rel(way, copy)
                yield from count(found)
                return copy
            won = yield from replace(way, found, copy)
            if not won:
                yield from count(copy)
            return copy
    return "not there"


def dropper(bug: str, me: str) -> Thread:
    """evict.c: unlink_entry, of whatever it finds."""
    for way in WAYS:
        found = yield acq(way)
        if found != 0:
            won = yield from replace(way, found, 0)
            return "removed" if won else "lost"
    return "nothing"


def flight(bug: str, me: str) -> Thread:
    """flight.c: flight_claim; verbs.c: admit_publish, which wants its own claim there."""
    way, found = yield from look()
    if way != "":
        return "found"
    done = yield from insert(bug, me, CLAIM, over=False)
    if not done:
        yield from count(CLAIM)
        return "busy"
    yield fence_full()
    for _ in range(TRIES):
        way, found = yield from look()
        mine = found != 0 and found[0] == "claim"
        if way == "" or not (mine or bug == "published-over-anything"):
            break
        done = yield from replace(way, found, RESULT)
        if done:
            return "published" if mine else "published over another"
    yield from count(RESULT)
    return "void"


# ---- what is promised ----------------------------------------------------------------------------


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    inside = [words[way] for way in WAYS if words[way] != 0]
    dead = words["dead"]
    made = {(name, 0) for name, result in results.items() if name.startswith("set") and result}
    made |= {words["before"]} - {0}
    made |= {("first", 1)} if results.get("move") in ("moved", "lost") else set()
    made |= {results["move all"]} - {None, "not there"} if "move all" in results else set()
    made |= {RESULT} if results.get("flight") in ("published", "void") else set()
    lost = made - set(dead) - set(inside)
    stored = any(result in ("stored", "published") for result in results.values())
    taken = any(result == "removed" for result in results.values())
    if len(inside) > 1:
        return f"the key is in two slots: {inside}"
    if len(set(dead)) != len(dead):
        return f"dead bytes counted twice: {dead}"
    if set(inside) & set(dead):
        return f"what lives was counted as dead: {inside}"
    if "published over another" in results.values():
        return "a result replaced what was not its claim"
    if lost and None not in results.values():
        return f"neither in the index nor counted as dead: {sorted(lost)}"
    if stored and not inside and not taken:
        return "what was stored is gone, and nobody took it out"
    return None


ACTORS: dict[str, Callable[[str, str], Thread]] = {
    "set 1": setter,
    "set 2": setter,
    "delete": deleter,
    "move": mover,
    "move all": mover_of_all,
    "drop": dropper,
    "flight": flight,
}


def model(
    name: str,
    actors: str,
    bugs: list[str],
    before: Any = 0,
    killed: tuple[str, ...] = (),
    machines: tuple[str, ...] = EVERYWHERE,
    whole: tuple[str, ...] = (),
) -> Model:
    """A model of these actors; before: what is in the second slot when they begin."""

    def build(bug: str) -> Program:
        return Program(
            words={"slot 0": 0, "slot 1": before, "lock": 0},
            threads={who: partial(ACTORS[who], bug, who) for who in actors.split(", ")},
            notes={"dead": (), "before": before},
            promise=promise,
            killed=killed,
            kills=len(killed),
        )

    mirrors = (
        "store_run, attempt, insert_locked, publish; lock_try; verb_delete, move, flight_claim"
    )
    return Model(name, mirrors, build, dict.fromkeys(bugs, machines), machines, whole)


FIRST = ("first", 0)
MODELS = [
    model(
        "insert",
        "set 1, set 2",
        ["inserted-without-lock", "not-looked-at-again"],
        killed=("set 1",),
    ),
    model(
        "insert-delete", "set 1, set 2, delete", ["inserted-without-lock", "unlinked-by-a-store"]
    ),
    model("set-move", "set 1, set 2, delete, move", ["moved-by-a-store"], FIRST, ("set 1",)),
    model("flight-set", "flight, set 1, delete", ["published-over-anything"], killed=("flight",)),
    model("flight-drop", "flight, set 1, delete, drop", ["unlinked-by-a-store"]),
    model("flight-move", "flight, delete, move all, drop", ["moved-by-a-store"], 0, ("flight",)),
    model("claim-moved", "flight, set 1, delete, move all", [], 0, (), ("sc",), REORDERED),
    model(
        "all-writers",
        "set 1, delete, flight, move, drop",
        [],
        FIRST,
        ("set 1",),
        ("sc",),
        REORDERED,
    ),
    model(
        "two-sets", "set 1, set 2, delete, flight", [], 0, ("set 1", "flight"), ("sc",), REORDERED
    ),
    model(
        "all-with-claims",
        "set 1, delete, flight, move all, drop",
        [],
        0,
        ("set 1", "flight"),
        (),
        ("sc",),
    ),
]
