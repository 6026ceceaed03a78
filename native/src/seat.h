/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seat.h: a ticket and a lane of counters that one thread keeps, so that its calls write no cache line that
 * other threads write too.  There are LANES seats in a process; the calls of further threads, and those that
 * a signal handler makes inside a call of its own thread, take a shared ticket each time (call.c).
 *
 * A seat names its thread.  It needs no farewell: the seat of a thread that is gone is given to the next that
 * wants one.
 */
#ifndef PLC_SEAT_H
#define PLC_SEAT_H

#include "domain.h"

/* Tickets that are nobody's seat, as bits of plc_cache.tickets. */
#define SHARED_TICKETS (~0x0101010101010101ull)
static_assert(LANES == 8 && TICKETS == 64, "seat i has ticket 8 i, whose pin cell has a cache line of its own");

/* What a thread remembers: its seats in that many regions, believed while the epoch is that of the seat's region (a
 * fork changes it).  A handle is never used for another region (region_open.c).  Found by one load from the thread's
 * own block, in which glibc has room for some words of a library that is loaded late; elsewhere by a call. */
#define SEATS_KEPT 4u
struct kept_seat {
    struct seat *seat;
    uint64_t epoch;
};
#if defined(__GLIBC__)
extern _Thread_local struct kept_seat seat_kept[SEATS_KEPT]
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
#else
extern _Thread_local struct kept_seat seat_kept[SEATS_KEPT];
#endif

static inline struct seat *seat_sit(struct seat *seat) {
    if (seat == NULL || __builtin_expect(atomic_load_explicit(&seat->busy, memory_order_relaxed) != 0, 0)) {
        return NULL;
    }
    /* No locked instruction, which would keep the call from overlapping with what came before: whoever closes makes
     * every thread pass a barrier (region_close), and then sees this store, or the call sees `closed`. */
    atomic_store_explicit(&seat->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return seat;
}

/* The calling thread's seat, busy from now on.  NULL: it has none, or a call of its own is under way. */
struct seat *seat_enter(plc_cache *c);

/* The same if it is the first that the thread remembers; else NULL. */
static inline __attribute__((always_inline)) struct seat *seat_enter_first(plc_cache *c) {
    struct seat *seat = seat_kept[0].seat;
    bool mine = seat != NULL && seat->c == c && seat_kept[0].epoch == word_rlx(&c->seat_epoch);
    return __builtin_expect(mine, 1) ? seat_sit(seat) : NULL;
}

static inline void seat_leave(struct seat *seat) {
    atomic_store_explicit(&seat->busy, 0, memory_order_release);
}

/* All tickets are free, and no thread has a seat: at the beginning, and in a fork child. */
void seat_forget(plc_cache *c);

/* This process has got its slot: from now on the seats' lanes and pins are in that row.  pre: no call is under way. */
void seat_settle(plc_cache *c, uint32_t slot);

/* Is no call of a thread with a seat under way? */
bool seat_all_idle(plc_cache *c);

#endif
