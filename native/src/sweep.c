/* SPDX-License-Identifier: BSD-3-Clause */
/* sweep.c: see sweep.h. */
#include "sweep.h"

static void sweep_free(struct call *k, uint32_t page) {
    plc_cache *c = k->c;
    spare_mend(c, page);
    if (!spare_joins(c, page) || (spare_joins(c, page - 1) && (page - c->geo.first_page) % c->geo.segment_pages != 0)) {
        return; /* not the beginning of a stretch */
    }
    uint32_t n = 1;
    while (n < c->geo.segment_pages && spare_joins(c, page + n)) {
        n++;
    }
    spare_give(k, page, n);
}

void sweep_tail(struct call *k, uint32_t page, uint64_t w) {
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
        if (spare_parked(k, i) == page) {
            return;
        }
    }
    struct fill f;
    if (run_resume(k, page, ALIGN, &f)) { /* that no list names: finishing it parks or seals it */
        f.published = true;
        run_finish(k, &f);
    } else {
        run_seal_parked(k, page); /* nobody can go on with it, so it waits for its turn to be evicted */
    }
}

void sweep_mend(struct call *k, uint32_t page) {
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
    case PAGE_CONT: sweep_tail(k, page, w); break;
    default: break;
    }
}

void sweep_some(struct call *k, uint32_t pages) {
    plc_cache *c = k->c;
    uint32_t first = c->geo.first_page, end = pages_used_end(c);
    if (end <= first) {
        return;
    }
    uint64_t from = word_add_rlx(&c->super->sweep.value, pages);
    for (uint32_t i = 0; i < pages; i++) {
        sweep_mend(k, first + (uint32_t)((from + i) % (end - first)));
    }
}
