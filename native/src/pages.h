/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.h: claiming pages, forming a run of them and giving them back: steps 1 to 4 of `allocate` and the
 * last two of `evict` in layout.h.  Which pages are taken is decided elsewhere (space.c).
 */
#ifndef PLC_PAGES_H
#define PLC_PAGES_H

#include "region.h"

static inline word *page_word(const plc_cache *c, uint32_t page) {
    return &c->pages[page - c->geo.first_page].state;
}
static inline word *page_side_a(const plc_cache *c, uint32_t page) {
    return &c->pages[page - c->geo.first_page].side_a;
}
static inline word *page_side_b(const plc_cache *c, uint32_t page) {
    return &c->side_b[page - c->geo.first_page];
}
static inline uint32_t pages_limit(const plc_cache *c) {
    return atomic_load_explicit((word32 *)(uintptr_t)&c->limit_page, memory_order_relaxed);
}
/* Is this page in the part of the pool that is proved to be in the file?  (G4: nothing else is touched.) */
static inline bool page_in_pool(const plc_cache *c, uint32_t page) {
    return page >= c->geo.first_page && page < pages_limit(c);
}
/* Do pages before `end` lie beyond what this process knows of the file, though others say that it has grown?
 * Then it is to be asked about (want_refresh): nothing is concluded from what cannot be seen yet. */
static inline bool pages_unseen(struct call *k, uint64_t end) {
    plc_cache *c = k->c;
    uint64_t hint = word_rlx(&c->super->taken_pages);
    if (end <= pages_limit(c) || end > hint || hint > c->geo.end_page || hint == word_rlx(&c->hint_distrusted)) {
        return false;
    }
    k->want_refresh = true;
    return true;
}
static inline bool pages_unseen_run(struct call *k, uint32_t head) {
    return pages_unseen(k, (uint64_t)head + side_a_pages(word_rlx(page_side_a(k->c, head))));
}
static inline uint8_t *page_bytes(const plc_cache *c, uint32_t page) {
    return c->base + ((size_t)page << PAGE_SHIFT);
}

/* Behind the last page that anybody has ever claimed, as the frontier says; garbage there means all that are proved. */
static inline uint32_t pages_used_end(const plc_cache *c) {
    uint64_t frontier = word_rlx(&c->super->frontier.value);
    uint32_t limit = pages_limit(c);
    return frontier >= c->geo.first_page && frontier < limit ? (uint32_t)frontier : limit;
}

/* Pages of the run at head as its side word says, cut to what is proved; 0: nonsense. */
static inline uint32_t pages_of_run(const plc_cache *c, uint32_t head, uint64_t side_a) {
    uint32_t n = side_a_pages(side_a);
    return n <= pages_limit(c) - head ? n : 0;
}

/* FREE, or CLAIM of a dead owner -> CLAIM(me).  False: not to be had; *met is the word that is there. */
bool pages_claim(struct call *k, uint32_t page, uint64_t *met);
/* CLAIM(me) -> FREE for [page, page + n). */
void pages_unclaim(struct call *k, uint32_t page, uint32_t n);
/* Makes a run of n pages claimed by me, empty, OPEN(me).  Returns its generation. */
uint32_t pages_form(struct call *k, uint32_t head, uint32_t n, bool own);
/* Ends a run whose head says FREEING(me): tails, descending, then head -> FREE. */
void pages_release(struct call *k, uint32_t head, uint32_t gen, uint32_t n);
/* Gives the pages of my OPEN run from its `keep`th on back.  Returns the pages it has then. */
uint32_t pages_trim(struct call *k, uint32_t head, uint32_t gen, uint32_t n, uint32_t keep);
/* After winning the OPEN run of a dead owner: how many pages from head on really are its own. */
uint32_t pages_own_prefix(struct call *k, uint32_t head, uint32_t gen, uint32_t n);

#endif
