/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.h: namespaces and tags: one generation word each, so that invalidating any number of entries is one
 * store.  An entry stores the SUM of the generations it depends on, captured before the truth behind it was
 * read; generations only grow, so the sums are equal only when nothing was invalidated since.
 */
#ifndef PLC_NAMES_H
#define PLC_NAMES_H

#include "pages.h"

#define NAME_WHOLE 0u /* row 0: the whole region; every sum contains it */

static inline struct shm_name *name_row(const plc_cache *c, uint32_t number) {
    return &c->names[number & (c->geo.names - 1)];
}

/* The number of a name, made at first use.  A full table shares rows: then one name's invalidation takes
 * another's entries with it, never the reverse. */
uint16_t name_find(struct call *k, uint64_t hash);

static inline uint64_t name_sum_of_tags(const plc_cache *c, const uint16_t tags[4]) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < PLC_TAGS_MAX; i++) {
        if (tags[i] != 0) {
            sum += word_acq(&name_row(c, tags[i])->generation);
        }
    }
    return sum;
}

/* Sum of the generations of the whole, of name and of tags (0: none; NULL: none at all), each loaded with acquire.
 * Short where there are no tags, for the readers. */
static inline __attribute__((always_inline)) uint64_t name_sum(const plc_cache *c, uint16_t name,
                                                               const uint16_t tags[4]) {
    uint64_t sum = word_acq(&name_row(c, NAME_WHOLE)->generation);
    if (name != 0) {
        sum += word_acq(&name_row(c, name)->generation);
    }
    return tags != NULL ? sum + name_sum_of_tags(c, tags) : sum;
}

/* Was there ever a flush for a moment?  If not, none of them concerns an entry, and the time does not matter. */
static inline bool name_any_flush(const plc_cache *c) {
    return word_acq(&c->super->any_flush) != 0;
}

void name_invalidate(const plc_cache *c, uint16_t number);

/* Was an entry of this moment of creation flushed by a flush for a later moment?  (ms since 1970) */
bool name_flushed(const plc_cache *c, uint64_t created_ms, uint64_t now_ms);
/* Invalidates what was created before at_ms, from at_ms on.  False: as many as there are places are pending. */
bool name_flush_at(const plc_cache *c, uint64_t at_ms, uint64_t now_ms);

#endif
