/* SPDX-License-Identifier: BSD-3-Clause */
/* space.c: see space.h. */
#include "space.h"

#include "counters.h"

#define SWEEP_PAGES 4u /* per run made */
#define FRONTIER_TRIES 8u

uint64_t space_value_max(const plc_cache *c) {
    uint64_t pool = (uint64_t)(c->geo.end_page - c->geo.first_page) << PAGE_SHIFT;
    return pool / 2 - 2 * PAGE_BYTES;
}

/* ---- pages never used ------------------------------------------------------------------------ */

/* May the file still grow?  Where it could not, not for a while; a clock that was set back ends that. */
static bool can_grow(struct call *k) {
    plc_cache *c = k->c;
    bool due = k->now_ms >= word_rlx(&c->growth_retry_ms) || k->now_ms < word_rlx(&c->super->growth_stopped);
    return due && pages_limit(c) < c->geo.end_page;
}

/* Takes up to want pages at the frontier, at least min.  0: there are none within the file. */
static uint32_t take_frontier(struct call *k, uint32_t min, uint32_t want, uint32_t *page) {
    plc_cache *c = k->c;
    word *at = &c->super->frontier.value;
    for (unsigned i = 0; i < FRONTIER_TRIES; i++) {
        uint64_t from = word_acq(at);
        uint32_t limit = pages_limit(c);
        if (from < c->geo.first_page || from >= limit || limit - (uint32_t)from < min) {
            return 0;
        }
        uint32_t n = limit - (uint32_t)from < want ? limit - (uint32_t)from : want;
        if (word_swap(at, from, from + n)) {
            *page = (uint32_t)from;
            return n;
        }
    }
    return 0;
}

static uint32_t form_frontier(struct call *k, uint32_t min, uint32_t want, bool own) {
    for (unsigned i = 0; i < FRONTIER_TRIES; i++) {
        uint32_t page;
        uint32_t n = take_frontier(k, min, want, &page);
        if (n == 0) {
            return 0;
        }
        n = spare_claim_from(k, page, min, n);
        if (n != 0) {
            (void)pages_form(k, page, n, own);
            return page;
        }
    }
    return 0;
}

/* Whole segments are kept back from the first pages on: the first eviction already needs room for copies. */
static void fill_reserve(struct call *k) {
    plc_cache *c = k->c;
    for (unsigned i = 0; i < spare_kept(k); i++) {
        uint64_t there = word_rlx(&c->super->reserve[i]);
        uint32_t page;
        if (there == 0 && take_frontier(k, c->geo.segment_pages, c->geo.segment_pages, &page) != 0) {
            spare_give(k, page, c->geo.segment_pages);
        }
    }
}

static bool want_growth(struct call *k, uint32_t pages) {
    if (!can_grow(k)) {
        return false;
    }
    uint64_t frontier = word_rlx(&k->c->super->frontier.value);
    uint32_t limit = pages_limit(k->c);
    uint64_t end = (frontier > limit || frontier < k->c->geo.first_page ? limit : frontier) + pages;
    k->want_pages = end > limit ? (end < k->c->geo.end_page ? (uint32_t)end : k->c->geo.end_page) : limit + 1;
    return true;
}

/* ---- small runs ------------------------------------------------------------------------------ */

/* A segment, or what is left of one: while the file may grow, nothing shorter is made at its end. */
static uint32_t form_small(struct call *k, uint32_t min) {
    uint32_t want = k->c->geo.segment_pages;
    fill_reserve(k);
    uint32_t head = spare_form(k, min, want, false);
    head = head == 0 && spare_more_than(k, spare_kept(k)) ? spare_form_reserve(k) : head;
    return head != 0 ? head : form_frontier(k, can_grow(k) ? want : min, want, false);
}

/* What others have taken since is known before anything is evicted. */
static bool outdated(struct call *k) {
    return pages_unseen(k, word_rlx(&k->c->super->taken_pages));
}

/* Forms a run for small entries, making room as long as the effort allows.  PLC_FULL: in vain. */
static plc_status make_small(struct call *k, uint32_t min, uint32_t *head) {
    struct effort left = policy_effort();
    do {
        *head = form_small(k, min);
        if (*head != 0) {
            return PLC_OK;
        }
        if (want_growth(k, k->c->geo.segment_pages)) {
            return PLC_AGAIN;
        }
    } while (policy_make_room(k, &left));
    *head = spare_form_reserve(k);
    *head = *head != 0 ? *head : hand_form(k, min, false, &left); /* the queues named only what is gone */
    return *head != 0 ? PLC_OK : PLC_FULL;
}

static plc_status open_small(struct call *k, enum queue_of queue, uint64_t bytes, struct fill *f) {
    if (run_again(k, run_last(k, queue), queue, bytes, f)) {
        return PLC_OK;
    }
    if (outdated(k)) {
        return PLC_AGAIN;
    }
    count(k, COUNT_ALLOCS_SMALL, 1);
    sweep_some(k, SWEEP_PAGES);
    uint32_t head;
    plc_status s = make_small(k, (uint32_t)((bytes + PAGE_BYTES - 1) >> PAGE_SHIFT), &head);
    if (s == PLC_OK) {
        run_begin(k, head, false, f);
        queue_choose(k, head, f->gen, queue);
        f->last = run_last(k, queue);
    }
    return s;
}

/* ---- large runs ------------------------------------------------------------------------------ */

static plc_status large_run(struct call *k, enum queue_of queue, uint32_t n, struct fill *f) {
    if (outdated(k)) {
        return PLC_AGAIN;
    }
    count(k, COUNT_ALLOCS_LARGE, 1);
    sweep_some(k, SWEEP_PAGES);
    fill_reserve(k);
    uint32_t head = spare_form(k, n, n, true);
    head = head != 0 ? head : form_frontier(k, n, n, true);
    if (head == 0 && want_growth(k, n)) {
        return PLC_AGAIN;
    }
    struct effort left = policy_effort();
    left.victims += 2 * n / k->c->geo.segment_pages;
    head = head != 0 ? head : hand_form(k, n, true, &left);
    if (head == 0) {
        k->want_pause = true;
        return PLC_FULL;
    }
    run_begin(k, head, true, f);
    queue_choose(k, head, f->gen, queue);
    return PLC_OK;
}

plc_status space_prepare(struct call *k, struct spec *s, struct fill *f) {
    *f = (struct fill){0};
    if (s->length > space_value_max(k->c)) {
        return PLC_TOO_LARGE;
    }
    enum queue_of queue = policy_queue(k);
    bool filled = s->options & ENTRY_PAGED;
    if (__builtin_expect(!filled && s->length < k->c->geo.own_bytes, 1)) {
        s->options &= (uint8_t)~ENTRY_OWN;
        return open_small(k, queue, entry_bytes(s), f);
    }
    entry_choose(k->c, s, filled);
    return large_run(k, queue, (uint32_t)((entry_bytes(s) + PAGE_BYTES - 1) >> PAGE_SHIFT), f);
}
