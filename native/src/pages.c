/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.c: see pages.h.  Every change of a page that others may change too is one compare-and-swap from
 * the exact word that was read; generations never fall, in whatever role a page is (I6).
 */
#include "pages.h"

#define GEN_LAST 0xfffffff0u /* a page that has come so far is retired: its numbers must not recur */

bool pages_claim(struct call *k, uint32_t page, uint64_t *met) {
    word *w = page_word(k->c, page);
    uint64_t old = word_acq(w);
    for (unsigned tries = 0; tries < 4; tries++) {
        enum page_state state = page_state(old);
        bool free = state == PAGE_FREE || (state == PAGE_CLAIM && !owner_alive(k->c, old));
        if (!free) {
            break;
        }
        if (page_gen(old) >= GEN_LAST) {
            (void)word_swap(w, old, page_make(PAGE_RETIRED, 0, page_gen(old)));
        } else if (word_swap(w, old, page_make(PAGE_CLAIM, k->owner, page_gen(old)))) {
            return true;
        }
        old = word_acq(w);
    }
    *met = old;
    return false;
}

void pages_unclaim(struct call *k, uint32_t page, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        word *w = page_word(k->c, page + i);
        uint64_t mine = word_rlx(w);
        if (page_state(mine) == PAGE_CLAIM) {
            (void)word_swap(w, mine, page_make(PAGE_FREE, 0, page_gen(mine)));
        }
    }
}

uint32_t pages_form(struct call *k, uint32_t head, uint32_t n, bool own) {
    plc_cache *c = k->c;
    uint32_t gen = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t had = page_gen(word_rlx(page_word(c, head + i)));
        gen = had > gen ? had : gen;
    }
    gen++;
    word_put_rlx(page_side_a(c, head), side_a_make(n, 0, own));
    word_put_rlx(page_side_b(c, head), side_b_make(gen, 0, RING_NONE));
    word_put_rel(page_word(c, head), page_make(PAGE_OPEN, k->owner, gen));
    for (uint32_t i = 1; i < n; i++) {
        word_put_rel(page_word(c, head + i), page_cont(head, gen));
    }
    fence_release(); /* whoever sees a byte that I fill also sees the new generation */
    return gen;
}

/* Tail pages [keep, n) -> FREE, from the last one down, each only if it still is this run's: after a
 * takeover it may have been allocated anew. */
static void free_tails(struct call *k, uint32_t head, uint32_t gen, uint32_t keep, uint32_t n) {
    uint64_t tail = page_cont(head, gen);
    for (uint32_t i = n; i > keep; i--) {
        (void)word_swap(page_word(k->c, head + i - 1), tail, page_make(PAGE_FREE, 0, gen));
    }
}

void pages_release(struct call *k, uint32_t head, uint32_t gen, uint32_t n) {
    free_tails(k, head, gen, 1, n);
    word_put_rel(page_word(k->c, head), page_make(PAGE_FREE, 0, gen));
}

uint32_t pages_trim(struct call *k, uint32_t head, uint32_t gen, uint32_t n, uint32_t keep) {
    word *a = page_side_a(k->c, head);
    free_tails(k, head, gen, keep, n);
    word_put_rel(a, side_a_make(keep, side_a_mark(word_rlx(a)), side_a_own(word_rlx(a))));
    return keep;
}

uint32_t pages_own_prefix(struct call *k, uint32_t head, uint32_t gen, uint32_t n) {
    uint32_t good = 1;
    while (good < n && word_acq(page_word(k->c, head + good)) == page_cont(head, gen)) {
        good++;
    }
    return good;
}
