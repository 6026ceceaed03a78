# SPDX-License-Identifier: BSD-3-Clause
"""Pages: claiming two, forming a run, trimming and freeing it, with deaths in between.

``two-pages``: a writer forms a run of both pages and gives the tail back, or seals it whole; an
evictor frees it, or what a dead one left of it; a second writer takes single pages that are free;
whoever comes last takes everything out of use.  Held: a page that somebody fills is not given to
another, generations do not fall (I6), and in the end every page is free.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .explore import Program
from .model import EVERYWHERE, Model
from .words import Broken, Thread, acq, gone, note, put_rel, put_rlx, rlx, see, swap

PAGES = ("page 0", "page 1")
HEAD, TAIL = PAGES
OWNED = ("CLAIM", "OPEN", "EVICT", "FREEING")


def dead_or_nobody(word: tuple[str, str, int]) -> Thread:
    """domain.h: owner_alive, after the proof of process.c."""
    if word[0] not in OWNED:
        return word[0] != "CONT"
    dead = yield gone(word[1])
    return dead


def claim(page: str, me: str) -> Thread:
    """pages.c: pages_claim."""
    old = yield acq(page)
    if old[0] not in ("FREE", "CLAIM"):
        return False
    if old[0] == "CLAIM":
        dead = yield from dead_or_nobody(old)
        if not dead:
            return False
    won = yield swap(page, old, ("CLAIM", me, old[2]))
    return won


def free_tail(bug: str, gen: int) -> Thread:
    """pages.c: free_tails: by the exact word."""
    if bug == "tails-freed-blindly":
        yield put_rel(TAIL, ("FREE", "", gen))
    else:
        yield swap(TAIL, ("CONT", HEAD, gen), ("FREE", "", gen))


def give(page: str, word: tuple[str, str, int]) -> Thread:
    """A page becomes part of a run, whose generation is larger than any it had before (I6)."""
    yield put_rel(page, word)
    had = yield see(f"had {page}")
    if word[2] <= had:
        raise Broken(f"{page} had generation {had}, and is in a run of {word[2]}")
    yield note(f"had {page}", word[2])


def form(bug: str, me: str, pages: tuple[str, ...]) -> Thread:
    """pages.c: pages_form.  The run's generation."""
    gen = 0
    for page in pages[:1] if bug == "generation-of-the-head-only" else pages:
        word = yield rlx(page)
        gen = max(gen, word[2])
    gen += 1
    yield put_rlx(f"pages of {pages[0]}", len(pages))
    if bug == "tails-before-the-head" and len(pages) > 1:
        yield from give(pages[1], ("CONT", pages[0], gen))
    yield from give(pages[0], ("OPEN", me, gen))
    if bug != "tails-before-the-head" and len(pages) > 1:
        yield from give(pages[1], ("CONT", pages[0], gen))
    return gen


def writer(bug: str, me: str) -> Thread:
    """pages.c: pages_claim of both, pages_form, pages_trim; run.c: run_write, seal."""
    for page in PAGES:
        won = yield from claim(page, me)
        if not won:
            if page == TAIL:  # pages_unclaim
                word = yield rlx(HEAD)
                yield swap(HEAD, word, ("FREE", "", word[2]))
            return
    gen = yield from form(bug, me, PAGES)
    yield put_rlx("bytes of page 0", (me, gen))
    yield put_rlx("bytes of page 1", (me, gen))
    yield from free_tail(bug, gen)
    yield put_rel("pages of page 0", 1)
    yield put_rel(HEAD, ("SEALED", "", gen))


def small(bug: str, me: str) -> Thread:
    """A run of one page, wherever one is free."""
    for page in (TAIL, HEAD):
        won = yield from claim(page, me)
        if won:
            gen = yield from form(bug, me, (page,))
            yield put_rlx(f"bytes of {page}", (me, gen))
            yield put_rel(page, ("SEALED", "", gen))
            yield note("small", (page, gen))
            return


def resume(bug: str, me: str) -> Thread:
    """run.c: run_resume of a dead owner's run: pages_own_prefix; then all of it is filled."""
    word = yield acq(HEAD)
    if word[0] != "OPEN":
        return
    dead = yield gone(word[1])
    if not dead:
        return
    won = yield swap(HEAD, word, ("OPEN", me, word[2]))
    if not won:
        return
    pages = yield acq("pages of page 0")
    tail = yield acq(TAIL)
    if bug != "tails-not-checked" and tail != ("CONT", HEAD, word[2]):
        pages = 1
    yield put_rel("pages of page 0", pages)
    if pages == 2:
        yield put_rlx("bytes of page 1", (me, word[2]))
    yield put_rel(HEAD, ("SEALED", "", word[2]))


