/* SPDX-License-Identifier: BSD-3-Clause */
/* space.c: see space.h. */
#include "space.h"

#include "counters.h"

#define SWEEP_PAGES 4u     /* per run made */
#define VICTIMS_MOST 8u    /* runs evicted for one small run before it is given up */
#define VICTIMS_MOVING 6u  /* of which so many with moving of visited entries */
#define WINDOWS_MOST 8u    /* conflicts of one large placement */
#define SKIPS_MOST 32u     /* visited runs that one allocation lets go round once more */
#define PARKED_TRIES 4u

uint64_t space_value_max(const plc_cache *c) {
    uint64_t pool = (uint64_t)(c->geo.end_page - c->geo.first_page) << PAGE_SHIFT;
    return pool / 2 - 2 * PAGE_BYTES;
}

/* ---- the sweep ------------------------------------------------------------------------------- */

static void sweep_free(struct call *k, uint32_t page) {
    plc_cache *c = k->c;
    if (page > c->geo.first_page && page_state(word_rlx(page_word(c, page - 1))) == PAGE_FREE &&
        (page - c->geo.first_page) % c->geo.segment_pages != 0) {
        return; /* not the beginning of a stretch */
    }
    uint32_t n = 1;
    while (n < c->geo.segment_pages && page_in_pool(c, page + n) &&
           page_state(word_rlx(page_word(c, page + n))) == PAGE_FREE) {
        n++;
    }
    queue_give(k, page, n);
}

static void sweep_cont(struct call *k, uint32_t page, uint64_t w) {
    plc_cache *c = k->c;
    uint32_t head = page_cont_head(w);
    uint64_t hw = page_in_pool(c, head) ? word_acq(page_word(c, head)) : 0;
    enum page_state state = page_state(hw);
    bool run = state >= PAGE_OPEN && state <= PAGE_LIMBO && page_gen(hw) == page_gen(w);
    bool inside = run && head < page && page - head < side_a_pages(word_acq(page_side_a(c, head)));
    if (!(run && (inside || state == PAGE_FREEING || state == PAGE_OPEN)) && word_acq(page_word(c, page)) == w) {
        (void)word_swap(page_word(c, page), w, page_make(PAGE_FREE, 0, page_gen(w))); /* I5 */
    }
}

static void sweep_parked(struct call *k, uint32_t page) {
    for (uint32_t i = 0; i < PARKED_PLACES; i++) {
        if (queue_parked(k, i) == page) {
            return;
        }
    }
    struct fill f;
    if (run_resume(k, page, ALIGN, &f)) { /* that no list names: finishing it parks or seals it */
        f.published = true;
        run_finish(k, &f);
    }
}

void space_mend(struct call *k, uint32_t page) {
    plc_cache *c = k->c;
    uint64_t w = word_acq(page_word(c, page));
    uint64_t met;
    switch (page_state(w)) {
    case PAGE_FREE: sweep_free(k, page); break;
    case PAGE_CLAIM:
        if (owner_alive(c, w)) {
            k->suspect = owner_slot(w) != owner_slot(k->owner) ? owner_slot(w) : k->suspect;
        } else if (pages_claim(k, page, &met)) {
            pages_unclaim(k, page, 1);
        }
        break;
    case PAGE_SEALED:
        if (run_empty(word_rlx(page_side_a(c, page)), word_rlx(page_side_b(c, page)))) {
            (void)evict_run(k, page, EVICT_DEAD);
        } else if (!queue_has(k, page)) {
            queue_put(k, page, page_gen(w));
        }
        break;
    case PAGE_LIMBO:
    case PAGE_OPEN:
    case PAGE_EVICT:
    case PAGE_FREEING:
        (void)evict_run(k, page, EVICT_MOVE); /* only limbo and what the dead own can be won */
        break;
    case PAGE_PARKED: sweep_parked(k, page); break;
    case PAGE_CONT: sweep_cont(k, page, w); break;
    default: break;
    }
}

static uint32_t used_end(const plc_cache *c) {
    uint64_t frontier = word_rlx(&c->super->frontier.value);
    uint32_t limit = pages_limit(c);
    return frontier < limit ? (uint32_t)frontier : limit;
}

