/* SPDX-License-Identifier: BSD-3-Clause */
/* spare.c: see spare.h. */
#include "spare.h"

#define RESERVE_KEPT 2u         /* whole segments for copies: one for whoever evicts, one for the next */
#define RESERVE_KEPT_LARGE 4u   /* where so many segments are not missed, and more evict at once */
#define SEGMENTS_LARGE 512u
#define HINT_TRIES 8u

static inline uint64_t stretch_make(uint32_t page, uint32_t n) {
    return (uint64_t)page << 28 | n;
}

static bool is_free(const plc_cache *c, uint64_t page) {
    return page < UINT32_MAX && page_in_pool(c, (uint32_t)page) &&
           page_state(word_rlx(page_word(c, (uint32_t)page))) == PAGE_FREE;
}

static bool give_reserve(plc_cache *c, uint32_t page) {
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        if (word_rlx(&c->super->reserve[i]) == page) {
            return true;
        }
    }
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        word *place = &c->super->reserve[i];
        uint64_t old = word_acq(place);
        if (!is_free(c, old) && word_swap(place, old, page)) {
            return true;
        }
    }
    return false;
}

bool spare_reserved(const plc_cache *c, uint32_t page) {
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        uint64_t at = word_rlx(&c->super->reserve[i]);
        if (page >= at && page - at < c->geo.segment_pages && is_free(c, at)) {
            return true;
        }
    }
    return false;
}

bool spare_joins(const plc_cache *c, uint32_t page) {
    return is_free(c, page) && !spare_reserved(c, page);
}

/* Is every page of the segment at this page, which is in that place, free, and none of another reserved one that begins
 * before it, or is the same? */
static bool apart(const plc_cache *c, uint32_t page, unsigned place) {
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        uint64_t at = word_rlx(&c->super->reserve[i]);
        if ((at < page && page - at < c->geo.segment_pages && is_free(c, at)) || (at == page && i < place)) {
            return false;
        }
    }
    uint32_t n = 0;
    while (n < c->geo.segment_pages && is_free(c, page + n)) {
        n++;
    }
    return n == c->geo.segment_pages;
}

void spare_mend(plc_cache *c, uint32_t page) {
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        word *place = &c->super->reserve[i];
        if (word_rlx(place) == page && !apart(c, page, i)) {
            (void)word_swap(place, page, 0);
        }
    }
}

static void put_free(plc_cache *c, uint32_t page, uint32_t n) {
    uint64_t at = word_add_rlx(&c->super->free_tail.value, 1);
    word_put_rlx(&c->free_ring[at & (c->geo.free_places - 1)], stretch_make(page, n));
}

void spare_give(struct call *k, uint32_t page, uint32_t n) {
    plc_cache *c = k->c;
    uint32_t segment = c->geo.segment_pages;
    for (uint32_t i = 0; i < segment && n < segment && spare_joins(c, page - 1); i++) {
        page--;
        n++;
    }
    for (uint32_t i = 0; i < segment && n < segment && spare_joins(c, page + n); i++) {
        n++;
    }
    for (unsigned i = 0; i < RESERVE_PLACES && n >= segment && give_reserve(c, page); i++) {
        page += segment;
        n -= segment;
    }
    if (n != 0) {
        put_free(c, page, n);
    }
}

bool spare_more_than(const struct call *k, unsigned least) {
    unsigned there = 0;
    for (unsigned i = 0; i < RESERVE_PLACES && there <= least; i++) {
        there += is_free(k->c, word_rlx(&k->c->super->reserve[i])) ? 1 : 0;
    }
    return there > least;
}

unsigned spare_kept(const struct call *k) {
    uint32_t pages = pages_limit(k->c) - k->c->geo.first_page;
    return pages / k->c->geo.segment_pages < SEGMENTS_LARGE ? RESERVE_KEPT : RESERVE_KEPT_LARGE;
}