def evict(bug: str, me: str, page: str) -> Thread:
    """evict.c: win, free_run; pages.c: pages_release."""
    word = yield acq(page)
    if word[0] in ("FREE", "CLAIM", "CONT"):
        return
    free = yield from dead_or_nobody(word)
    if not free:
        return
    to = "FREEING" if word[0] == "FREEING" else "EVICT"
    won = yield swap(page, word, (to, me, word[2]))
    if not won:
        return
    mine = yield see("small")
    if mine == (page, word[2]):
        yield note("small", 0)
    pages = yield acq(f"pages of {page}")
    yield put_rel(page, ("FREEING", me, word[2]))
    if pages == 2:
        yield from free_tail(bug, word[2])
    yield put_rel(page, ("FREE", "", word[2]))


def sweep(bug: str, me: str) -> Thread:
    """sweep.c: sweep_tail."""
    word = yield acq(TAIL)
    if word[0] != "CONT":
        return
    head = yield acq(HEAD)
    run = head[0] in ("OPEN", "SEALED", "EVICT", "FREEING") and head[2] == word[2]
    if run and head[0] in ("SEALED", "EVICT"):
        pages = yield acq("pages of page 0")
        run = pages == 2
    if not run:
        yield swap(TAIL, word, ("FREE", "", word[2]))


def drain(bug: str, me: str) -> Thread:
    """walk.c: walk_drain; sweep.c: sweep_mend.  Then every page is free."""
    filled = yield see("small")
    if filled != 0:
        word = yield acq(filled[0])
        bytes_ = yield rlx(f"bytes of {filled[0]}")
        if word != ("SEALED", "", filled[1]) or bytes_ != ("small", filled[1]):
            raise Broken(f"the small run was taken: {word}, bytes of {bytes_}")
    for page in PAGES:
        yield from evict(bug, me, page)
    for page in PAGES:
        word = yield acq(page)
        if word[0] == "CLAIM":
            dead = yield gone(word[1])
            if dead:
                yield swap(page, word, ("FREE", "", word[2]))
    yield from sweep(bug, me)


def promise(words: dict[str, Any], results: dict[str, Any]) -> str | None:
    for page in PAGES:
        if words[page][0] != "FREE":
            return f"{page} is left as {words[page]}"
    return None


def build(bug: str, others: str, killed: tuple[str, ...]) -> Program:
    actors = {
        "writer": partial(writer, bug, "writer"),
        "small": partial(small, bug, "small"),
        "resume": partial(resume, bug, "resume"),
        "sweep": partial(sweep, bug, "sweep"),
        "evict": partial(evict, bug, "evict", HEAD),
        "last": partial(drain, bug, "last"),
    }
    threads = {who: actors[who] for who in ("writer", *others.split(", "), "last")}
    return Program(
        words={
            **{page: ("FREE", "", i) for i, page in enumerate((HEAD, TAIL), start=1)},
            **{f"pages of {page}": 1 for page in PAGES},
            **{f"bytes of {page}": ("nobody", 0) for page in PAGES},
        },
        threads=threads,
        notes={"small": 0, f"had {HEAD}": 1, f"had {TAIL}": 2},
        promise=promise,
        killed=killed,
        kills=len(killed),
        last="last",
    )


MIRRORS = (
    "pages_claim, pages_form, pages_trim, pages_release, pages_own_prefix; win, free_run; "
    "sweep_tail"
)
MODELS = [
    Model(
        "pages-evict",
        MIRRORS,
        lambda bug: build(bug, "small, evict", ("writer", "evict")),
        {"tails-freed-blindly": EVERYWHERE, "generation-of-the-head-only": EVERYWHERE},
    ),
    Model(
        "pages-resume",
        MIRRORS,
        lambda bug: build(bug, "small, resume", ("writer", "resume")),
        {"tails-not-checked": EVERYWHERE},
    ),
    Model(
        "pages-sweep",
        MIRRORS,
        lambda bug: build(bug, "small, sweep", ("writer",)),
        {"tails-before-the-head": EVERYWHERE},
    ),
    Model(
        "pages-all",
        MIRRORS,
        lambda bug: build(bug, "small, resume, evict, sweep", ("writer", "resume", "evict")),
        {},
        ("sc",),
    ),
]
