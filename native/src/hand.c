/* SPDX-License-Identifier: BSD-3-Clause */
/* hand.c: see hand.h. */
#include "hand.h"

#include "counters.h"
#include "sweep.h"

#define WINDOWS_MOST 8u /* conflicts of one placement */
#define SKIPS_MOST 32u  /* runs that one placement steps over because they were read */
#define PAGE_TRIES 4u

/* Evicts the run in the way.  Copies of what was read in it may want more room than the reserve has: then the
 * queues give some, as often as the effort allows, and at last what was read is dropped. */
static enum evicted evict_here(struct call *k, uint32_t head, struct effort *left) {
    bool own = side_a_own(word_rlx(page_side_a(k->c, head)));
    bool filling = page_state(word_acq(page_word(k->c, head))) == PAGE_PARKED;
    enum evict_mode mode = own || (!filling && queue_ripe(k, head)) ? EVICT_HAND : EVICT_ASIDE;
    mode = own && left->hand_firm ? EVICT_ALL : mode;
    enum evicted e = evict_run(k, head, mode);
    while (e == EVICT_NO_ROOM) {
        bool more = policy_make_room(k, left);
        e = evict_run(k, head, more ? mode : filling ? EVICT_MOVE : EVICT_MOVE_VISITED);
        if (!more) {
            break;
        }
    }
    return e;
}

/* Makes the page mine.  False: it cannot be had; *next is where to go on looking. */
static bool clear_page(struct call *k, uint32_t page, uint32_t *next, struct effort *left) {
    plc_cache *c = k->c;
    for (unsigned tries = 0; tries < PAGE_TRIES; tries++) {
        uint64_t met;
        if (pages_claim(k, page, &met)) {
            return true;
        }
        uint32_t head = page_state(met) == PAGE_CONT ? page_cont_head(met) : page;
        if (!page_in_pool(c, head)) {
            break;
        }
        uint32_t pages = pages_of_run(c, head, word_acq(page_side_a(c, head)));
        *next = head + pages > page ? head + pages : page + 1;
        enum evicted e = evict_here(k, head, left);
        if (e == EVICT_KEPT || e == EVICT_NO_ROOM || e == EVICT_PINNED) {
            return false;
        }
        if (e == EVICT_LOST && page_state(met) == PAGE_CONT) {
            sweep_tail(k, page, met);
        }
    }
    *next = *next > page ? *next : page + 1;
    return false;
}

static bool clear_window(struct call *k, uint32_t from, uint32_t n, uint32_t *next, struct effort *left) {
    for (uint32_t i = 0; i < n; i++) {
        if (!clear_page(k, from + i, next, left)) {
            pages_unclaim(k, from, i);
            return false;
        }
    }
    return true;
}

uint32_t hand_form(struct call *k, uint32_t n, bool own, struct effort *left) {
    plc_cache *c = k->c;
    word *hand = &c->super->hand.value;
    for (unsigned tries = 0; tries < WINDOWS_MOST + SKIPS_MOST; tries++) {
        left->hand_firm = tries >= SKIPS_MOST; /* else a pool full of small arrays in use has no room for a large one */
        uint64_t at = word_acq(hand);
        uint32_t limit = pages_limit(c);
        bool inside = at >= c->geo.first_page && at < limit && limit - at >= n;
        uint32_t from = inside ? (uint32_t)at : c->geo.first_page;
        uint32_t next = from + n;
        if (limit - from < n || !word_swap(hand, at, next)) {
            continue; /* another placement moved the hand */
        }
        if (clear_window(k, from, n, &next, left)) {
            (void)pages_form(k, from, n, own);
            return from;
        }
        (void)word_swap(hand, from + n, next);
        count(k, COUNT_LARGE_CONFLICTS, 1);
    }
    return 0;
}
