/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * truth.c: the dead bytes of every run against what its live entries take.  A run is freed by its dead bytes alone,
 * so more of them than the truth would free what a slot still names; fewer are allowed, a death leaves them so.
 */
#include "truth.h"

#include <stdlib.h>

#include "index.h"

/* What the slots name, in bytes (of a run with one entry: 1), by the run's head. */
static uint64_t *live_bytes(const plc_cache *c) {
    uint64_t slots = (uint64_t)c->geo.shards * c->geo.shard_buckets;
    uint64_t *live = calloc(c->geo.end_page, sizeof *live);
    for (uint64_t i = 0; live != NULL && i < slots * BUCKET_SLOTS; i++) {
        uint64_t v = word_acq(&c->buckets[i / BUCKET_SLOTS].slots[i % BUCKET_SLOTS]);
        struct entry e;
        if (v != 0 && page_in_pool(c, slot_head(v)) && entry_read(c, v, word_acq(page_word(c, slot_head(v))), &e)) {
            live[e.head] += e.spec.options & ENTRY_OWN ? 1 : e.bytes;
        }
    }
    return live;
}

uint32_t runs_overcounted(const plc_cache *c) {
    domain_open(c);
    uint64_t *live = live_bytes(c);
    uint32_t wrong = live == NULL ? 1 : 0;
    for (uint32_t page = c->geo.first_page; live != NULL && page < pages_limit(c); page++) {
        uint64_t a = word_acq(page_side_a(c, page)), b = word_acq(page_side_b(c, page));
        if (page_readable(word_acq(page_word(c, page)))) {
            uint64_t dead = side_b_dead(b) * (side_a_own(a) ? 1ull : ALIGN);
            wrong += dead + live[page] > (side_a_own(a) ? 1 : side_a_mark(a)) ? 1 : 0;
        }
    }
    domain_close(c);
    free(live);
    return wrong;
}
