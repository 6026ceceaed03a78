/* SPDX-License-Identifier: BSD-3-Clause */
/* names.c: see names.h. */
#include "names.h"

#include "hash.h"

#define NAME_PROBES 16u

uint16_t name_find(struct call *k, uint64_t hash) {
    plc_cache *c = k->c;
    hash |= 1u; /* 0 is a free row */
    uint32_t home = (uint32_t)(hash >> 32);
    for (uint32_t i = 0; i < NAME_PROBES; i++) {
        uint32_t number = (home + i) & (c->geo.names - 1);
        if (number == NAME_WHOLE || number == PLC_NOTES) {
            continue;
        }
        word *w = &name_row(c, number)->hash;
        uint64_t there = word_acq(w);
        if (there == hash || (there == 0 && (word_swap(w, 0, hash) || word_acq(w) == hash))) {
            return (uint16_t)number;
        }
    }
    uint32_t shared = home & (c->geo.names - 1);
    return (uint16_t)(shared == NAME_WHOLE || shared == PLC_NOTES ? 1 : shared);
}

void name_invalidate(const plc_cache *c, uint16_t number) {
    atomic_fetch_add_explicit(&name_row(c, number)->generation, 1, memory_order_release);
}

/* Moments are compared in the unit that entries store, tenths of a second since the region's creation: an
 * entry of the flush's own tenth counts as later. */
static uint64_t tenths(const plc_cache *c, uint64_t ms) {
    return ms <= c->created_ms ? 0 : (ms - c->created_ms) / 100;
}

bool name_flushed(const plc_cache *c, uint64_t created_ms, uint64_t now_ms) {
    if (!name_any_flush(c)) {
        return false;
    }
    uint64_t created = tenths(c, created_ms);
    for (unsigned i = 0; i < FLUSHES_MOST; i++) { /* before flushed_ms: what is taken out here is in there by then */
        uint64_t at = word_acq(&c->super->flush_at_ms[i]);
        if (at != 0 && now_ms >= at && created < tenths(c, at)) {
            return true;
        }
    }
    return created < tenths(c, word_acq(&c->super->flushed_ms));
}

static void raise_word(word *w, uint64_t to) {
    for (unsigned i = 0; i < 64; i++) {
        uint64_t old = word_acq(w);
        if (old >= to || word_swap(w, old, to)) {
            return;
        }
    }
}

bool name_flush_at(const plc_cache *c, uint64_t at_ms, uint64_t now_ms) {
    word_put_rel(&c->super->any_flush, 1); /* first: whoever sees the flush also looks for it */
    fence_full();
    if (at_ms <= now_ms) {
        raise_word(&c->super->flushed_ms, at_ms);
        return true;
    }
    for (unsigned i = 0; i < FLUSHES_MOST; i++) {
        word *w = &c->super->flush_at_ms[i];
        uint64_t had = word_acq(w);
        if (had != 0 && had <= now_ms) { /* passed: kept elsewhere before its place is taken */
            raise_word(&c->super->flushed_ms, had);
        }
        if (had <= now_ms && word_swap(w, had, at_ms)) {
            return true;
        }
    }
    return false;
}
