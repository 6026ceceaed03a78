/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reserve.c: the exported functions of plc.h for values that are filled in place.  A reservation is an open run that
 * this process owns and that nothing names: so its death, or its standing still, is that of any writer (R5).  The
 * filler writes through a mapping of its own that covers the value's pages and no other byte.
 */
#include <errno.h>
#include <stdlib.h>

#include "counters.h"
#include "lease.h"
#include "part.h"
#include "verbs.h"

enum stage {
    STAGE_FILLED,  /* it may be written to */
    STAGE_SEALING, /* it cannot be written to any more, and is not published yet */
    STAGE_SEALED,
    STAGE_GONE
};

struct plc_reservation {
    enum stage stage;
    uint64_t owner;  /* whose run it is: of a fork child, another process's */
    uint64_t ticket; /* from sealing on: for the filler's mapping, which goes on showing the value; 0: none yet */
    struct part part;
    struct fill fill;
    struct spec spec; /* its key: */
    uint8_t key[PLC_KEY_MAX];
};

/* Is it this process's, and in that stage? */
static bool is_mine(plc_cache *c, const plc_reservation *r) {
    return r->owner == word_rlx(&c->owner) && word_acq(c->fork_mark) == 1;
}

static uint64_t run_bytes(const plc_reservation *r) {
    return (uint64_t)r->fill.pages << PAGE_SHIFT;
}

/* Ends an open run that nothing names.  pre: the window is open. */
static void give_run(struct call *k, plc_reservation *r) {
    word_add_rlx(&k->row->reserved, -run_bytes(r));
    run_finish(k, &r->fill);
}

/* The run, with this call's place as its owner.  pre: the window is open. */
static plc_status make_run(struct call *k, struct store *st, plc_reservation *r) {
    store_sum(st);
    st->spec.options |= ENTRY_PAGED;
    plc_status s = store_room(st);
    if (s != PLC_OK) {
        return s;
    }
    r->fill = st->fill;
    r->owner = k->owner;
    word_add_rlx(&k->row->reserved, run_bytes(r));
    if (!lease_room(k, 0, 0)) { /* counted together with this one */
        k->want_pause = k->suspect != 0; /* who may be dead: tried again */
        give_run(k, r);
        return PLC_FULL;
    }
    r->spec = st->spec;
    r->spec.key = r->key;
    memcpy(r->key, k->key, k->key_length);
    return PLC_OK;
}

static plc_status reserve(plc_cache *c, const plc_entry *entry, uint64_t length, plc_reservation *r) {
    struct call k;
    struct store st;
    plc_entry terms = *entry;
    terms.parts = NULL;
    terms.part_count = 0;
    terms.deadline_ms = 0;
    if (length > PLC_SIZE_MAX) {
        return PLC_TOO_LARGE;
    }
    plc_status s = call_begin(&k, c);
    if (s != PLC_OK) {
        return s;
    }
    bool refused =
        index_key(&k, terms.key, terms.key_length) != PLC_OK || verb_given(&st, &k, PLC_SET, &terms) != PLC_OK;
    s = call_open(&k, refused);
    if (s != PLC_OK) {
        return s;
    }
    st.spec.length = length;
    s = make_run(&k, &st, r);
    if (s == PLC_OK) {
        word_add_rlx(&c->holding->alive, 1);
    }
    return call_leave(&k, s);
}

/* Maps the pages behind those of header and key.  pre: the run is made. */
static int map_value(plc_cache *c, plc_reservation *r) {
    uint64_t value_at = entry_value_at(entry_options(&r->spec), r->spec.key_length);
    return part_map(c, &r->part, PART_FILLED, ((uint64_t)r->fill.head << PAGE_SHIFT) + value_at, r->spec.length);
}

plc_status plc_reserve(plc_cache *cache, const plc_entry *entry, uint64_t length, plc_reservation **out, void **bytes) {
    static uint8_t nothing; /* where a value of no bytes begins */
    if (cache == NULL || entry == NULL || out == NULL || bytes == NULL) {
        return PLC_INVALID;
    }
    if (cache->holding == NULL) {
        return PLC_UNSUPPORTED;
    }
    plc_reservation *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return PLC_NO_MEMORY;
    }
    plc_status s = reserve(cache, entry, length, r);
    if (s != PLC_OK) {
        free(r);
        return s;
    }
    int error = map_value(cache, r);
    if (error != 0) {
        plc_reservation_end(cache, r);
        return error == ENOMEM ? PLC_NO_MEMORY : PLC_SYSTEM;
    }
    *out = r;
    *bytes = r->part.at != NULL ? r->part.at : &nothing;
    return PLC_OK;
}

