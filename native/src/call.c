/* SPDX-License-Identifier: BSD-3-Clause */
/* call.c: see call.h. */
#include "call.h"

#include "counters.h"

#define TOKEN_BLOCK (1ull << 24)
#define WAIT_MOST_MS 250u    /* behind one lock holder, or for room for a large run */
#define WAIT_SLICE_MS 50u
#define GIVEN_UP_MS 1000u    /* so long a word that was waited for in vain is not waited for again */
#define LATE_TRIES 100000u
#define EPISODE_GAP_MS 100u  /* AGAINs further apart than this are not one wait */

/* What the last PLC_AGAIN of this thread wants. */
static _Thread_local struct wants {
    plc_cache *c;
    uint32_t pages;
    bool refresh, pause;
    word *lock;
    uint64_t seen;
    uint32_t shard, suspect;
    uint64_t since_ms, last_ms; /* of this wait, monotonic; 0: none */
} wants;

/* ---- entering and leaving -------------------------------------------------------------------- */

static bool take_ticket(plc_cache *c, uint32_t *ticket) {
    uint64_t free = word_rlx(&c->tickets);
    while (free != 0) {
        uint32_t i = (uint32_t)__builtin_ctzll(free);
        if (word_swap(&c->tickets, free, free & ~(1ull << i))) {
            *ticket = i;
            return true;
        }
        free = word_rlx(&c->tickets);
    }
    return false;
}

static void give_ticket(plc_cache *c, uint32_t ticket) {
    atomic_fetch_or_explicit(&c->tickets, 1ull << ticket, memory_order_release);
}

static void use_ticket(struct call *k, plc_cache *c) {
    k->row = process_row(c, my_slot(c));
    k->lane = NULL;
    k->pin = &k->row->transient[k->ticket];
    k->tid = os_thread();
}

/* Who works: the thread in its seat, or with one of the shared tickets. */
static bool take_place(struct call *k, plc_cache *c) {
    k->seat = seat_enter(c);
    return k->seat != NULL || take_ticket(c, &k->ticket);
}

/* Where it counts and pins.  pre: the handle is open, and is not closed to its end before the place is given back. */
static void use_place(struct call *k, plc_cache *c) {
    if (k->seat != NULL) {
        call_sit(k, k->seat);
    } else {
        use_ticket(k, c);
    }
}

static void give_place(struct call *k) {
    if (k->seat != NULL) {
        seat_leave(k->seat);
    } else {
        give_ticket(k->c, k->ticket);
    }
}

static plc_status cannot_begin(plc_cache *c) {
    return atomic_load_explicit(&c->closed, memory_order_acquire) != 0 ? PLC_CLOSED : PLC_NO_SLOT;
}

plc_status call_begin_slow(struct call *k, plc_cache *c) {
    if (c == NULL) {
        return PLC_INVALID;
    }
    if (atomic_load_explicit(&c->closed, memory_order_acquire) != 0) {
        return PLC_CLOSED; /* also if it is opened again just now */
    }
    if (word_acq(c->fork_mark) != 1 && process_adopt(c) != 0) {
        return cannot_begin(c);
    }
    k->c = c;
    if (!take_place(k, c)) {
        wants = (struct wants){.c = c, .pause = true, .since_ms = wants.since_ms, .last_ms = wants.last_ms};
        return PLC_AGAIN;
    }
    if (atomic_load_explicit(&c->closed, memory_order_seq_cst) != 0) { /* close looks at the places behind it */
        give_place(k);
        return PLC_CLOSED;
    }
    use_place(k, c); /* only now: before, the handle may be opened again, in another place */
    call_clear(k);
    return PLC_OK;
}

