# SPDX-License-Identifier: BSD-3-Clause
"""A pinned entry is read in place while evictors want its run; and who of them frees it.

``pin``: a reader pins, reads, unpins; two evictors, one of which may meet the run in limbo.
``pins``: the same with two readers and one evictor.
"""

from __future__ import annotations

from functools import partial

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

LIMBO = ("LIMBO", 0)
CELLS = ("pin 1", "pin 2")


def reader(bug: str, cell: str) -> Thread:
    """index.c: pin, index_unpin; between them read.c: read_pinned."""
    slot = yield acq("slot")
    if slot == 0:
        return
    yield put_rlx(cell, "run")
    if bug != "no-fence-in-pin":
        yield fence_full()
    if bug != "pin-not-rechecked":
        slot = yield acq("slot")
    if slot != 0:
        loaded = yield later("byte")
        if bug == "unpinned-relaxed":
            yield put_rlx(cell, 0)
        else:
            yield put_rel(cell, 0)
        byte = yield value(loaded)
        if byte != "A":
            raise Broken(f"read {byte} under a pin")
    else:
        yield put_rel(cell, 0)


def pinned(bug: str) -> Thread:
    """evict.c: in_limbo, the fence; pinned.c: row_pins."""
    if bug != "no-fence-before-pins":
        yield fence_full()
    for cell in CELLS:
        pin = yield acq(cell)
        if pin == "run":
            return True
    return False


def in_limbo(bug: str, mine: tuple[str, object]) -> Thread:
    """evict.c: in_limbo.  False: the run may be freed."""
    for _ in range(2):
        held = yield from pinned(bug)
        if not held:
            return False
        yield put_rel("head", LIMBO)
        if bug != "no-second-scan":
            held = yield from pinned(bug)
            if held:
                return True
        won = yield swap("head", LIMBO, mine)
        if not won:
            return True
        if bug == "no-second-scan":
            return False
    yield put_rel("head", LIMBO)
    return True


def freed_once() -> Thread:
    """Held: nobody else frees the run."""
    freed = yield see("freed")
    if freed:
        raise Broken("freed twice")
    yield note("freed", 1)


def evictor(bug: str, me: int) -> Thread:
    """evict.c: win, unlink_entry, in_limbo, free_run; then others fill the page."""
    mine = ("EVICT", me)
    head = yield acq("head")
    if head[0] not in ("SEALED", "LIMBO"):
        return
    won = yield swap("head", head, mine)
    if not won:
        return
    slot = yield acq("slot")
    if slot != 0:
        yield swap("slot", slot, 0)
    if bug != "limbo-freed-unseen" or head[0] != "LIMBO":
        limbo = yield from in_limbo(bug, mine)
        if limbo:
            return
    yield from freed_once()
    yield put_rel("head", ("FREEING", me))
    yield put_rlx("byte", "B")


def promise(words: dict[str, object], results: dict[str, object]) -> str | None:
    head = words["head"]
    left = not isinstance(head, tuple) or head[0] not in ("LIMBO", "FREEING")
    return f"the run is left as {head}" if left else None


def build(bug: str, readers: int, evictors: int) -> Program:
    threads = {f"reader {cell}": partial(reader, bug, cell) for cell in CELLS[:readers]}
    threads |= {f"evictor {me}": partial(evictor, bug, me) for me in range(1, evictors + 1)}
    return Program(
        words={"slot": "run", "head": ("SEALED", 0), **dict.fromkeys(CELLS, 0), "byte": "A"},
        threads=threads,
        notes={"freed": 0},
        promise=promise,
    )


MIRRORS = "pin, index_unpin; pinned, in_limbo, free_run"
MODELS = [
    Model(
        "pin",
        MIRRORS,
        lambda bug: build(bug, readers=1, evictors=2),
        {
            "no-fence-in-pin": REORDERED,
            "pin-not-rechecked": EVERYWHERE,
            "no-fence-before-pins": WEAK,
            "no-second-scan": EVERYWHERE,
            "limbo-freed-unseen": EVERYWHERE,
            "unpinned-relaxed": WEAK,
        },
    ),
    Model(
        "pins",
        MIRRORS,
        lambda bug: build(bug, readers=2, evictors=1),
        {"no-fence-in-pin": REORDERED, "no-fence-before-pins": WEAK},
    ),
]
