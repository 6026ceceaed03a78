/* SPDX-License-Identifier: BSD-3-Clause */
/* gauge.c: see gauge.h.  What is still to be taken from the system is free, and follows the last page of the file. */
#include "gauge.h"

#define HINTS_MOST 1024u /* of the ring of free stretches, the latest */

static bool is_free(const plc_cache *c, uint64_t page) {
    return page_state(word_rlx(page_word(c, (uint32_t)page))) == PAGE_FREE;
}

/* The longest of what nobody has ever had and of what the ring names: each is walked as far as it is free. */
static uint64_t longest_hinted(const plc_cache *c) {
    uint32_t first = c->geo.first_page, limit = pages_limit(c), end = c->geo.end_page;
    uint64_t tail = word_rlx(&c->super->free_tail.value), longest = end - pages_used_end(c);
    uint64_t left = GAUGE_PAGES;
    for (uint32_t i = 1; i <= HINTS_MOST && i <= c->geo.free_places; i++) {
        uint64_t hint = word_rlx(&c->free_ring[(tail - i) & (c->geo.free_places - 1)]);
        uint64_t page = hint >> 28, n = BITS(hint, 0, 28), there = 0;
        if (page < first || page >= limit || n <= longest) {
            continue;
        }
        for (; there < n && page + there < limit && left != 0 && is_free(c, page + there); left--) {
            there++;
        }
        longest = there > longest ? there : longest;
    }
    return longest;
}

void gauge_read(struct call *k, plc_stats *stats) {
    const plc_cache *c = k->c;
    uint64_t first = c->geo.first_page, limit = pages_limit(c), end = c->geo.end_page;
    uint64_t taken = limit - first, step = (taken + GAUGE_PAGES - 1) / GAUGE_PAGES;
    uint64_t looked = 0, free = 0, stretch = 0, longest = 0;
    step = step == 0 ? 1 : step;
    for (uint64_t page = first; page < limit; page += step, looked++) {
        bool here = is_free(c, page);
        free += here ? 1 : 0;
        stretch = here ? stretch + 1 : 0;
        longest = stretch > longest ? stretch : longest;
    }
    free = looked == 0 ? 0 : free * taken / looked;
    stretch += end - limit;
    longest = step != 1 ? longest_hinted(c) : stretch > longest ? stretch : longest;
    stats->used_bytes = (taken - free) << PAGE_SHIFT;
    stats->free_bytes = (free + end - limit) << PAGE_SHIFT;
    stats->largest_free_bytes = longest << PAGE_SHIFT;
    stats->leased_bytes = stats->reserved_bytes = 0;
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        const struct shm_process *row = process_row(c, slot);
        if ((word_acq(&row->inc) & 1u) != 0) { /* what the dead had is nobody's */
            stats->leased_bytes += word_rlx(&row->leased);
            stats->reserved_bytes += word_rlx(&row->reserved);
        }
    }
}
