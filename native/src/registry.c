/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * registry.c: see registry.h.  The mutex is not taken before a fork, which would have to wait for whatever it is held
 * for: the child makes it anew.  A new attachment is completely filled before it is put in front of the list, so the
 * list is whole at whatever instant a fork happens.  Whoever stands at one that is taken out of it finds its way on,
 * also if it is put in front again meanwhile.
 */
#define _GNU_SOURCE
#include "registry.h"

#include <errno.h>

#include "holding.h"
#include "os_linux.h"
#include "seat.h"

#define CLOSED_LOOKS 256u /* for the handle that a region had */

enum { FORGOT_NOTHING = 0, FORGETTING = 1, FORGOTTEN = 2 };

static struct {
    pthread_mutex_t mutex;
    _Atomic(plc_cache *) first;
    plc_cache *closed; /* the last one first */
    _Atomic(word *) state; /* on a page that reads 0, FORGOT_NOTHING, after every kind of fork */
    bool handler;
} registry = {.mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP};

void registry_lock(void) {
    (void)registry_enter();
}

bool registry_enter(void) {
    return pthread_mutex_lock(&registry.mutex) == 0;
}

bool registry_try_lock(void) {
    return pthread_mutex_trylock(&registry.mutex) == 0;
}

void registry_unlock(void) {
    (void)pthread_mutex_unlock(&registry.mutex);
}

int registry_begin(void (*before)(void), void (*parent)(void), void (*child)(void)) {
    int error = 0;
    if (!registry_enter()) {
        return EDEADLK;
    }
    if (atomic_load(&registry.state) == NULL) {
        word *state = NULL;
        error = os_fork_mark(&state);
        if (error == 0) {
            word_put_rel(state, FORGOTTEN);
            atomic_store(&registry.state, state);
        }
    }
    if (error == 0 && !registry.handler) {
        error = pthread_atfork(before, parent, child);
        registry.handler = error == 0;
    }
    registry_unlock();
    return error;
}

plc_cache *registry_first(void) {
    return atomic_load(&registry.first);
}

plc_cache *registry_find(uint64_t device, uint64_t inode) {
    for (plc_cache *c = atomic_load(&registry.first); c != NULL; c = atomic_load(&c->next)) {
        if (c->base != NULL && c->device == device && c->inode == inode) {
            return c;
        }
    }
    return NULL;
}

const plc_cache *registry_holding(uintptr_t address) {
    for (const plc_cache *c = atomic_load(&registry.first); c != NULL; c = atomic_load(&c->next)) {
        const uintptr_t base = (uintptr_t)c->base;
        if (base != 0 && address >= base && address - base < c->geo.size_bytes) {
            return c;
        }
    }
    return NULL;
}

void registry_add(plc_cache *c) {
    atomic_store(&c->next, atomic_load(&registry.first));
    atomic_store(&registry.first, c);
}

static void take_out(plc_cache *c) {
    _Atomic(plc_cache *) *at = &registry.first;
    while (atomic_load(at) != NULL && atomic_load(at) != c) {
        at = &atomic_load(at)->next;
    }
    if (atomic_load(at) == c) {
        atomic_store(at, atomic_load(&c->next));
    }
}

void registry_retire(plc_cache *c) {
    take_out(c);
    c->next_closed = registry.closed;
    registry.closed = c;
}

/* The mark of a parent's reads 0: what calls its threads were in when it forked, nobody knows. */
plc_cache *registry_reclaim(uint64_t device, uint64_t inode, uint64_t region_id) {
    plc_cache **at = &registry.closed;
    for (unsigned looks = 0; *at != NULL && looks < CLOSED_LOOKS; looks++, at = &(*at)->next_closed) {
        plc_cache *c = *at;
        if (c->device == device && c->inode == inode && c->region_id == region_id && word_acq(c->fork_mark) == 1) {
            *at = c->next_closed;
            return c;
        }
    }
    return NULL;
}

/* What is held in place is the child's too if its parent has made a place for it (forks.c). */
static void forget_held(plc_cache *c) {
    struct holding *h = c->holding;
    if (!h->inherited && h->leases != 0) {
        for (struct part *p = h->parts; p != NULL; p = p->next) {
            if (p->kind != PART_FILLED && p->at != NULL) {
                (void)os_map_limit(p->at, p->bytes, OS_MAP_CLOSED);
            }
        }
        uint8_t *view = atomic_exchange(&c->view, NULL); /* the next lease makes another */
        if (view != NULL) {
            (void)os_map_limit(view, c->geo.size_bytes, OS_MAP_CLOSED);
        }
        holding_lose(h);
    }
    c->inherited = h->inherited ? c->inherited : 0;
    h->inherited = h->forking = false;
    holding_unlock(h);
}

static void forget(plc_cache *c) {
    if (c->holding != NULL) {
        forget_held(c);
    }
    word_put_rlx(&c->owner, 0);
    seat_forget(c);
    atomic_store_explicit(&c->outside, 0, memory_order_relaxed);
    word_put_rlx(&c->next_token, 0);
    word_put_rlx(&c->copy_run[QUEUE_SMALL], 0);
    word_put_rlx(&c->copy_run[QUEUE_MAIN], 0);
    word_put_rlx(&c->suspect, 0);
    for (unsigned i = 0; i < TICKETS; i++) {
        word_put_rlx(&c->last_run[i], 0);
        word_put_rlx(&c->last_main[i], 0);
    }
}

void registry_forget(void) {
    word *state = atomic_load(&registry.state);
    if (state == NULL || word_acq(state) == FORGOTTEN) {
        return;
    }
    sigset_t before;
    os_signals_hold(&before); /* whose handlers' calls would wait for this thread */
    if (word_swap(state, FORGOT_NOTHING, FORGETTING)) {
        for (plc_cache *c = atomic_load(&registry.first); c != NULL; c = atomic_load(&c->next)) {
            if (c->base != NULL) { /* else it is being closed: nothing of it is a child's */
                forget(c);
            }
        }
        registry.mutex = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP; /* a thread of the parent may have
                                                                                     held it */
        word_put_rel(state, FORGOTTEN);
    }
    os_signals_let(&before);
    while (word_acq(state) != FORGOTTEN) {
        os_sleep_ms(1); /* another thread of the child is at it: a handful of stores */
    }
}
