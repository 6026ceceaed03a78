/* SPDX-License-Identifier: BSD-3-Clause */
/* policy.c: see policy.h. */
#include "policy.h"

#include "counters.h"
#include "sweep.h"

#define CLEANINGS_MOST 8u /* each gives a fifth of a segment at least */
#define VICTIMS_MOST 16u  /* runs evicted for one run before it is given up */
#define VICTIMS_LAST 2u   /* of which so many without moving what was read */
#define SKIPS_MOST 32u    /* runs that go round once more for one that is evicted */
#define SWEEP_PAGES 64u   /* when the queues name nothing */

struct effort policy_effort(void) {
    return (struct effort){.cleanings = CLEANINGS_MOST, .victims = VICTIMS_MOST, .skips = SKIPS_MOST};
}

/* Of a key that is there the new entry stays in the queue of the old one: neither is it copied over to the main queue
 * again, nor is it asked for among the ghosts, which would wait for memory. */
enum queue_of policy_queue(struct call *k) {
    if (k->likely != 0 && page_in_pool(k->c, slot_head(k->likely))) {
        return queue_of(k, slot_head(k->likely));
    }
    if (!ghost_knows(k)) {
        return QUEUE_SMALL;
    }
    count(k, COUNT_GHOSTS_KNOWN, 1);
    return QUEUE_MAIN;
}

/* The next victim: of the small queue what is due, else the oldest of the main queue.  When that has been read
 * all over, what is young and unread is worth less. */
static uint32_t next_victim(struct call *k, bool small_first) {
    enum queue_of first = small_first || queue_due(k) ? QUEUE_SMALL : QUEUE_MAIN;
    uint32_t head = queue_take(k, first);
    return head != 0 ? head : queue_take(k, first == QUEUE_SMALL ? QUEUE_MAIN : QUEUE_SMALL);
}

/* When the queues name nothing that can be had: whatever the sweep finds, and the parked list names. */
static void evict_unqueued(struct call *k, bool last) {
    sweep_some(k, SWEEP_PAGES);
    for (uint32_t i = 0; last && i < PARKED_PLACES; i++) {
        uint32_t head = spare_parked(k, i);
        if (head != 0 && evict_run(k, head, EVICT_ALL) == EVICT_FREED) {
            return;
        }
    }
}

static void evict_next(struct call *k, struct effort *left) {
    bool last = left->victims < VICTIMS_LAST;
    for (unsigned i = 0; i < SKIPS_MOST; i++) {
        uint32_t head = next_victim(k, left->skips == 0);
        if (head == 0) {
            break;
        }
        enum evict_mode mode = last ? EVICT_FIRM : EVICT_VISITED;
        enum page_state state = page_state(word_acq(page_word(k->c, head)));
        enum evicted e = state == PAGE_SEALED || state == PAGE_LIMBO ? evict_run(k, head, mode) : EVICT_LOST;
        if (e == EVICT_FREED) {
            return;
        }
        left->skips -= (e == EVICT_KEPT || e == EVICT_NO_ROOM) && left->skips > 0 ? 1 : 0;
    }
    evict_unqueued(k, last);
}

bool policy_make_room(struct call *k, struct effort *left) {
    if (left->cleanings > 0) {
        left->cleanings--;
        if (clean_one(k)) {
            return true;
        }
        left->cleanings = 0;
    }
    if (left->victims == 0) {
        return false;
    }
    left->victims--;
    evict_next(k, left);
    return true;
}
