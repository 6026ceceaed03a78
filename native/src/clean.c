/* SPDX-License-Identifier: BSD-3-Clause */
/* clean.c: see clean.h.  The dead bytes of the side words are hints: the copying looks at the index. */
#include "clean.h"

#include "hash.h"

#define SAMPLES 32u
#define FIRST_SAMPLES 8u  /* hardly anything dead in them: the others are not looked at */
#define CLEAN_PERCENT 95u
#define LIVE_PERCENT 80u  /* of its pages: a segment with less is worth emptying */

/* How many percent of the run at this page, or of the one that the page belongs to, are live: 100 of all that
 * cannot be cleaned.  *head: the run. */
static uint32_t live_percent(struct call *k, uint32_t page, uint32_t *head) {
    plc_cache *c = k->c;
    uint64_t w = word_rlx(page_word(c, page));
    if (page_state(w) == PAGE_CONT) {
        page = page_cont_head(w);
        if (!page_in_pool(c, page)) {
            return 100;
        }
        w = word_rlx(page_word(c, page));
    }
    uint64_t a = word_rlx(page_side_a(c, page));
    if (page_state(w) != PAGE_SEALED || side_a_own(a) || side_a_pages(a) == 0) {
        return 100;
    }
    *head = page;
    uint64_t mark = side_a_mark(a), dead = (uint64_t)side_b_dead(word_rlx(page_side_b(c, page))) * ALIGN;
    uint64_t live = dead < mark ? mark - dead : 0;
    uint64_t percent = live * 100 / ((uint64_t)side_a_pages(a) << PAGE_SHIFT);
    return percent < 100 ? (uint32_t)percent : 100;
}

bool clean_one(struct call *k) {
    plc_cache *c = k->c;
    uint32_t pages = pages_used_end(c) - c->geo.first_page, best = 0, least = 100;
    if (pages == 0) {
        return false;
    }
    uint64_t from = word_add_rlx(&c->samples, SAMPLES);
    for (uint32_t i = 0; i < SAMPLES && (i < FIRST_SAMPLES || least < CLEAN_PERCENT); i++) {
        uint64_t random = hash_mix((from + i) * 0x9e3779b97f4a7c15ull ^ k->owner);
        uint32_t head = 0;
        uint32_t live = live_percent(k, c->geo.first_page + (uint32_t)(random % pages), &head);
        if (live < least) {
            least = live;
            best = head;
        }
    }
    return least < LIVE_PERCENT && evict_run(k, best, EVICT_CLEAN) == EVICT_FREED;
}
