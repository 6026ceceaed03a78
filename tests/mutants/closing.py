# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of entering a region that another thread closes, or that a fork or a clone has copied."""

from __future__ import annotations

from core import Mutant
from order import Order

ENTRY = """\
    struct seat *seat = __builtin_expect(word_acq(c->fork_mark) == 1, 1) ? seat_enter_first(c) : NULL;
    if (__builtin_expect(seat == NULL, 0)) {
        return call_begin_slow(k, c);
    }
    /* only now: close looks at the seats behind it */
    if (__builtin_expect(atomic_load_explicit(&c->closed, memory_order_seq_cst) != 0, 0)) {"""

CLOSINGS: list[Mutant | Order] = [
    Mutant(
        "closed-before-the-seat",
        "G5: a region is unmapped under a call that has looked whether it is closed and has no seat yet",
        "call.h",
        ENTRY,
        """\
    struct seat *seat = word_acq(c->fork_mark) == 1 && word_rlx(&c->seat_epoch) != 0 &&
                                atomic_load_explicit(&c->closed, memory_order_seq_cst) == 0
                            ? seat_enter_first(c)
                            : NULL;
    if (seat == NULL) {
        return call_begin_slow(k, c);
    }
    if (false) {""",
        "test_closing",
    ),
    Mutant(
        "mark-behind-the-seat",
        "G2: two threads of a raw clone's child sit in one seat",
        "call.h",
        ENTRY,
        """\
    struct seat *seat = seat_enter_first(c);
    if (seat == NULL) {
        return call_begin_slow(k, c);
    }
    if (atomic_load_explicit(&c->closed, memory_order_seq_cst) != 0 || word_acq(c->fork_mark) != 1) {""",
        "test_forks",
    ),
    Mutant(
        "fork-not-looked-for",
        "G2: a raw clone's child calls in its parent's place",
        "call.h",
        "__builtin_expect(word_acq(c->fork_mark) == 1, 1) ? seat_enter_first(c) : NULL;",
        "seat_enter_first(c);",
        "test_forks",
    ),
    Mutant(
        "seats-remembered-over-a-fork",
        "G2: a thread of a fork child sits in a seat that may be another's",
        "seat.c",
        "word_put_rlx(&c->seat_epoch, word_rlx(&c->seat_epoch) + 1);",
        "word_put_rlx(&c->seat_epoch, 1);",
        "test_seats",
    ),
    Mutant(
        "lease-unlocked-behind-its-call",
        "G5: a lease that found nothing unlocks what close has freed",
        "inplace.c",
        "    holding_unlock(c->holding); /* within the call: behind its end close may free it */\n"
        "    s = call_leave(k, s);\n",
        "    s = call_leave(k, s);\n    holding_unlock(c->holding);\n",
        "test_closing",
    ),
    Mutant(
        "seats-not-waited-for",
        "G5: a region is unmapped under the call of a thread in its seat",
        "region_open.c",
        "!seat_all_idle(c) ||",
        "",
        "test_seats",
    ),
    Mutant(
        "tickets-not-waited-for",
        "G5: a region is unmapped under a call with a shared ticket",
        "region_open.c",
        "word_acq(&c->tickets) != SHARED_TICKETS ||",
        "",
        "test_seats",
    ),
    Mutant(
        "outside-not-waited-for",
        "G5: a region is unmapped under who waits or grows it for a call",
        "region_open.c",
        "atomic_load_explicit(&c->outside, memory_order_acquire) != 0) {",
        "false) {",
        "test_seats",
    ),
    Mutant(
        "seats-asked-for-now-and-then",
        "R2: threads that come and go have no seats, and take tickets from one another",
        "seat.c",
        "    for (unsigned i = 0; i < LANES; i++) {\n        uint32_t owner = atomic_load_explicit(&c->seats[i].tid,"
        " memory_order_acquire);\n        if (owner != 0 &&",
        "    word_put_rlx(&c->seats_asked_ms, now);\n    for (unsigned i = 0; i < LANES; i++) {\n"
        "        uint32_t owner = atomic_load_explicit(&c->seats[i].tid, memory_order_acquire);\n"
        "        if (owner != 0 &&",
        "test_seats",
        only="threads come and go",
    ),
    Mutant(
        "handles-never-used-again",
        "a process that opens and closes a region again and again grows for ever",
        "region_attach.c",
        "return c != NULL ? handle_again(c, fd) : handle_new(fd, f);",
        "return (c = NULL) != NULL ? handle_again(c, fd) : handle_new(fd, f);",
        "test_reopen",
    ),
    Mutant(
        "closed-handles-in-the-list",
        "a handle that is opened again is twice among those that are attached",
        "registry.c",
        "    take_out(c);\n",
        "    (void)take_out;\n",
        "test_reopen",
    ),
    Mutant(
        "handle-of-another-region",
        "a handle that was closed is that of a region which was made under its name",
        "registry.c",
        "if (c->device == device && c->inode == inode && c->region_id == region_id && word_acq(c->fork_mark) == 1) {",
        "if (region_id != 0 && inode != 0 && device == c->device && word_acq(c->fork_mark) == 1) {",
        "test_reopen",
    ),
    Mutant(
        "handle-of-the-parent",
        "G2: a fork child uses a handle in which its parent's threads were",
        "registry.c",
        " && word_acq(c->fork_mark) == 1) {",
        ") {",
        "test_reopen",
    ),
    Mutant(
        "assist-forgets-late",
        "a raw clone's child that assists first never closes",
        "call.c",
        "    registry_forget(); /* not later: who stays outside is forgotten too */\n",
        "",
        "test_forks",
    ),
    Mutant(
        "lock-of-a-thread-that-is-not-there",
        "a raw clone's child waits for ever when it gives back what its parent held",
        "part.c",
        "    registry_forget();\n    return holding_lock(c->holding);",
        "    return holding_lock(c->holding);",
        "test_lease_forks",
    ),
    Order(
        "looks-while-the-seat-is-on-its-way",
        "G5: the compiler lets a call look whether the region is closed before its seat is stored",
        "seat.h",
        "    atomic_store_explicit(&seat->busy, 1, memory_order_relaxed);\n"
        "    atomic_signal_fence(memory_order_seq_cst);",
        "close",
        "closed-before-the-seat",
    ),
    Order(
        "closed-without-a-barrier",
        "G5: a region is unmapped under a call",
        "region_open.c",
        "os_membarrier() && calls_ended(c)",
        "close",
        "no-membarrier",
    ),
    Order(
        "place-before-closed",
        "G5: who comes with a closed handle while it is opened calls in a place that was",
        "call.c",
        "    use_place(k, c); /* only now: before, the handle may be opened again, in another place */",
        "reopen",
        "place-before-closed",
    ),
    Order(
        "open-before-the-place",
        "G5: who comes with a closed handle is let in before the process has its place",
        "region_attach.c",
        "        registry_add(c);\n        atomic_store(&c->closed, 0);",
        "reopen",
        "open-before-the-place",
    ),
    Order(
        "places-before-the-barrier",
        "G5: a region is unmapped under a call whose seat was stored and not seen",
        "region_open.c",
        "os_membarrier() && calls_ended(c)",
        "close",
        "places-before-the-barrier",
    ),
    Order(
        "barrier-before-closed",
        "G5: a region is unmapped under a call that begins behind the barrier",
        "region_open.c",
        "    uint64_t closing = region_close_begin(c);\n    if (closing == 0) {\n        return;\n    }\n"
        "    fence_full();",
        "close",
        "barrier-before-closed",
    ),
    Order(
        "places-looked-at-once",
        "G5: a region is unmapped under a call that was under way when it was closed",
        "region_open.c",
        "    while (word_acq(&c->tickets) != SHARED_TICKETS || !seat_all_idle(c) ||",
        "close",
        "places-looked-at-once",
    ),
    Order(
        "left-by-a-relaxed-store",
        "G5: a region is unmapped before what a call read has come in",
        "seat.h",
        "atomic_store_explicit(&seat->busy, 0, memory_order_release);",
        "close",
        "left-by-a-relaxed-store",
    ),
    Order(
        "ticket-given-back-relaxed",
        "G5: the same of a call with a shared ticket",
        "call.c",
        "atomic_fetch_or_explicit(&c->tickets, 1ull << ticket, memory_order_release);",
        "close-slow",
        "given-back-relaxed",
    ),
    Order(
        "outside-left-relaxed",
        "G5: the same of who works outside a window",
        "call.c",
        "atomic_fetch_sub_explicit(&c->outside, 1, memory_order_release);",
        "close-slow",
        "gone-relaxed",
    ),
    Order(
        "mark-stored-relaxed",
        "G2: a thread of a child sees that it has a place, and that it has not",
        "place.c",
        "            word_put_rel(c->fork_mark, 1);",
        "enter-child",
        "mark-stored-relaxed",
    ),
    Order(
        "mark-before-the-place",
        "G2: a thread of a child calls in nobody's place",
        "place.c",
        "        error = adopt(c);\n        if (error == 0) {\n            word_put_rel(c->fork_mark, 1);",
        "enter-child",
        "mark-before-the-place",
    ),
    Order(
        "forgotten-by-each",
        "G2: a thread of a child forgets the place that another has taken",
        "registry.c",
        "if (word_swap(state, FORGOT_NOTHING, FORGETTING)) {",
        "enter-child",
        "forgotten-by-each",
    ),
]
