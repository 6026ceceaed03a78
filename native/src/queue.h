/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.h: the two rings of sealed runs, oldest first: WHAT STAYS in policy.h.  A place is a hint: it is
 * believed only if the page words prove it, and what a death or an overwritten place loses is queued again by
 * the sweep (sweep.c).
 */
#ifndef PLC_QUEUE_H
#define PLC_QUEUE_H

#include "pages.h"

/* ---- a place of a ring, drawn in layout.h */

/* The queue and the place in it together, as side B has them. */
static inline uint32_t ring_make(enum queue_of queue, uint32_t place) {
    return (uint32_t)queue << 25 | place;
}
static inline enum queue_of side_b_queue(uint64_t b) {
    return (enum queue_of)BITS(b, 25, 1);
}
static inline uint32_t side_b_place(uint64_t b) {
    return (uint32_t)BITS(b, 0, 25);
}

static inline uint64_t hint_make(uint64_t clock, uint32_t head) {
    return clock << 28 | head;
}
static inline uint32_t hint_head(uint64_t hint) {
    return (uint32_t)BITS(hint, 0, 28);
}
/* How far the clock has gone on since the run was queued. */
static inline uint64_t hint_age(uint64_t hint, uint64_t clock) {
    return (clock - (hint >> 28)) & ((1ull << 36) - 1);
}

/* ---- queues */

/* The queue that the run belongs to, as its side word says (a hint). */
static inline enum queue_of queue_of(const struct call *k, uint32_t head) {
    return side_b_queue(word_rlx(page_side_b(k->c, head)));
}
/* Makes a run of mine, which no ring names, belong to a queue. */
void queue_choose(struct call *k, uint32_t head, uint32_t gen, enum queue_of queue);

/* Puts a sealed run (or one in limbo) at the end of the queue that it belongs to. */
void queue_put(struct call *k, uint32_t head, uint32_t gen);
/* Is the run named by its queue at the place that its side word says? */
bool queue_has(struct call *k, uint32_t head);
/* Takes the oldest hint of a queue.  0: none.  It may be anything by now. */
uint32_t queue_take(struct call *k, enum queue_of queue);
/* Is the oldest run of the small queue due? */
bool queue_due(struct call *k);
/* Is this run, wherever it stands, due, or in the older half of the main queue, or in none? */
bool queue_ripe(struct call *k, uint32_t head);

#endif
