/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inplace.c: the exported functions of plc.h for values that are read where they lie.  A view is an address in a second
 * mapping of the region, to which nobody can store; the lease keeps what is there as it is (lease.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "lease.h"
#include "part.h"
#include "read.h"
#include "told.h"

/* pre: call_begin.  PLC_OK: the window is open and holding's lock held; else nothing is. */
static plc_status open_held(struct call *k, bool refused) {
    struct holding *h = k->c->holding;
    if (h == NULL || part_view(k->c) == NULL || !holding_lock(h)) {
        call_refuse(k);
        return PLC_COPY;
    }
    if (refused) {
        holding_unlock(h); /* within the call: behind its end close may free it */
    }
    return call_open(k, refused);
}

/* What a lease began with: open_held; what has come of it.  Gives the results. */
static plc_status close_held(struct call *k, plc_status s, const struct leased *l, plc_view *view, plc_found *found) {
    plc_cache *c = k->c;
    if (s == PLC_OK) {
        word_add_rlx(&c->holding->alive, 1);
    }
    holding_unlock(c->holding); /* within the call: behind its end close may free it */
    s = call_leave(k, s);
    if (s == PLC_OK) {
        *view = (plc_view){part_view(c) + (l->value - c->base), l->found.length, l->ticket, NULL};
        *found = l->found;
    }
    return s;
}

plc_status plc_lease(plc_cache *cache, const void *key, size_t key_length, uint16_t name, plc_view *view,
                     plc_found *found) {
    struct call k;
    struct leased l = {0};
    if (view == NULL || found == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    s = s == PLC_OK ? open_held(&k, index_key(&k, key, key_length) != PLC_OK) : s;
    return s == PLC_OK ? close_held(&k, read_lease(&k, name, &l.ticket, &l.value, &l.found), &l, view, found) : s;
}

plc_status plc_view_run(plc_cache *cache, const plc_view *view, uint64_t *run) {
    uint32_t head = 0, gen = 0;
    if (cache == NULL || view == NULL || run == NULL || view->part != NULL || view->ticket == 0) {
        return PLC_INVALID;
    }
    registry_forget(); /* in a raw clone's child the lock may be held by a thread that is not there */
    if (!holding_lock(cache->holding)) {
        return PLC_INVALID;
    }
    bool known = lease_run(cache, view->ticket, &head, &gen);
    holding_unlock(cache->holding);
    if (!known) {
        return PLC_INVALID;
    }
    *run = told_make(head, gen);
    return PLC_OK;
}

plc_status plc_lease_at(plc_cache *cache, uint64_t run, uint64_t token, plc_view *view, plc_found *found) {
    struct call k;
    struct leased l = {0};
    if (view == NULL || found == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    s = s == PLC_OK ? open_held(&k, false) : s;
    return s == PLC_OK ? close_held(&k, told_lease(&k, (struct told){run, token}, &l), &l, view, found) : s;
}

plc_status plc_get_at(plc_cache *cache, uint64_t run, uint64_t token, void *buffer, size_t capacity, plc_found *found) {
    struct call k;
    plc_found seen = {0};
    if (found == NULL || (buffer == NULL && capacity != 0)) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    s = s == PLC_OK ? call_open(&k, domain_overlaps(cache, buffer, capacity)) : s;
    if (s != PLC_OK) {
        return s;
    }
    s = call_leave(&k, told_read(&k, (struct told){run, token}, buffer, capacity, &seen));
    if (s == PLC_OK || s == PLC_TOO_SMALL) {
        *found = seen;
    }
    return s;
}

plc_status plc_view_private(plc_cache *cache, plc_view *view) {
    if (cache == NULL || view == NULL || view->part != NULL || view->ticket == 0) {
        return PLC_INVALID;
    }
    struct part *part = malloc(sizeof *part);
    if (part == NULL) {
        return PLC_NO_MEMORY;
    }
    uint64_t from = (uint64_t)((const uint8_t *)view->bytes - part_view(cache));
    int error = part_map(cache, part, PART_PRIVATE, from & ~(uint64_t)(PAGE_BYTES - 1),
                         (from & (PAGE_BYTES - 1)) + view->length);
    if (error != 0) {
        free(part);
        return error == ENOMEM ? PLC_NO_MEMORY : PLC_SYSTEM;
    }
    view->bytes = part->at + (from & (PAGE_BYTES - 1));
    view->part = part;
    return PLC_OK;
}

/* A lease, or what a reservation became, is over. */
void part_release(plc_cache *c, uint64_t ticket) {
    struct holding *h = c->holding;
    if (word_acq(c->fork_mark) != 1) { /* in a raw clone's child the lock may be held by a thread that is not there */
        (void)process_adopt(c);
    }
    if (holding_lock(h)) {
        (void)lease_drop(c, ticket); /* else it is this process's until its end */
        holding_unlock(h);
    }
    if (atomic_fetch_sub_explicit(&h->alive, 1, memory_order_acq_rel) == 1 &&
        atomic_load_explicit(&c->closed, memory_order_seq_cst) != 0) {
        region_close_rest(c);
    }
}

void plc_release(plc_cache *cache, plc_view *view) {
    if (cache == NULL || view == NULL || view->ticket == 0) {
        return;
    }
    if (view->part != NULL) {
        part_unmap(cache, view->part);
        free(view->part);
    }
    uint64_t ticket = view->ticket;
    *view = (plc_view){0};
    part_release(cache, ticket);
}
