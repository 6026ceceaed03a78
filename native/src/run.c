/* SPDX-License-Identifier: BSD-3-Clause */
/* run.c: see run.h; the order of its stores is `store` in layout.h. */
#include "run.h"

#include "counters.h"

#define PARK_MIN 256u     /* a run with less room is sealed */
#define TRIM_PART 4u      /* tails are given back when at least a quarter of the run is unused */
#define PARKED_TRIES 4u
#define DEAD_TRIES 1024u

void run_begin(struct call *k, uint32_t head, bool own, struct fill *f) {
    *f = (struct fill){.head = head, .own = own};
    f->gen = page_gen(word_rlx(page_word(k->c, head)));
    f->pages = side_a_pages(word_rlx(page_side_a(k->c, head)));
}

uint64_t run_room(const struct fill *f) {
    return ((uint64_t)f->pages << PAGE_SHIFT) - f->mark;
}

/* Can this word be won, and may the run be continued behind its mark? */
static bool resumable(struct call *k, uint32_t head, uint64_t w, uint64_t a, uint64_t need) {
    enum page_state state = page_state(w);
    bool open_dead = state == PAGE_OPEN && !owner_alive(k->c, w);
    uint64_t run_bytes = (uint64_t)side_a_pages(a) << PAGE_SHIFT;
    bool segment = side_a_pages(a) <= k->c->geo.segment_pages; /* else garbage: places behind it have no slot */
    return (state == PAGE_PARKED || open_dead) && segment && !side_a_own(a) && side_a_mark(a) + need <= run_bytes &&
           !pages_unseen(k, (uint64_t)head + side_a_pages(a));
}

bool run_resume(struct call *k, uint32_t head, uint64_t need, struct fill *f) {
    plc_cache *c = k->c;
    uint64_t w = word_acq(page_word(c, head));
    if (!resumable(k, head, w, word_rlx(page_side_a(c, head)), need) ||
        !word_swap(page_word(c, head), w, page_make(PAGE_OPEN, k->owner, page_gen(w)))) {
        return false;
    }
    uint64_t a = word_acq(page_side_a(c, head)); /* only now: the former owner may have raised its mark */
    *f = (struct fill){.head = head, .gen = page_gen(w)};
    f->pages = pages_of_run(c, head, a);
    f->mark = side_a_mark(a);
    if (page_state(w) == PAGE_OPEN) { /* its owner may have died while it gave tails back */
        f->pages = f->pages == 0 ? 0 : pages_own_prefix(k, head, f->gen, f->pages);
        word_put_rel(page_side_a(c, head), side_a_make(f->pages, f->mark, false));
    }
    if (side_a_own(a) || f->mark + need > (uint64_t)f->pages << PAGE_SHIFT) {
        f->published = true; /* nothing of mine is in it */
        run_finish(k, f);
        return false;
    }
    return true;
}

uint8_t *run_write(struct call *k, struct fill *f, const struct spec *s) {
    uint64_t bytes = entry_bytes(s);
    uint8_t *value = entry_write(k->c, s, page_bytes(k->c, f->head) + f->mark, f->head, f->gen, f->mark);
    f->bytes = bytes;
    return value;
}

uint64_t run_place(const struct call *k, const struct fill *f) {
    return slot_make(k->tag, f->head, f->mark);
}

void run_commit(struct call *k, struct fill *f) {
    uint32_t end = f->own ? ALIGN : f->mark + (uint32_t)f->bytes;
    word_put_rel(page_side_a(k->c, f->head), side_a_make(f->pages, end, f->own));
    f->committed = true;
}

void run_next(struct fill *f) {
    if (f->committed) {
        f->mark += (uint32_t)f->bytes;
    }
    f->bytes = 0;
    f->committed = f->published = false;
}

bool run_empty(uint64_t a, uint64_t b) {
    if (side_a_own(a)) {
        return side_a_mark(a) == 0 || side_b_dead(b) != 0;
    }
    return side_b_dead(b) * ALIGN >= side_a_mark(a);
}

static void note_empty(struct call *k, uint32_t head) {
    if (k->dead_count < sizeof k->dead / sizeof k->dead[0]) {
        k->dead[k->dead_count++] = head;
    }
}

void run_dead(struct call *k, uint32_t head, uint32_t gen, uint64_t bytes) {
    plc_cache *c = k->c;
    word *at = page_side_b(c, head);
    uint64_t a = word_acq(page_side_a(c, head)); /* its mark is beyond the entry: it was committed */
    uint32_t units = side_a_own(a) ? 1 : (uint32_t)(bytes / ALIGN);
    uint64_t most = side_a_own(a) ? 1 : side_a_mark(a) / ALIGN; /* garbage must not run into its neighbour */
    uint64_t b = word_acq(at);
    for (unsigned i = 0; i < DEAD_TRIES; i++) {
        if (side_b_gen(b) != (gen & 0x3fffffu)) {
            return; /* another run by now: nothing to add */
        }
        uint64_t dead = side_b_dead(b) + (uint64_t)units;
        uint64_t to = side_b_make(gen, (uint32_t)(dead < most ? dead : most), side_b_ring(b));
        if (word_swap(at, b, to)) {
            b = to;
            break;
        }
        b = word_acq(at);
    }
    fence_full(); /* whoever seals looks at the dead bytes behind a fence of his own: one of us sees the other */
    uint64_t w = word_acq(page_word(c, head));
    if (page_state(w) == PAGE_SEALED && page_gen(w) == gen && run_empty(word_acq(page_side_a(c, head)), b)) {
        note_empty(k, head);
    }
}