static uint64_t take_free(plc_cache *c) {
    word *from = &c->super->free_head.value, *to = &c->super->free_tail.value;
    for (unsigned i = 0; i < HINT_TRIES; i++) {
        uint64_t head = word_acq(from), tail = word_acq(to);
        if (head >= tail) {
            return 0;
        }
        if (tail - head > c->geo.free_places) {
            (void)word_swap(from, head, tail - c->geo.free_places);
            continue;
        }
        uint64_t hint = word_acq(&c->free_ring[head & (c->geo.free_places - 1)]);
        if (word_swap(from, head, head + 1)) {
            return hint;
        }
    }
    return 0;
}

uint32_t spare_claim_from(struct call *k, uint32_t page, uint32_t min, uint32_t want) {
    uint32_t got = 0;
    uint64_t met;
    while (got < want && page_in_pool(k->c, page + got) && pages_claim(k, page + got, &met)) {
        got++;
    }
    if (got < min) {
        pages_unclaim(k, page, got);
        return 0;
    }
    return got;
}

uint32_t spare_form(struct call *k, uint32_t min, uint32_t want, bool own) {
    for (unsigned i = 0; i < HINT_TRIES; i++) {
        uint64_t hint = take_free(k->c);
        if (hint == 0) {
            return 0;
        }
        uint32_t page = (uint32_t)(hint >> 28), n = (uint32_t)BITS(hint, 0, 28);
        if (hint >> 56 != 0 || !is_free(k->c, page)) {
            continue;
        }
        n = n < pages_limit(k->c) - page ? n : pages_limit(k->c) - page; /* the ring may say anything */
        uint32_t most = n < min || n > want ? want : n; /* what is behind it may be somebody's reserve */
        uint32_t got = spare_claim_from(k, page, min, most);
        if (got != 0) {
            (void)pages_form(k, page, got, own);
            if (n > got) {
                spare_give(k, page + got, n - got);
            }
            return page;
        }
        if (n < min) {
            put_free(k->c, page, n); /* too short for this one only */
        }
    }
    return 0;
}

uint32_t spare_form_reserve(struct call *k) {
    plc_cache *c = k->c;
    uint32_t segment = c->geo.segment_pages;
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        word *place = &c->super->reserve[i];
        uint64_t page = word_acq(place);
        if (page != 0 && word_swap(place, page, 0) && is_free(c, page)) {
            if (spare_claim_from(k, (uint32_t)page, segment, segment) != 0) {
                (void)pages_form(k, (uint32_t)page, segment, false);
                return (uint32_t)page;
            }
        }
    }
    return 0;
}

/* Does the place name nothing that is parked, or will be? */
static bool stale(const plc_cache *c, uint64_t head) {
    if (head == 0 || head >= UINT32_MAX || !page_in_pool(c, (uint32_t)head)) {
        return true;
    }
    enum page_state state = page_state(word_rlx(page_word(c, (uint32_t)head)));
    return state != PAGE_PARKED && state != PAGE_OPEN;
}

/* A run that comes again is found first, and where its thread begins to look: the words of other writers' runs are
 * looked at only when a place is wanted, because those change at every store of theirs. */
int spare_park(struct call *k, uint32_t head) {
    plc_cache *c = k->c;
    for (uint32_t i = 0; i < PARKED_PLACES; i++) {
        uint32_t at = (k->tid + i) % PARKED_PLACES;
        if (word_rlx(&c->super->parked[at]) == head) {
            return (int)at;
        }
    }
    for (uint32_t i = 0; i < PARKED_PLACES; i++) {
        uint32_t at = (k->tid + i) % PARKED_PLACES;
        word *place = &c->super->parked[at];
        uint64_t old = word_rlx(place);
        if (stale(c, old) && word_swap(place, old, head)) {
            return (int)at;
        }
    }
    return -1;
}

uint32_t spare_parked(struct call *k, uint32_t place) {
    uint64_t head = word_rlx(&k->c->super->parked[place]);
    return head < UINT32_MAX && page_in_pool(k->c, (uint32_t)head) ? (uint32_t)head : 0;
}
