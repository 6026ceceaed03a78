/* SPDX-License-Identifier: BSD-3-Clause */
/* seat.c: see seat.h. */
#include "seat.h"

#include "os_linux.h"

#define ASK_EVERY_MS 100u
#define TID_BITS 0x3fffffu /* of a seat's word: its thread's number (PID_MAX_LIMIT is 2^22) */
#define ADOPTION (1u << 22) /* ... and above them how often it was found to be a thread's own */

_Thread_local struct kept_seat seat_kept[SEATS_KEPT];

/* Each word is stored whole, the epoch last, because a signal handler may do the same in between. */
static void keep(plc_cache *c, struct seat *seat) {
    unsigned place = 0;
    for (unsigned i = 0; i < SEATS_KEPT; i++) {
        if (seat_kept[i].seat == NULL || seat_kept[i].seat->c == c) {
            place = i;
            break;
        }
    }
    volatile struct kept_seat *to = &seat_kept[place];
    to->epoch = 0;
    to->seat = seat;
    to->epoch = word_rlx(&c->seat_epoch);
}

static bool take_from(struct seat *seat, uint32_t owner, uint32_t tid) {
    return atomic_compare_exchange_strong_explicit(&seat->tid, &owner, tid, memory_order_acq_rel, memory_order_acquire);
}

/* Threads whose number is in no use any more: their seats are free.  Only where all are there, so that there are more
 * threads than seats, is it not asked again for a while: threads may come and go all the time. */
static struct seat *take_abandoned(plc_cache *c, uint32_t tid) {
    uint64_t now = os_monotonic_ms();
    if (now - word_rlx(&c->seats_asked_ms) < ASK_EVERY_MS) {
        return NULL;
    }
    for (unsigned i = 0; i < LANES; i++) {
        uint32_t owner = atomic_load_explicit(&c->seats[i].tid, memory_order_acquire);
        if (owner != 0 && !os_thread_there(owner & TID_BITS) && take_from(&c->seats[i], owner, tid)) {
            seat_leave(&c->seats[i]); /* it may have ended inside a call */
            return &c->seats[i];
        }
    }
    word_put_rlx(&c->seats_asked_ms, now);
    return NULL;
}

/* A seat with this thread's number is its own, forgotten, or was that of another thread, which is gone.  Somebody may
 * have seen that one gone before this thread began, and be about to take the seat: so its word changes. */
static bool adopt(struct seat *seat, uint32_t tid) {
    uint32_t owner = atomic_load_explicit(&seat->tid, memory_order_acquire);
    return (owner & TID_BITS) == tid && take_from(seat, owner, owner + ADOPTION);
}

/* Once in the life of a thread, so a call of its own.  pre: this process has its place. */
static __attribute__((noinline)) struct seat *take(plc_cache *c) {
    uint32_t tid = os_thread();
    struct seat *mine = NULL;
    for (unsigned i = 0; i < LANES && mine == NULL; i++) {
        if (adopt(&c->seats[i], tid)) {
            mine = &c->seats[i];
        }
    }
    for (unsigned i = 0; i < LANES && mine == NULL; i++) {
        if (atomic_load_explicit(&c->seats[i].tid, memory_order_relaxed) == 0 && take_from(&c->seats[i], 0, tid)) {
            mine = &c->seats[i];
        }
    }
    mine = mine != NULL ? mine : take_abandoned(c, tid);
    if (mine != NULL) {
        keep(c, mine);
    }
    return mine;
}

static struct seat *look_up(plc_cache *c) {
    uint64_t epoch = word_rlx(&c->seat_epoch);
    for (unsigned i = 0; i < SEATS_KEPT && seat_kept[i].seat != NULL; i++) {
        if (seat_kept[i].seat->c == c && seat_kept[i].epoch == epoch) {
            return seat_kept[i].seat;
        }
    }
    return NULL;
}

struct seat *seat_enter(plc_cache *c) {
    struct seat *seat = look_up(c);
    return seat_sit(seat != NULL ? seat : take(c));
}

bool seat_all_idle(plc_cache *c) {
    for (unsigned i = 0; i < LANES; i++) {
        if (atomic_load_explicit(&c->seats[i].busy, memory_order_acquire) != 0) {
            return false;
        }
    }
    return true;
}

void seat_forget(plc_cache *c) {
    word_put_rlx(&c->seat_epoch, word_rlx(&c->seat_epoch) + 1);
    word_put_rlx(&c->tickets, SHARED_TICKETS);
    for (unsigned i = 0; i < LANES; i++) {
        c->seats[i].c = c;
        word_put_rlx(&c->seats[i].next_token, 0);
        atomic_store_explicit(&c->seats[i].waited, false, memory_order_relaxed);
        atomic_store_explicit(&c->seats[i].tid, 0, memory_order_relaxed);
        seat_leave(&c->seats[i]);
    }
}

void seat_settle(plc_cache *c, uint32_t slot) {
    struct shm_process *row = process_row(c, slot);
    for (uint32_t i = 0; i < LANES; i++) {
        struct seat *seat = &c->seats[i];
        seat->ticket = 8u * i;
        seat->row = row;
        seat->lane = row->lanes[i].counters;
        seat->pin = &row->transient[seat->ticket];
    }
}