bool call_enter_late(struct call *k, plc_cache *c) {
    if (word_acq(c->fork_mark) != 1 && process_adopt(c) != 0) {
        return false;
    }
    for (unsigned tries = 0; !take_ticket(c, &k->ticket); tries++) { /* others are in calls, which do not wait */
        if (tries == LATE_TRIES) {
            return false;
        }
        os_yield();
    }
    k->c = c;
    k->seat = NULL;
    use_ticket(k, c);
    call_clear(k);
    k->now_ms = os_now_ms();
    domain_open(c);
    return true;
}

void call_refuse(struct call *k) {
    give_place(k);
}

plc_status call_begin(struct call *k, plc_cache *c) {
    uint64_t now = os_now_ms();
    plc_status s = call_begin_untimed(k, c);
    k->now_ms = now;
    return s;
}

void call_tell_time(struct call *k) {
    domain_close(k->c);
    k->now_ms = os_now_ms();
    domain_open(k->c);
}

static void note_wants(const struct call *k) {
    plc_cache *c = k->c;
    uint64_t since = wants.c == c ? wants.since_ms : 0, last = wants.last_ms;
    wants = (struct wants){
        .c = c,
        .pages = k->want_pages,
        .refresh = k->want_refresh,
        .pause = k->want_pause,
        .lock = k->want_lock,
        .seen = k->lock_seen,
        .shard = k->shard,
        .suspect = k->suspect,
        .since_ms = since,
        .last_ms = last,
    };
}

/* Of the holders, each is asked once in a wait, however long the wait was for other things. */
static bool unasked(const struct call *k) {
    return k->suspect != 0 && word_rlx(&k->c->reaped_ms[k->suspect]) < wants.since_ms;
}

/* A large placement that found others in its way is tried again for a while before it is refused. */
static bool worth_another(const struct call *k) {
    uint64_t now = os_monotonic_ms();
    bool same = wants.c == k->c && wants.since_ms != 0 && now - wants.last_ms < EPISODE_GAP_MS;
    return k->want_pause && (!same || now - wants.since_ms < WAIT_MOST_MS || unasked(k));
}

/* The word changes before the waking: who read it earlier does not fall asleep on it. */
static void wake(word32 *wait_word) {
    atomic_fetch_add_explicit(wait_word, 1, memory_order_release);
    os_wake(wait_word);
}

/* Something is to be done at the end.  A call of its own, so that the usual end saves no registers for it. */
__attribute__((noinline)) plc_status call_leave_busy(struct call *k, plc_status s) {
    plc_cache *c = k->c;
    evict_emptied(k);
    if (s == PLC_AGAIN) {
        count(k, COUNT_AGAIN, 1);
    }
    domain_close(c);
    for (unsigned i = 0; i < k->wake_count; i++) {
        wake(&c->wait_words[k->wakes[i]]);
    }
    struct seat *seat = k->seat;
    give_place(k); /* from here on close may unmap */
    if (s == PLC_FULL && worth_another(k)) {
        s = PLC_AGAIN;
    }
    if (s != PLC_AGAIN && wants.c == c) {
        wants.since_ms = 0; /* the next operation's wait is its own */
    }
    if (seat != NULL) {
        atomic_store_explicit(&seat->waited, s == PLC_AGAIN, memory_order_relaxed);
    }
    if (s == PLC_AGAIN) {
        note_wants(k);
    } else if (k->suspect != 0 && process_reap_due(c, k->suspect, REAP_EVERY_MS)) {
        (void)process_reap_now(c, k->suspect); /* not waited for: this may be a call that must not wait */
    }
    return s;
}

/* ---- tokens and locks ------------------------------------------------------------------------ */

uint64_t call_token(struct call *k) {
    plc_cache *c = k->c;
    word *at = k->seat != NULL ? &k->seat->next_token : &c->next_token;
    uint64_t next = word_rlx(at);
    for (;;) {
        uint64_t mine = next;
        if ((next & (TOKEN_BLOCK - 1)) == 0) { /* none yet, or this block is used up: draw one */
            mine = (word_add_rlx(&c->super->tokens, 1) + 1) * TOKEN_BLOCK + 1;
        }
        if (k->seat != NULL) {
            word_put_rlx(at, mine + 1);
            return mine;
        }
        if (word_swap(at, next, mine + 1)) {
            return mine;
        }
        next = word_rlx(at);
    }
}