/* ---- sealing --------------------------------------------------------------------------------- */

/* The run is held for the filler's own eyes before it can be seen, and so evicted, by others. */
static plc_status publish(struct call *k, plc_reservation *r, uint64_t deadline_ms, uint64_t *token) {
    struct store st;
    if (r->ticket == 0) {
        plc_status s = lease_own(k, &r->fill, &r->ticket);
        if (s != PLC_OK) {
            return s;
        }
    }
    store_begin(&st, k);
    st.spec = r->spec;
    st.spec.key = k->key;
    st.spec.deadline_ms = deadline_ms;
    st.spec.created = entry_created_now(k);
    st.fill = r->fill;
    st.placed = true;
    plc_status s = verb_seal(&st);
    uint64_t reserved = run_bytes(r);
    r->fill = st.fill; /* what was not published stays open, and may be sealed again */
    if (s == PLC_OK) {
        r->stage = STAGE_SEALED;
        word_add_rlx(&k->row->reserved, -reserved);
        *token = st.spec.token;
    }
    return s;
}

static plc_status seal(plc_cache *c, plc_reservation *r, uint64_t deadline_ms, uint64_t *token) {
    struct call k;
    plc_status s = call_begin(&k, c);
    if (s != PLC_OK) {
        return s;
    }
    if (!holding_lock(c->holding)) {
        call_refuse(&k);
        return PLC_BUSY;
    }
    s = call_open(&k, index_key(&k, r->key, r->spec.key_length) != PLC_OK);
    if (s == PLC_OK) {
        s = call_leave(&k, publish(&k, r, deadline_ms, token));
    }
    holding_unlock(c->holding);
    return s;
}

plc_status plc_seal(plc_cache *cache, plc_reservation *reservation, uint64_t deadline_ms, uint64_t *token) {
    uint64_t published = 0;
    if (cache == NULL || reservation == NULL) {
        return PLC_INVALID;
    }
    if (atomic_load_explicit(&cache->closed, memory_order_acquire) != 0) {
        return PLC_CLOSED;
    }
    if (!is_mine(cache, reservation) || reservation->stage > STAGE_SEALING) {
        return PLC_INVALID;
    }
    if (reservation->stage == STAGE_FILLED) {
        if (part_seal(cache, &reservation->part) != 0) {
            return PLC_SYSTEM;
        }
        reservation->stage = STAGE_SEALING;
    }
    plc_status s = seal(cache, reservation, deadline_ms, &published);
    if (s == PLC_OK && token != NULL) {
        *token = published;
    }
    return s;
}

/* ---- giving back ----------------------------------------------------------------------------- */

/* Its pages become free; a lease on them that sealing in vain has taken goes first, or they would be in limbo. */
static void free_run(plc_cache *c, plc_reservation *r) {
    struct call k;
    if (r->ticket != 0 && holding_lock(c->holding)) {
        (void)lease_drop(c, r->ticket);
        holding_unlock(c->holding);
        r->ticket = 0;
    }
    if (call_enter_late(&k, c)) {
        give_run(&k, r);
        (void)call_leave(&k, PLC_OK);
    } /* else it is this process's until its end */
}

void plc_abort(plc_cache *cache, plc_reservation *reservation) {
    if (cache == NULL || reservation == NULL || reservation->stage > STAGE_SEALING || !is_mine(cache, reservation)) {
        return;
    }
    part_disown(cache, &reservation->part);
    free_run(cache, reservation);
    reservation->stage = STAGE_GONE;
}

void plc_reservation_end(plc_cache *cache, plc_reservation *reservation) {
    if (cache == NULL || reservation == NULL) {
        return;
    }
    plc_abort(cache, reservation);
    part_unmap(cache, &reservation->part);
    uint64_t ticket = reservation->stage == STAGE_SEALED ? reservation->ticket : 0;
    free(reservation);
    part_release(cache, ticket);
}
