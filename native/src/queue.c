/* SPDX-License-Identifier: BSD-3-Clause */
/* queue.c: see queue.h.  A hint is one relaxed word; the page words are the truth. */
#include "queue.h"

#define RESERVE_WANTED 2u /* whole free segments kept for copies of an eviction */
#define HINT_TRIES 8u
#define STALE_MOST 64u /* hints about runs that are gone or queued again, stepped over by one taking */

static inline uint64_t hint_make(uint32_t page, uint32_t n) {
    return (uint64_t)page << 28 | n;
}

void queue_put(struct call *k, uint32_t head, uint32_t gen) {
    plc_cache *c = k->c;
    uint64_t at = word_add_rlx(&c->super->ring_tail[1].value, 1);
    uint32_t place = (uint32_t)at & (c->geo.ring_places - 1);
    word_put_rlx(&c->ring[1][place], head);
    word *b = page_side_b(c, head);
    uint64_t old = word_acq(b);
    for (unsigned i = 0; i < 64 && side_b_gen(old) == (gen & 0x3fffffu); i++) {
        if (word_swap(b, old, side_b_make(gen, side_b_dead(old), place))) {
            return;
        }
        old = word_acq(b);
    }
}

bool queue_has(struct call *k, uint32_t head) {
    plc_cache *c = k->c;
    uint32_t place = side_b_ring(word_rlx(page_side_b(c, head)));
    return place < c->geo.ring_places && word_rlx(&c->ring[1][place]) == head;
}

/* Is this still the place of a run that waits for its turn?  Values with runs of their own come and go without
 * their hints being taken: those must not use up the tries of who looks for a victim. */
static bool waits(const plc_cache *c, uint64_t run, uint32_t place) {
    if (run == 0 || run >= UINT32_MAX || !page_in_pool(c, (uint32_t)run)) {
        return false;
    }
    enum page_state state = page_state(word_rlx(page_word(c, (uint32_t)run)));
    return (state == PAGE_SEALED || state == PAGE_LIMBO) &&
           side_b_ring(word_rlx(page_side_b(c, (uint32_t)run))) == place;
}

uint32_t queue_take(struct call *k) {
    plc_cache *c = k->c;
    word *from = &c->super->ring_head[1].value, *to = &c->super->ring_tail[1].value;
    for (unsigned i = 0; i < STALE_MOST; i++) {
        uint64_t head = word_acq(from), tail = word_acq(to);
        if (head >= tail) {
            return 0;
        }
        if (tail - head > c->geo.ring_places) { /* overrun: the oldest hints are overwritten */
            (void)word_swap(from, head, tail - c->geo.ring_places);
            continue;
        }
        uint32_t place = (uint32_t)head & (c->geo.ring_places - 1);
        uint64_t run = word_acq(&c->ring[1][place]);
        if (word_swap(from, head, head + 1)) {
            (void)word_swap(&c->ring[1][place], run, 0);
            if (waits(c, run, place)) {
                return (uint32_t)run;
            }
        }
    }
    return 0;
}

static bool whole_and_free(const plc_cache *c, uint64_t page) {
    return page < UINT32_MAX && page_in_pool(c, (uint32_t)page) &&
           page_state(word_rlx(page_word(c, (uint32_t)page))) == PAGE_FREE;
}

static bool give_reserve(plc_cache *c, uint32_t page) {
    for (unsigned i = 0; i < RESERVE_WANTED; i++) {
        word *place = &c->super->reserve[i];
        uint64_t old = word_acq(place);
        if (old == page) {
            return true;
        }
        if (!whole_and_free(c, old) && word_swap(place, old, page)) {
            return true;
        }
    }
    return false;
}

void queue_give(struct call *k, uint32_t page, uint32_t n) {
    plc_cache *c = k->c;
    uint32_t segment = c->geo.segment_pages;
    while (n >= segment && give_reserve(c, page)) {
        page += segment;
        n -= segment;
    }
    if (n != 0) {
        uint64_t at = word_add_rlx(&c->super->free_tail.value, 1);
        word_put_rlx(&c->free_ring[at & (c->geo.free_places - 1)], hint_make(page, n));
    }
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

uint32_t queue_claim_from(struct call *k, uint32_t page, uint32_t min, uint32_t want) {
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

uint32_t queue_form(struct call *k, uint32_t min, uint32_t want, bool own) {
    for (unsigned i = 0; i < HINT_TRIES; i++) {
        uint64_t hint = take_free(k->c);
        if (hint == 0) {
            return 0;
        }
        uint32_t page = (uint32_t)(hint >> 28), n = (uint32_t)BITS(hint, 0, 28);
        if (hint >> 56 != 0 || !page_in_pool(k->c, page)) {
            continue;
        }
        uint32_t got = queue_claim_from(k, page, min, want);
        if (got != 0) {
            (void)pages_form(k, page, got, own);
            if (n > got) {
                queue_give(k, page + got, n - got);
            }
            return page;
        }
        if (n >= k->c->geo.segment_pages && whole_and_free(k->c, page)) {
            queue_give(k, page, n); /* too short for this one only */
        }
    }
    return 0;
}

uint32_t queue_form_reserve(struct call *k) {
    plc_cache *c = k->c;
    uint32_t segment = c->geo.segment_pages;
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        word *place = &c->super->reserve[i];
        uint64_t page = word_acq(place);
        if (page != 0 && word_swap(place, page, 0) && whole_and_free(c, page)) {
            if (queue_claim_from(k, (uint32_t)page, segment, segment) != 0) {
                (void)pages_form(k, (uint32_t)page, segment, false);
                return (uint32_t)page;
            }
        }
    }
    return 0;
}

int queue_park(struct call *k, uint32_t head) {
    plc_cache *c = k->c;
    for (unsigned i = 0; i < PARKED_PLACES; i++) {
        word *place = &c->super->parked[i];
        uint64_t old = word_rlx(place);
        if (old == head) {
            return (int)i;
        }
        bool stale = old == 0 || old >= UINT32_MAX || !page_in_pool(c, (uint32_t)old);
        if (!stale) {
            enum page_state state = page_state(word_rlx(page_word(c, (uint32_t)old)));
            stale = state != PAGE_PARKED && state != PAGE_OPEN;
        }
        if (stale && word_swap(place, old, head)) {
            return (int)i;
        }
    }
    return -1;
}

uint32_t queue_parked(struct call *k, uint32_t place) {
    uint64_t head = word_rlx(&k->c->super->parked[place]);
    return head < UINT32_MAX && page_in_pool(k->c, (uint32_t)head) ? (uint32_t)head : 0;
}