plc_status call_lock(struct call *k, struct lock_held *held) {
    plc_cache *c = k->c;
    plc_status s = lock_try(c, &c->locks[k->shard], k->tid, held, &k->lock_seen);
    if (s != PLC_AGAIN) {
        return s;
    }
    struct given_up *g = &c->given_up[k->shard];
    uint64_t seen = k->lock_seen & ~LOCK_WAITERS;
    if (word_rlx(&g->value) == seen && k->now_ms - word_rlx(&g->since_ms) < GIVEN_UP_MS) {
        return PLC_BUSY;
    }
    k->want_lock = &c->locks[k->shard];
    return PLC_AGAIN;
}

void call_unlock(struct call *k, struct lock_held *held) {
    lock_release(held);
    if (held->wake) {
        wake_later(k, k->shard);
    }
}

/* ---- outside the window ---------------------------------------------------------------------- */

static void wait_for_lock(plc_cache *c, uint32_t ms) {
    uint64_t now = os_monotonic_ms();
    if (now - wants.since_ms >= WAIT_MOST_MS) {
        struct given_up *g = &c->given_up[wants.shard];
        word_put_rlx(&g->since_ms, os_now_ms());
        domain_open(c);
        uint64_t held = word_acq(wants.lock);
        domain_close(c);
        word_put_rlx(&g->value, held & ~LOCK_WAITERS);
        wants.since_ms = 0;
        return;
    }
    lock_wait(c, wants.lock, wants.seen, &c->wait_words[wants.shard], ms);
}

bool call_stay(plc_cache *c) {
    atomic_fetch_add_explicit(&c->outside, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&c->closed, memory_order_seq_cst) == 0) {
        return true;
    }
    call_go(c);
    return false;
}

void call_go(plc_cache *c) {
    atomic_fetch_sub_explicit(&c->outside, 1, memory_order_release);
}

/* pre: call_stay. */
static void do_wants(plc_cache *c, uint32_t limit_ms) {
    uint32_t ms = limit_ms < WAIT_SLICE_MS ? limit_ms : WAIT_SLICE_MS;
    uint64_t now = os_monotonic_ms();
    if (wants.since_ms == 0 || now - wants.last_ms > EPISODE_GAP_MS) {
        wants.since_ms = now == 0 ? 1 : now;
    }
    if (!process_reassert(c)) {
        return; /* a signal handler's: what the thread that it interrupts is at must come first */
    }
    if (wants.suspect != 0 && process_reap_due(c, wants.suspect, REAP_EVERY_MS)) {
        (void)process_reap(c, wants.suspect);
    }
    if (wants.refresh) {
        region_refresh(c);
        if (!process_descriptors_ours(c)) { /* somebody closed them all, and the file is gone: nothing can be asked */
            atomic_store(&c->closed, 1);
        }
    }
    if (wants.pages != 0) {
        region_grow(c, wants.pages);
    }
    if (wants.lock != NULL) {
        wait_for_lock(c, ms);
    }
    if (wants.pause && ms != 0) {
        os_sleep_ms(1);
    }
    wants.last_ms = os_monotonic_ms();
}

plc_status call_assist(plc_cache *c, uint32_t limit_ms) {
    if (c == NULL) {
        return PLC_INVALID;
    }
    registry_forget(); /* not later: who stays outside is forgotten too */
    if (atomic_load_explicit(&c->closed, memory_order_acquire) != 0 || !call_stay(c)) {
        return PLC_CLOSED;
    }
    if (wants.c == c) {
        do_wants(c, limit_ms);
    }
    call_go(c);
    return PLC_OK;
}
