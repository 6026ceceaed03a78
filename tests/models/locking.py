# SPDX-License-Identifier: BSD-3-Clause
"""The shard lock: its holder dies, its place in the table of processes is given to another, waiters
take over.

``lock``: a holder that is killed anywhere inserts a key; a second process takes its place in the
table (same slot, next incarnation) and wants the lock, and so does a third, which may have judged
the dead one's word long ago.
Held: one is inside at a time, and who is inside sees what the one before has stored, so that the
key is inserted once.
"""

from __future__ import annotations

from typing import Any

from .explore import Program
from .model import EVERYWHERE, WEAK, Model
from .words import Broken, Thread, acq, gone, gone_unsettled, note, put_rel, see, swap

INC = "incarnation"  # of the one slot that the dead one and its successor use


def word_of(bug: str, who: str, inc: int) -> Any:
    """words.h: lock_make: slot, incarnation, thread."""
    return "slot 1" if bug == "word-names-the-slot-only" and who != "third" else (who, inc)


def reap(bug: str) -> Thread:
    """process.c: process_reap_locked: incarnation, proof, incarnation + 1."""
    inc = yield acq(INC)
    if inc != 1:
        return
    dead = yield gone_unsettled("first") if bug == "not-settled" else gone("first")
    if dead:
        yield swap(INC, inc, inc + 1)


def alive(bug: str, word: Any) -> Thread:
    """lock.c: holder_alive."""
    inc = yield acq(INC)
    if word == "slot 1":
        return inc % 2 == 1
    return word[0] == "third" or inc == word[1]


def inside(me: str) -> Thread:
    """store.c: insert_locked: both ways, then a free one."""
    within = yield see("within")
    killed = yield see("killed")
    if within not in ("", killed):
        raise Broken(f"{me} is inside together with {within}")
    yield note("within", me)
    one = yield acq("way 1")
    two = yield acq("way 2")
    if one == 0 and two == 0:
        yield swap("way 2" if me == "first" else "way 1", 0, me)
    yield note("within", "")


def lock(bug: str, me: str, inc: int) -> Thread:
    """lock.c: lock_try, lock_release; process.c: process_reap for a holder that is in the way."""
    mine = word_of(bug, me, inc)
    for _ in range(2):
        word = yield acq("lock")
        lives = True
        if word != 0:
            lives = yield from alive(bug, word)
            if lives:
                yield from reap(bug)
                continue
            yield note("killed", "first")
        if bug == "taken-over-by-a-store":
            yield put_rel("lock", mine)
            won = True
        else:
            won = yield swap("lock", word, mine)
        if won:
            yield from inside(me)
            yield swap("lock", mine, 0)
            return "locked"
    return "busy"


def first(bug: str) -> Thread:
    """The one that is killed, inside or later."""
    won = yield swap("lock", 0, word_of(bug, "first", 1))
    if won:
        yield from inside("first")
        yield swap("lock", word_of(bug, "first", 1), 0)
        yield acq("lock")


def second(bug: str) -> Thread:
    """place.c: take_dead, move_in."""
    yield from reap(bug)
    moved = yield swap(INC, 2, 3)
    if moved:
        result = yield from lock(bug, "second", 3)
        return result
    return "no place"


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    if words["way 1"] != 0 and words["way 2"] != 0:
        return f"the key was inserted twice, by {words['way 1']} and {words['way 2']}"
    return None


def build(bug: str) -> Program:
    return Program(
        words={"lock": 0, INC: 1, "way 1": 0, "way 2": 0},
        threads={
            "first": lambda: first(bug),
            "second": lambda: second(bug),
            "third": lambda: lock(bug, "third", 1),
        },
        notes={"within": "", "killed": "-"},
        promise=promise,
        killed=("first",),
    )


MODELS = [
    Model(
        "lock",
        "lock_try, lock_release, let_go; process_reap_locked, take_dead, move_in; insert_locked",
        build,
        {
            "word-names-the-slot-only": EVERYWHERE,
            "taken-over-by-a-store": EVERYWHERE,
            "not-settled": WEAK,
        },
    )
]