void space_sweep(struct call *k, uint32_t pages) {
    plc_cache *c = k->c;
    uint32_t first = c->geo.first_page, end = used_end(c);
    if (end <= first) {
        return;
    }
    uint64_t from = word_add_rlx(&c->super->sweep.value, pages);
    for (uint32_t i = 0; i < pages; i++) {
        space_mend(k, first + (uint32_t)((from + i) % (end - first)));
    }
}

/* ---- pages never used ------------------------------------------------------------------------ */

/* May the file still grow? */
static bool can_grow(struct call *k) {
    plc_cache *c = k->c;
    return pages_limit(c) < c->geo.end_page && k->now_ms >= word_rlx(&c->growth_retry_ms);
}

/* Takes up to want pages at the frontier, at least min.  0: there are none within the file. */
static uint32_t take_frontier(struct call *k, uint32_t min, uint32_t want, uint32_t *page) {
    plc_cache *c = k->c;
    word *at = &c->super->frontier.value;
    for (unsigned i = 0; i < WINDOWS_MOST; i++) {
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
    for (unsigned i = 0; i < WINDOWS_MOST; i++) {
        uint32_t page;
        uint32_t n = take_frontier(k, min, want, &page);
        if (n == 0) {
            return 0;
        }
        n = queue_claim_from(k, page, min, n);
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
    for (unsigned i = 0; i < 2; i++) {
        uint64_t there = word_rlx(&c->super->reserve[i]);
        uint32_t page;
        if (there == 0 && take_frontier(k, c->geo.segment_pages, c->geo.segment_pages, &page) != 0) {
            queue_give(k, page, c->geo.segment_pages);
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

/* ---- at the hand ----------------------------------------------------------------------------- */

/* Makes the page mine.  False: it cannot be had; *next is where to go on looking. */
static bool clear_page(struct call *k, uint32_t page, uint32_t *next) {
    plc_cache *c = k->c;
    for (unsigned tries = 0; tries < 4; tries++) {
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
        enum page_state state = page_state(word_acq(page_word(c, head)));
        enum evicted e = evict_run(k, head, state == PAGE_PARKED ? EVICT_MOVE : EVICT_VISITED);
        if (e == EVICT_KEPT || e == EVICT_PINNED) {
            return false;
        }
        if (e == EVICT_LOST && page_state(met) == PAGE_CONT) {
            sweep_cont(k, page, met);
        }
    }
    *next = *next > page ? *next : page + 1;
    return false;
}

static bool clear_window(struct call *k, uint32_t from, uint32_t n, uint32_t *next) {
    for (uint32_t i = 0; i < n; i++) {
        if (!clear_page(k, from + i, next)) {
            pages_unclaim(k, from, i);
            return false;
        }
    }
    return true;
}

/* Makes room for a run where the hand is, and moves the hand on.  0: visited runs or others were in the way. */
static uint32_t form_at_hand(struct call *k, uint32_t n, bool own) {
    plc_cache *c = k->c;
    word *hand = &c->super->hand.value;
    for (unsigned tries = 0; tries < WINDOWS_MOST + SKIPS_MOST; tries++) {
        uint64_t at = word_acq(hand);
        uint32_t limit = pages_limit(c);
        bool inside = at >= c->geo.first_page && at < limit && limit - at >= n;
        uint32_t from = inside ? (uint32_t)at : c->geo.first_page;
        uint32_t next = from + n;
        if (limit - from < n || !word_swap(hand, at, next)) {
            continue; /* another placement moved the hand */
        }
        if (clear_window(k, from, n, &next)) {
            (void)pages_form(k, from, n, own);
            return from;
        }
        (void)word_swap(hand, from + n, next);
        count(k, COUNT_LARGE_CONFLICTS, 1);
    }
    return 0;
}

/* ---- small runs ------------------------------------------------------------------------------ */

/* Evicts the oldest run; when the queue names none, whatever the parked list names. */
static void evict_oldest(struct call *k, unsigned round, unsigned *skips_left) {
    for (unsigned i = 0; i < VICTIMS_MOST + SKIPS_MOST; i++) {
        enum evict_mode mode = *skips_left > 0 ? EVICT_VISITED : EVICT_MOVE_VISITED;
        mode = round < VICTIMS_MOVING ? mode : EVICT_ALL;
        uint32_t head = queue_take(k);
        if (head == 0) {
            break;
        }
        enum page_state state = page_state(word_acq(page_word(k->c, head)));
        enum evicted e = state == PAGE_SEALED || state == PAGE_LIMBO ? evict_run(k, head, mode) : EVICT_LOST;
        if (e == EVICT_FREED) {
            return;
        }
        *skips_left -= e == EVICT_KEPT && *skips_left > 0 ? 1 : 0;
    }
    space_sweep(k, 16 * SWEEP_PAGES);
    for (uint32_t i = 0; round >= VICTIMS_MOVING && i < PARKED_PLACES; i++) {
        uint32_t head = queue_parked(k, i);
        if (head != 0 && evict_run(k, head, EVICT_ALL) == EVICT_FREED) {
            return;
        }
    }
}

static uint32_t form_small(struct call *k, uint32_t min) {
    uint32_t want = k->c->geo.segment_pages;
    fill_reserve(k);
    uint32_t head = queue_form(k, min, want, false);
    return head != 0 ? head : form_frontier(k, min, want, false);
}

/* What others have taken since is known before anything is evicted. */
static bool outdated(struct call *k) {
    return pages_unseen(k, word_rlx(&k->c->super->taken_pages));
}

static plc_status small_run(struct call *k, uint64_t bytes, struct fill *f) {
    if (outdated(k)) {
        return PLC_AGAIN;
    }
    uint32_t min = (uint32_t)((bytes + PAGE_BYTES - 1) >> PAGE_SHIFT);
    count(k, COUNT_ALLOCS_SMALL, 1);
    space_sweep(k, SWEEP_PAGES);
    unsigned skips_left = SKIPS_MOST;
    for (unsigned round = 0; round < VICTIMS_MOST; round++) {
        uint32_t head = form_small(k, min);
        if (head != 0) {
            run_begin(k, head, false, f);
            return PLC_OK;
        }
        if (want_growth(k, k->c->geo.segment_pages)) {
            return PLC_AGAIN;
        }
        evict_oldest(k, round, &skips_left);
    }
    uint32_t head = form_small(k, min);
    head = head != 0 ? head : queue_form_reserve(k);
    head = head != 0 ? head : form_at_hand(k, min, false); /* the queue had nothing but hints about what is gone */
    if (head != 0) {
        run_begin(k, head, false, f);
        return PLC_OK;
    }
    return PLC_FULL;
}

static plc_status open_small(struct call *k, uint64_t bytes, struct fill *f) {
    plc_cache *c = k->c;
    uint64_t last = word_rlx(&c->last_run[k->ticket]);
    if (last != 0 && page_in_pool(c, (uint32_t)last) && run_resume(k, (uint32_t)last, bytes, f)) {
        return PLC_OK;
    }
    uint32_t from = k->tid;
    for (uint32_t i = 0; i < PARKED_TRIES; i++) {
        uint32_t head = queue_parked(k, (from + i) % PARKED_PLACES);
        if (head != 0 && run_resume(k, head, bytes, f)) {
            return PLC_OK;
        }
    }
    if (last != 0 && page_in_pool(c, (uint32_t)last)) {
        run_seal_parked(k, (uint32_t)last); /* it has no room for this one: it may age in the queue */
    }
    return small_run(k, bytes, f);
}

/* ---- large runs ------------------------------------------------------------------------------ */

static plc_status large_run(struct call *k, uint32_t n, struct fill *f) {
    if (outdated(k)) {
        return PLC_AGAIN;
    }
    count(k, COUNT_ALLOCS_LARGE, 1);
    space_sweep(k, SWEEP_PAGES);
    fill_reserve(k);
    uint32_t head = queue_form(k, n, n, true);
    head = head != 0 ? head : form_frontier(k, n, n, true);
    if (head == 0 && want_growth(k, n)) {
        return PLC_AGAIN;
    }
    head = head != 0 ? head : form_at_hand(k, n, true);
    if (head == 0) {
        k->want_pause = true;
        return PLC_FULL;
    }
    run_begin(k, head, true, f);
    return PLC_OK;
}

plc_status space_prepare(struct call *k, struct spec *s, struct fill *f) {
    *f = (struct fill){0};
    if (s->length > space_value_max(k->c)) {
        return PLC_TOO_LARGE;
    }
    if (s->length < k->c->geo.own_bytes) {
        s->options &= (uint8_t)~ENTRY_OWN;
        return open_small(k, entry_bytes(s), f);
    }
    s->options |= ENTRY_OWN;
    return large_run(k, (uint32_t)((entry_bytes(s) + PAGE_BYTES - 1) >> PAGE_SHIFT), f);
}
