/* SPDX-License-Identifier: BSD-3-Clause */
/* walk.c: see walk.h.  A cursor is where the next slice begins; garbage in it ends the walk. */
#include "walk.h"

#define SLICE_BUCKETS 1024u
#define SLICE_PAGES 4096u
#define DRAIN_PAGES 256u

uint64_t walk_buckets(const plc_cache *c) {
    return (uint64_t)c->geo.shards * c->geo.shard_buckets;
}

bool walk_entry(struct call *k, const word *slot, struct entry *e) {
    plc_cache *c = k->c;
    for (unsigned tries = 0; tries < INDEX_TRIES; tries++) {
        uint32_t limit = pages_limit(c); /* another thread may raise it */
        uint64_t v = word_acq(slot);
        uint32_t head = slot_head(v);
        if (v == 0 || !page_in_pool(c, head)) {
            if (v == 0 || limit == pages_limit(c)) {
                return false;
            }
            continue;
        }
        uint64_t w = word_acq(page_word(c, head));
        if (!page_readable(w) || word_acq(slot) != v) {
            continue;
        }
        if (!entry_read(c, v, w, e)) {
            if (word_acq(slot) == v && limit == pages_limit(c)) {
                return false;
            }
            continue;
        }
        return entry_valid(k, e);
    }
    return false;
}

/* Is it one that was asked for?  (0: all but notes) */
static bool wanted(const struct entry *e, uint16_t name) {
    return name == 0 ? e->spec.name != PLC_NOTES : e->spec.name == name;
}

/* One record; false: the buffer is full. */
static bool add_record(struct call *k, const struct entry *e, uint8_t *buffer, size_t capacity, size_t *used) {
    uint32_t n = e->spec.key_length;
    if (*used + 4 + n > capacity) {
        return false;
    }
    uint8_t *to = buffer + *used;
    copy_racing(to + 4, e->spec.key, n);
    if (index_still(k, e)) {
        to[0] = (uint8_t)(n & 0xffu);
        to[1] = (uint8_t)(n >> 8);
        to[2] = e->spec.options & ENTRY_TEXT ? 1 : 0;
        to[3] = 0;
        *used += 4 + n;
    }
    return true;
}

plc_status walk_scan(struct call *k, uint64_t *cursor, uint16_t name, uint8_t *buffer, size_t capacity, size_t *used) {
    uint64_t all = walk_buckets(k->c), at = *cursor;
    uint64_t end = at < all && all - at > SLICE_BUCKETS ? at + SLICE_BUCKETS : all;
    *used = 0;
    for (; at < end; at++) {
        size_t before = *used;
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            struct entry e;
            if (!walk_entry(k, &k->c->buckets[at].slots[i], &e) || !wanted(&e, name)) {
                continue;
            }
            if (!add_record(k, &e, buffer, capacity, used)) {
                *used = before; /* the bucket comes again, whole */
                *cursor = at;
                return PLC_OK;
            }
        }
    }
    *cursor = at;
    return at >= all ? PLC_DONE : PLC_OK;
}

plc_status walk_count(struct call *k, uint64_t *cursor, uint16_t name, uint64_t *count_of) {
    uint64_t all = walk_buckets(k->c), at = *cursor;
    uint64_t end = at < all && all - at > SLICE_BUCKETS ? at + SLICE_BUCKETS : all;
    for (; at < end; at++) {
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            struct entry e;
            if (walk_entry(k, &k->c->buckets[at].slots[i], &e) && wanted(&e, name) && index_still(k, &e)) {
                *count_of += 1;
            }
        }
    }
    *cursor = at;
    return at >= all ? PLC_DONE : PLC_OK;
}

