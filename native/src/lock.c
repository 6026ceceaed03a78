/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.c: see lock.h.  The word is the whole truth; the wait words on their page are hints.  Nothing behind a
 * lock ever needs repair (its critical section holds one shared store), so a dead holder's word is simply
 * exchanged, from exactly the word that was judged: it names the incarnation and a sequence number, so that
 * neither the slot's next tenant nor the same thread's next locking can be meant.
 */
#include "lock.h"

#include "counters.h"
#include "process.h"

#define SPINS 200u
#define SLICE_MS 20u /* and so often a holder is asked after: who is killed just behind the first time is found soon */

static bool holder_alive(const plc_cache *c, uint64_t w) {
    return owner_alive(c, owner_make(lock_slot(w), lock_inc(w)));
}

static bool same_thread(uint64_t a, uint64_t b) {
    return lock_slot(a) == lock_slot(b) && lock_inc(a) == lock_inc(b) && lock_tid(a) == lock_tid(b);
}

plc_status lock_try(plc_cache *c, word *at, uint32_t tid, struct lock_held *held, uint64_t *seen) {
    uint64_t owner = word_rlx(&c->owner);
    uint32_t sequence = atomic_fetch_add_explicit(&c->lock_sequence, 1, memory_order_relaxed);
    uint64_t mine = lock_make(owner_slot(owner), owner_inc(owner), tid, sequence);
    for (unsigned spin = 0; spin < SPINS; spin++) {
        uint64_t w = word_acq(at);
        uint64_t waiters = w & LOCK_WAITERS;
        bool takeover = w != 0 && !holder_alive(c, w);
        if (w != 0 && !takeover && same_thread(w, mine)) {
            return PLC_BUSY;
        }
        if ((w == 0 || takeover) && word_swap(at, w, mine | waiters)) {
            *held = (struct lock_held){.at = at, .mine = mine, .wake = false};
            if (takeover) {
                word_add_rlx(&process_row(c, owner_slot(owner))->counters[COUNT_LOCK_TAKEOVERS], 1);
            }
            return PLC_OK;
        }
        *seen = w;
        pause_cpu();
    }
    return PLC_AGAIN;
}

void lock_release(struct lock_held *held) {
    for (unsigned tries = 0; tries < 4; tries++) { /* it fails once at most: when a waiter sets its bit */
        uint64_t w = word_acq(held->at);
        if ((w & ~LOCK_WAITERS) != held->mine) {
            return; /* nobody may have changed it: garbage, and not mine to put right */
        }
        if (word_swap(held->at, w, 0)) {
            held->wake = (w & LOCK_WAITERS) != 0;
            return;
        }
    }
}

/* True: the word that was waited for can be taken now, or has changed. */
static bool let_go(plc_cache *c, word *at, uint64_t w, word32 *wait_word) {
    uint32_t slot = lock_slot(w);
    if (!process_reap_due(c, slot, SLICE_MS)) {
        return false;
    }
    if (process_reap(c, slot)) {
        return true;
    }
    if (!process_thread_gone(c, w)) {
        return false;
    }
    domain_open(c);
    bool freed = word_swap(at, w, 0); /* that thread never runs again, so nobody will unlock it */
    domain_close(c);
    if (freed && (w & LOCK_WAITERS) != 0) {
        atomic_fetch_add_explicit(wait_word, 1, memory_order_release);
        os_wake(wait_word);
    }
    return true;
}

/* Says in the word that somebody waits.  False: the word is another one now. */
static bool announce(plc_cache *c, word *at, uint64_t *w) {
    domain_open(c);
    bool there = (*w & LOCK_WAITERS) != 0 ? word_acq(at) == *w : word_swap(at, *w, *w | LOCK_WAITERS);
    domain_close(c);
    *w |= LOCK_WAITERS;
    return there;
}

void lock_wait(plc_cache *c, word *at, uint64_t seen, word32 *wait_word, uint32_t ms) {
    domain_open(c);
    uint64_t w = word_acq(at);
    bool alive = w != 0 && holder_alive(c, w);
    domain_close(c);
    if (!alive || ((w ^ seen) & ~LOCK_WAITERS) != 0) {
        return;
    }
    if (let_go(c, at, w, wait_word)) {
        return;
    }
    /* The wait word is read before the bit is set: who unlocks after that changes it before waking. */
    uint32_t ticket = atomic_load_explicit(wait_word, memory_order_acquire);
    if (announce(c, at, &w)) {
        os_wait(wait_word, ticket, ms < SLICE_MS ? ms : SLICE_MS);
    }
}
