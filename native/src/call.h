/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * call.h: the trampoline: every exported function that works on a region enters and leaves here, and
 * nowhere else.  Before the window opens: is the handle open, are we a fork child, a ticket, the time, the
 * thread's number, the key, whether an argument lies in the region.  After it has closed: results, waking, and noting
 * what PLC_AGAIN wants.  plc_assist does that then, with no window open, and is the only place where an operation's
 * work waits or calls the kernel.
 */
#ifndef PLC_CALL_H
#define PLC_CALL_H

#include "lock.h"
#include "seat.h"
#include "space.h"

/* PLC_OK: k is ready (no key yet); go on with call_open.  PLC_CLOSED, PLC_AGAIN (64 calls are under way), PLC_NO_SLOT
 * (a fork child found no place): nothing to leave. */
plc_status call_begin(struct call *k, plc_cache *c);

/* The same without the time, for reads: now_ms is 0, which is "not asked".  An operation that meets something
 * for which it needs the time has the caller ask for it and begins anew. */
static inline plc_status call_begin_untimed(struct call *k, plc_cache *c);
void call_tell_time(struct call *k);

/* How a call begins that finds anything unusual: a handle that is closed or NULL, a fork child, no seat. */
plc_status call_begin_slow(struct call *k, plc_cache *c);

static inline void call_sit(struct call *k, const struct seat *seat) {
    k->row = seat->row;
    k->lane = seat->lane;
    k->pin = seat->pin;
    k->ticket = seat->ticket;
    k->tid = atomic_load_explicit(&seat->tid, memory_order_relaxed);
}

/* What every call begins with, once it has its place. */
static inline void call_clear(struct call *k) {
    k->owner = word_rlx(&k->c->owner);
    k->now_ms = 0;
    k->dead_count = k->wake_count = k->want_pages = k->suspect = 0;
    k->want_lock = NULL;
    k->want_refresh = k->want_pause = false;
}

static inline __attribute__((always_inline)) plc_status call_begin_untimed(struct call *k, plc_cache *c) {
    if (__builtin_expect(c == NULL, 0)) {
        return PLC_INVALID;
    }
    /* The mark comes first: another thread of a child may be taking its place just now, and seats that were remembered
     * before that are anybody's.  Behind the mark the epoch is seen that tells. */
    struct seat *seat = __builtin_expect(word_acq(c->fork_mark) == 1, 1) ? seat_enter_first(c) : NULL;
    if (__builtin_expect(seat == NULL, 0)) {
        return call_begin_slow(k, c);
    }
    /* only now: close looks at the seats behind it */
    if (__builtin_expect(atomic_load_explicit(&c->closed, memory_order_seq_cst) != 0, 0)) {
        seat_leave(seat);
        return PLC_CLOSED;
    }
    k->c = c;
    k->seat = seat;
    call_sit(k, seat);
    call_clear(k);
    return PLC_OK;
}

/* Opens the window, to be left with call_leave; refused: not, there is nothing to leave then.  PLC_OK; PLC_INVALID. */
void call_refuse(struct call *k);
static inline plc_status call_open(struct call *k, bool refused) {
    if (__builtin_expect(refused, 0)) {
        call_refuse(k);
        return PLC_INVALID;
    }
    domain_open(k->c);
    return PLC_OK;
}

/* Both, for who touches nothing of the caller's with the window open. */
static inline plc_status call_enter(struct call *k, plc_cache *c) {
    plc_status s = call_begin(k, c);
    return s == PLC_OK ? call_open(k, false) : s;
}

/* For what must be given back also when the handle is closed: nothing has been released while something is held.
 * False: there is no place for it (64 calls are under way for very long, or a fork child has found none). */
bool call_enter_late(struct call *k, plc_cache *c);

/* Frees what the call has emptied, closes the window, wakes, notes.  Returns what the caller is to return. */
plc_status call_leave_busy(struct call *k, plc_status s);
static inline __attribute__((always_inline)) plc_status call_leave(struct call *k, plc_status s) {
    if (__builtin_expect(k->seat == NULL || atomic_load_explicit(&k->seat->waited, memory_order_relaxed) ||
                             (k->dead_count | k->wake_count | k->suspect) != 0 || s == PLC_AGAIN || s == PLC_FULL,
                         0)) {
        return call_leave_busy(k, s);
    }
    domain_close(k->c);
    seat_leave(k->seat);
    return s;
}

/* A new token, unique in the region for ever. */
uint64_t call_token(struct call *k);

/* The lock of the key's shard.  PLC_AGAIN: wanted outside; PLC_BUSY: waited for in vain already. */
plc_status call_lock(struct call *k, struct lock_held *held);
void call_unlock(struct call *k, struct lock_held *held);

/* Brackets what works on the region's wait words or locks outside a window: close waits for it.  False: closed. */
bool call_stay(plc_cache *c);
void call_go(plc_cache *c);

plc_status call_assist(plc_cache *c, uint32_t limit_ms);

#endif