/* Adds the run at head to the usage.  Returns how many pages to step over. */
static uint32_t add_run(struct call *k, uint32_t head, uint64_t w, plc_usage *usage) {
    plc_cache *c = k->c;
    uint64_t a = word_rlx(page_side_a(c, head)), b = word_rlx(page_side_b(c, head));
    uint32_t pages = pages_of_run(c, head, a);
    pages = pages == 0 ? 1 : pages;
    if (page_state(w) == PAGE_LIMBO) {
        usage->limbo_pages += pages;
    } else if (side_a_own(a)) {
        bool dead = run_empty(a, b);
        usage->large_pages += pages;
        usage->entry_bytes += dead ? 0 : (uint64_t)pages << PAGE_SHIFT;
        usage->dead_bytes += dead ? (uint64_t)pages << PAGE_SHIFT : 0;
    } else {
        uint64_t mark = side_a_mark(a), dead = (uint64_t)side_b_dead(b) * ALIGN;
        dead = dead < mark ? dead : mark;
        usage->small_pages += pages;
        usage->entry_bytes += mark - dead;
        usage->dead_bytes += dead;
    }
    usage->parked_runs += page_state(w) == PAGE_PARKED ? 1 : 0;
    return pages;
}

plc_status walk_usage(struct call *k, uint64_t *cursor, plc_usage *usage) {
    plc_cache *c = k->c;
    uint32_t limit = pages_limit(c), first = c->geo.first_page;
    uint64_t at = *cursor < first ? first : *cursor;
    uint64_t end = at + SLICE_PAGES < limit ? at + SLICE_PAGES : limit;
    while (at < end) {
        uint64_t w = word_acq(page_word(c, (uint32_t)at));
        if (page_readable(w) || page_state(w) == PAGE_FREEING) {
            at += add_run(k, (uint32_t)at, w, usage);
            continue;
        }
        usage->free_pages += page_state(w) == PAGE_FREE ? 1 : 0;
        at++;
    }
    *cursor = at;
    return at >= limit ? PLC_DONE : PLC_OK;
}

/* Cursor of a drain: the page, and behind it, when everything is evicted, the stretch of free pages before
 * it.  The lower bits say which of the two passes it is. */
#define PASS_EVICT 0u
#define PASS_COUNT 1u

static uint64_t drain_cursor(uint64_t page, uint64_t stretch, unsigned pass) {
    return page << 29 | stretch << 1 | pass;
}

plc_status walk_drain(struct call *k, uint64_t *cursor, uint64_t *free_pages, uint64_t *longest) {
    plc_cache *c = k->c;
    uint32_t limit = pages_limit(c), first = c->geo.first_page;
    uint64_t at = *cursor >> 29, stretch = BITS(*cursor, 1, 28);
    unsigned pass = (unsigned)(*cursor & 1u);
    at = at < first ? first : at;
    if (pass == PASS_EVICT) {
        for (uint32_t i = 0; i < DRAIN_PAGES && at < limit; i++, at++) {
            enum page_state state = page_state(word_acq(page_word(c, (uint32_t)at)));
            if (state >= PAGE_OPEN && state <= PAGE_LIMBO) {
                (void)evict_run(k, (uint32_t)at, EVICT_ALL);
            } else if (state == PAGE_CLAIM || state == PAGE_CONT) {
                sweep_mend(k, (uint32_t)at);
            }
        }
        *free_pages = *longest = 0;
        *cursor = at < limit ? drain_cursor(at, 0, PASS_EVICT) : drain_cursor(first, 0, PASS_COUNT);
        return PLC_OK;
    }
    for (uint32_t i = 0; i < SLICE_PAGES && at < limit; i++, at++) {
        bool free = page_state(word_acq(page_word(c, (uint32_t)at))) == PAGE_FREE;
        stretch = free ? stretch + 1 : 0;
        *free_pages += free ? 1 : 0;
        *longest = stretch > *longest ? stretch : *longest;
    }
    *cursor = drain_cursor(at, stretch, PASS_COUNT);
    return at >= limit ? PLC_DONE : PLC_OK;
}
