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

/* The calling thread's seat, busy from now on.  NULL: it has none, or a call of its own is under way. */
struct seat *seat_enter(plc_cache *c);

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
