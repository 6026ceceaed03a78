/* SPDX-License-Identifier: BSD-3-Clause */
/* queue.c: see queue.h.  A hint is one relaxed word; the page words are the truth. */
#include "queue.h"

#define SMALL_PART 20u /* the small queue's part of the pool: one twentieth */
#define SIDE_TRIES 64u
#define STALE_MOST 64u /* hints about runs that are gone or queued again, stepped over by one taking */

/* The side word says where the run is.  False: it is another run by now, or the word changed all the time. */
static bool say_place(struct call *k, uint32_t head, uint32_t gen, uint32_t ring) {
    word *b = page_side_b(k->c, head);
    uint64_t old = word_acq(b);
    for (unsigned i = 0; i < SIDE_TRIES && side_b_gen(old) == (gen & 0x3fffffu); i++) {
        if (word_swap(b, old, side_b_make(gen, side_b_dead(old), ring))) {
            return true;
        }
        old = word_acq(b);
    }
    return false;
}

void queue_choose(struct call *k, uint32_t head, uint32_t gen, enum queue_of queue) {
    (void)say_place(k, head, gen, ring_make(queue, RING_NONE));
}

void queue_put(struct call *k, uint32_t head, uint32_t gen) {
    plc_cache *c = k->c;
    enum queue_of queue = queue_of(k, head);
    uint32_t pages = side_a_pages(word_rlx(page_side_a(c, head)));
    word *clock = &c->super->clock.value;
    uint64_t now = queue == QUEUE_SMALL ? word_add_rlx(clock, pages) + pages : word_rlx(clock);
    uint64_t at = word_add_rlx(&c->super->ring_tail[queue].value, 1);
    uint32_t place = (uint32_t)at & (c->geo.ring_places - 1);
    word_put_rlx(&c->ring[queue][place], hint_make(now, head));
    (void)say_place(k, head, gen, ring_make(queue, place));
}

bool queue_has(struct call *k, uint32_t head) {
    plc_cache *c = k->c;
    uint64_t b = word_rlx(page_side_b(c, head));
    uint32_t place = side_b_place(b);
    return place < c->geo.ring_places && hint_head(word_rlx(&c->ring[side_b_queue(b)][place])) == head;
}

/* Is this still the place of a run that waits for its turn?  Values with runs of their own come and go without
 * their hints being taken: those must not use up the tries of who looks for a victim. */
static bool waits(const plc_cache *c, uint32_t head, enum queue_of queue, uint32_t place) {
    if (!page_in_pool(c, head)) {
        return false;
    }
    enum page_state state = page_state(word_rlx(page_word(c, head)));
    return (state == PAGE_SEALED || state == PAGE_LIMBO) &&
           side_b_ring(word_rlx(page_side_b(c, head))) == ring_make(queue, place);
}

/* Finds the oldest hint about a run that waits, taking away those before it.  *at: its number.  0: none. */
static uint64_t oldest(struct call *k, enum queue_of queue, uint64_t *at) {
    plc_cache *c = k->c;
    word *from = &c->super->ring_head[queue].value, *to = &c->super->ring_tail[queue].value;
    for (unsigned i = 0; i < STALE_MOST; i++) {
        uint64_t first = word_acq(from), tail = word_acq(to);
        if (first == tail) {
            return 0;
        }
        if (tail < first) { /* never so but by garbage */
            (void)word_swap(from, first, tail);
            return 0;
        }
        if (tail - first > c->geo.ring_places) { /* overrun: the oldest hints are overwritten */
            (void)word_swap(from, first, tail - c->geo.ring_places);
            continue;
        }
        uint32_t place = (uint32_t)first & (c->geo.ring_places - 1);
        uint64_t hint = word_acq(&c->ring[queue][place]);
        if (waits(c, hint_head(hint), queue, place)) {
            *at = first;
            return hint;
        }
        if (word_swap(from, first, first + 1)) {
            (void)word_swap(&c->ring[queue][place], hint, 0); /* if it was being queued, the sweep sees it */
        }
    }
    return 0;
}

uint32_t queue_take(struct call *k, enum queue_of queue) {
    plc_cache *c = k->c;
    for (unsigned i = 0; i < STALE_MOST; i++) {
        uint64_t at;
        uint64_t hint = oldest(k, queue, &at);
        if (hint == 0) {
            return 0;
        }
        if (word_swap(&c->super->ring_head[queue].value, at, at + 1)) {
            (void)word_swap(&c->ring[queue][(uint32_t)at & (c->geo.ring_places - 1)], hint, 0);
            return hint_head(hint);
        }
    }
    return 0;
}

static bool is_due(const plc_cache *c, uint64_t hint) {
    uint64_t part = (pages_limit(c) - c->geo.first_page) / SMALL_PART;
    return hint_age(hint, word_rlx(&c->super->clock.value)) >= part;
}

bool queue_due(struct call *k) {
    uint64_t at;
    uint64_t hint = oldest(k, QUEUE_SMALL, &at);
    return hint != 0 && is_due(k->c, hint);
}

bool queue_ripe(struct call *k, uint32_t head) {
    plc_cache *c = k->c;
    uint64_t b = word_rlx(page_side_b(c, head));
    uint32_t place = side_b_place(b);
    enum queue_of queue = side_b_queue(b);
    uint64_t hint = place < c->geo.ring_places ? word_rlx(&c->ring[queue][place]) : 0;
    if (hint_head(hint) != head) {
        return true;
    }
    return queue == QUEUE_SMALL && is_due(c, hint);
}