/* used: bytes up to which the run's pages stay; of an own run all stay. */
static void seal(struct call *k, struct fill *f, uint32_t used) {
    plc_cache *c = k->c;
    uint32_t keep = f->own ? f->pages : (used + PAGE_BYTES - 1) >> PAGE_SHIFT;
    keep = keep == 0 ? 1 : keep;
    if (f->pages > keep && (f->pages - keep) * TRIM_PART >= f->pages) {
        uint32_t had = f->pages;
        f->pages = pages_trim(k, f->head, f->gen, had, keep);
        spare_give(k, f->head + keep, had - keep);
    }
    word_put_rel(page_word(c, f->head), page_make(PAGE_SEALED, 0, f->gen));
    fence_full();
    if (run_empty(word_acq(page_side_a(c, f->head)), word_acq(page_side_b(c, f->head)))) {
        note_empty(k, f->head);
    } else {
        queue_put(k, f->head, f->gen);
    }
}

void run_seal_parked(struct call *k, uint32_t head) {
    plc_cache *c = k->c;
    uint64_t w = word_acq(page_word(c, head));
    if (page_state(w) != PAGE_PARKED || pages_unseen_run(k, head) ||
        !word_swap(page_word(c, head), w, page_make(PAGE_OPEN, k->owner, page_gen(w)))) {
        return;
    }
    uint64_t a = word_acq(page_side_a(c, head));
    struct fill f = {.head = head, .gen = page_gen(w), .pages = pages_of_run(c, head, a), .mark = side_a_mark(a)};
    seal(k, &f, f.mark);
}

/* The run that was remembered in its place and has little room would be forgotten by everybody: it is sealed. */
static void remember(struct call *k, const struct fill *f) {
    if (f->last == NULL) {
        return;
    }
    uint64_t old = word_rlx(f->last);
    if (old == f->head) {
        return;
    }
    word_put_rlx(f->last, f->head);
    if (old != 0 && page_in_pool(k->c, (uint32_t)old)) {
        uint64_t a = word_rlx(page_side_a(k->c, (uint32_t)old));
        uint64_t room = ((uint64_t)side_a_pages(a) << PAGE_SHIFT) - side_a_mark(a);
        if (room < ((uint64_t)side_a_pages(a) << PAGE_SHIFT) / TRIM_PART) {
            run_seal_parked(k, (uint32_t)old);
        }
    }
}

void run_finish(struct call *k, struct fill *f) {
    plc_cache *c = k->c;
    if (f->head == 0) {
        return;
    }
    if (f->committed && !f->published) {
        run_dead(k, f->head, f->gen, f->bytes);
    }
    uint32_t used = f->mark + (f->committed ? (uint32_t)f->bytes : 0);
    bool room = !f->own && ((uint64_t)f->pages << PAGE_SHIFT) >= (uint64_t)used + PARK_MIN;
    if (room && spare_park(k, f->head) >= 0) {
        word_put_rel(page_word(c, f->head), page_make(PAGE_PARKED, 0, f->gen));
        remember(k, f);
    } else {
        seal(k, f, used);
    }
    f->head = 0;
}

/* The rare half: the last one has no room, or is somebody else's by now. */
__attribute__((noinline)) static bool another(struct call *k, word *last, enum queue_of queue, uint64_t need,
                                              struct fill *f) {
    plc_cache *c = k->c;
    uint64_t own = word_rlx(last);
    for (uint32_t i = 0, tries = 0; i < PARKED_PLACES && tries < PARKED_TRIES; i++) {
        uint32_t head = spare_parked(k, (k->tid + i) % PARKED_PLACES);
        tries += head != 0 ? 1 : 0;
        if (head != 0 && head != own && queue_of(k, head) == queue && run_resume(k, head, need, f)) {
            f->last = last;
            return true;
        }
    }
    if (own != 0 && page_in_pool(c, (uint32_t)own) && queue_of(k, (uint32_t)own) == queue) {
        run_seal_parked(k, (uint32_t)own); /* too full for this one: it may age in its queue */
    }
    return false;
}

bool run_again(struct call *k, word *last, enum queue_of queue, uint64_t need, struct fill *f) {
    uint64_t own = word_rlx(last);
    if (own != 0 && page_in_pool(k->c, (uint32_t)own) && queue_of(k, (uint32_t)own) == queue &&
        run_resume(k, (uint32_t)own, need, f)) {
        f->last = last;
        return true;
    }
    return another(k, last, queue, need, f);
}
