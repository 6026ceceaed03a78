# SPDX-License-Identifier: BSD-3-Clause
"""A region is closed while values in it are read in place: the last to give one back unmaps it.

``linger``: two hold something, one closes.  ``linger-call``: one holds something, another is about
to lease in a call.  ``linger-miss``: what he is about to lease is not there.  ``linger-again``: the
region is opened again meanwhile, and closed again.
Held: nothing is unmapped under a lease or a call, nor is what knows who holds what (``holding``)
given back under its lock; and it is unmapped, once, when all is over.

What is read and stored under the process's mutex alone is in the model's own words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .explore import Program
from .model import EVERYWHERE, REORDERED, Model
from .words import (
    Broken,
    Thread,
    acq,
    add,
    add_rlx,
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


def locked() -> Thread:
    """registry_lock."""
    while True:
        got = yield swap("mutex", 0, 1)
        if got:
            break


def unlock() -> Thread:
    yield put_rel("mutex", 0)


def release() -> Thread:
    """region_open.c: release."""
    mapped = yield see("mapped")
    if not mapped:
        raise Broken("unmapped twice")
    yield note("mapped", 0)
    yield put_rlx("bytes", "others")


def look(what: str) -> Thread:
    """At a byte of the region; its value is known later."""
    loaded = yield later("bytes")
    mapped = yield see("mapped")
    if not mapped:
        raise Broken(f"{what} in a region that is unmapped")
    return loaded


def close_rest(bug: str) -> Thread:
    """region_open.c: region_close_rest."""
    yield from locked()
    lingers = yield see("lingers")
    references = yield see("references")
    mapped = yield see("mapped")
    if (lingers or bug == "lingers-not-asked") and references == 0 and mapped:
        alive = yield acq("alive")
        if alive == 0:
            yield note("lingers", 0)
            yield from release()
    yield from unlock()


def give_back(bug: str) -> Thread:
    """inplace.c: part_release."""
    left = 0
    if bug == "alive-given-back-first":
        left = yield add("alive", -1)
    loaded = yield from look("a lease is")
    byte = yield value(loaded)
    if byte != "ours":
        raise Broken("what was leased shows other bytes")
    if bug != "alive-given-back-first":
        left = yield add("alive", -1)
    closed = 0
    if left == 1 and bug != "not-looked-at-again":
        closed = yield acq("closed")
    if closed != 0:
        yield from close_rest(bug)
    yield fence_full()  # the thread's end is one; the machines let an ended thread pass no barrier


def holding_lock() -> Thread:
    """It goes when the region is unmapped (region_open.c: release_view)."""
    mapped = yield see("mapped")
    if not mapped:
        raise Broken("holding is locked where it is no more")
    while True:
        got = yield swap("holding", 0, 1)
        if got:
            break


def holding_unlock() -> Thread:
    yield put_rel("holding", 0)
    mapped = yield see("mapped")
    if not mapped:
        raise Broken("holding is unlocked where it is no more")


def lease(bug: str, there: bool) -> Thread:
    """call.h: call_begin_untimed, call_leave; inplace.c: plc_lease, open_held, close_held.  Has it
    become a lease?"""
    yield put_rlx("busy", 1)
    closed = yield acq("closed")
    if closed != 0:
        yield put_rel("busy", 0)
        return False
    yield from holding_lock()
    loaded = yield from look("a call is")
    if there and bug != "counted-behind-the-call":
        yield add_rlx("alive", 1)
    if bug != "unlocked-behind-the-call":
        yield from holding_unlock()
    yield put_rel("busy", 0)
    byte = yield value(loaded)
    if byte != "ours":
        raise Broken("a call has read what was mapped there afterwards")
    if there and bug == "counted-behind-the-call":
        yield add_rlx("alive", 1)
    if bug == "unlocked-behind-the-call":
        yield from holding_unlock()
    return there


def caller(bug: str) -> Thread:
    """It leases and gives back: part_release."""
    leased = yield from lease(bug, there=True)
    if leased:
        yield from give_back(bug)


def misser(bug: str) -> Thread:
    yield from lease(bug, there=False)


def close_begin() -> Thread:
    """region_open.c: region_close_begin.  Which closing it is, or 0."""
    yield from locked()
    references = yield see("references")
    yield note("references", references - 1)
    closing = 0
    if references == 1:
        closing = yield see("closings")
        closing += 1
        yield note("closings", closing)
        yield put_rel("closed", 1)
    yield from unlock()
    return closing


def close_end(bug: str, closing: int) -> Thread:
    """region_open.c: region_close_end."""
    alive = 0
    if bug == "alive-read-before-the-lock":
        alive = yield acq("alive")
    yield from locked()
    if bug != "alive-read-before-the-lock":
        alive = yield acq("alive")
    references = yield see("references")
    closings = yield see("closings")
    mapped = yield see("mapped")
    if references == 0 and closings == closing and mapped:
        yield note("lingers", int(alive != 0))
        if alive == 0:
            yield from release()
    yield from unlock()


def closer(bug: str) -> Thread:
    """region_open.c: region_close, calls_ended."""
    closing = yield from close_begin()
    if closing == 0:
        return
    yield fence_full()
    if bug != "no-membarrier":
        yield membarrier()
    while True:
        busy = yield acq("busy")
        if busy == 0:
            break
    yield from close_end(bug, closing)


def opener(bug: str) -> Thread:
    """region_open.c: look, share; then it closes as well."""
    yield from locked()
    mapped = yield see("mapped")
    if mapped:
        references = yield see("references")
        yield note("references", references + 1)
        yield note("lingers", 0)
        yield put_rel("closed", 0)
    yield from unlock()
    if mapped:
        loaded = yield from look("who has opened it is")
        yield value(loaded)
        yield from closer(bug)


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    return "it stays mapped for ever" if words["mapped"] else None


ACTORS: dict[str, Callable[[str], Thread]] = {
    "reader 1": give_back,
    "reader 2": give_back,
    "caller": caller,
    "misser": misser,
    "closer": closer,
    "opener": opener,
}


def build(bug: str, who: str) -> Program:
    names = who.split(", ")
    alive = sum(name.startswith("reader") for name in names)
    return Program(
        words={"mutex": 0, "closed": 0, "busy": 0, "alive": alive, "holding": 0, "bytes": "ours"},
        threads={name: partial(ACTORS[name], bug) for name in names},
        notes={"mapped": 1, "references": 1, "closings": 0, "lingers": 0},
        promise=promise,
    )


MIRRORS = "region_close_begin, region_close_end, region_close_rest, share; part_release, plc_lease"
MODELS = [
    Model(
        "linger",
        MIRRORS,
        lambda bug: build(bug, "reader 1, reader 2, closer"),
        {
            "not-looked-at-again": EVERYWHERE,
            "alive-read-before-the-lock": EVERYWHERE,
            "alive-given-back-first": EVERYWHERE,
        },
    ),
    Model(
        "linger-call",
        MIRRORS,
        lambda bug: build(bug, "reader 1, caller, closer"),
        {
            "lingers-not-asked": EVERYWHERE,
            "counted-behind-the-call": EVERYWHERE,
            "no-membarrier": REORDERED,
        },
    ),
    Model(
        "linger-miss",
        MIRRORS,
        lambda bug: build(bug, "misser, closer"),
        {"unlocked-behind-the-call": EVERYWHERE, "no-membarrier": REORDERED},
    ),
    Model(
        "linger-again",
        MIRRORS,
        lambda bug: build(bug, "reader 1, closer, opener"),
        {"not-looked-at-again": EVERYWHERE},
    ),
]
