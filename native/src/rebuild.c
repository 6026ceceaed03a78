/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rebuild.c: see rebuild.h.  Three passes:
 *   1 over the index: what does not prove itself leaves its slot; what does claims its pages, in the page words, which
 *     hold nothing else meanwhile: CONT(head, generation) of the entry's run, its head's too.  Whoever meets another's
 *     claim spoils both runs.
 *   2 over the pool, ascending: a run that is not spoiled is walked as an eviction walks it, and is formed of what is
 *     met there; its entries are marked in the index by their visited bytes.  All else becomes free pages.
 *   3 over the index: slots without a mark are emptied.
 *
 * Free pages begin behind the largest generation that any entry had, kept or not.  That is enough: nobody who read in
 * an earlier boot is alive, and no slot names anything but what was kept, whose pages keep their own generation.
 */
#include "rebuild.h"

#include "hash.h"

#define SPOILED 1u /* in side word B of a run, while pages are claimed */

struct rebuild {
    plc_cache *c;
    struct call k;     /* no place in the region: for looking into the index only */
    uint32_t gen;      /* the largest of all entries */
    uint64_t token;    /* also */
    uint64_t queued;
    uint32_t used_end; /* behind the last page of a run */
};

/* ---- what proves itself ---------------------------------------------------------------------- */

/* Was this number given to a name?  A lost one may be given to another name, and this one's invalidation would not
 * reach the entry any more. */
static bool name_known(const plc_cache *c, uint16_t number) {
    return number == 0 || word_rlx(&name_row(c, number)->hash) != 0;
}

static bool names_known(const plc_cache *c, const struct spec *s) {
    bool known = name_known(c, s->name);
    for (unsigned i = 0; i < PLC_TAGS_MAX; i++) {
        known = known && name_known(c, s->tags[i]);
    }
    return known;
}

/* Content-addressed, and of now: what was written under generations that are lost must not become valid when they are
 * reached again. */
static bool worth_keeping(struct rebuild *r, const struct entry *e) {
    return (e->spec.options & ENTRY_IMMUTABLE) && entry_valid(&r->k, e) && names_known(r->c, &e->spec);
}

/* The pages from head on in which its entry may lie. */
static uint64_t room_at(const plc_cache *c, uint32_t head, bool own) {
    uint32_t pages = pages_limit(c) - head;
    return (uint64_t)(own || pages < c->geo.segment_pages ? pages : c->geo.segment_pages) << PAGE_SHIFT;
}

/* Does slot value v name an entry that proves itself to be of there? */
static bool proves_itself(const plc_cache *c, uint64_t v, struct entry *e) {
    uint32_t head = slot_head(v);
    if (v == 0 || !page_in_pool(c, head) || !entry_prove(c, v, room_at(c, head, true), e)) {
        return false;
    }
    bool own = e->spec.options & ENTRY_OWN;
    return own ? e->offset == 0 : e->offset + e->bytes <= room_at(c, head, false);
}

/* ---- pass 1: claims -------------------------------------------------------------------------- */

static void spoil(const plc_cache *c, uint64_t claim) {
    word_put_rlx(page_side_b(c, page_cont_head(claim)), SPOILED);
}

/* A run's claim reaches from its head as far as side word A says. */
static void claim(const plc_cache *c, const struct entry *e) {
    uint64_t mine = page_cont(e->head, page_gen(e->head_word));
    uint32_t n = (uint32_t)((e->offset + e->bytes + PAGE_BYTES - 1) >> PAGE_SHIFT);
    uint64_t there = word_rlx(page_word(c, e->head));
    word *reach = page_side_a(c, e->head);
    if (there != 0 && there != mine) {
        spoil(c, there);
        spoil(c, mine);
        return;
    }
    for (uint32_t i = (uint32_t)word_rlx(reach); i < n; i++) {
        there = word_rlx(page_word(c, e->head + i));
        if (there != 0) {
            spoil(c, there);
            spoil(c, mine);
        } else {
            word_put_rlx(page_word(c, e->head + i), mine);
        }
    }
    if (word_rlx(reach) < n) {
        word_put_rlx(reach, n);
    }
}

static void look_at_slot(struct rebuild *r, struct shm_bucket *bucket, unsigned i) {
    struct entry e;
    uint64_t v = word_rlx(&bucket->slots[i]);
    bool stays = false;
    if (proves_itself(r->c, v, &e)) {
        r->gen = page_gen(e.head_word) > r->gen ? page_gen(e.head_word) : r->gen;
        bool made_here = e.spec.options & ENTRY_IMMUTABLE; /* the others' may be their callers' own */
        r->token = made_here && e.spec.token > r->token ? e.spec.token : r->token;
        index_of_entry(&r->k, &e);
        stays =
            r->k.tag == slot_tag(v) && (bucket == r->k.buckets[0] || bucket == r->k.buckets[1]) && worth_keeping(r, &e);
    }
    if (stays) {
        claim(r->c, &e);
    } else if (v != 0) {
        word_put_rlx(&bucket->slots[i], 0);
    }
    atomic_store_explicit(&bucket->visited[i], 0, memory_order_relaxed);
}

static void over_index(struct rebuild *r, void (*look)(struct rebuild *, struct shm_bucket *, unsigned)) {
    for (uint64_t b = 0; b < walk_buckets(r->c); b++) {
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            look(r, &r->c->buckets[b], i);
        }
    }
}

/* ---- pass 2: runs ---------------------------------------------------------------------------- */

/* Is the key of e, whose place in the index is in r->k, kept already, by another way? */
static bool kept_twice(struct rebuild *r) {
    for (unsigned way = 0; way < INDEX_WAYS; way++) {
        struct entry other;
        uint64_t v = word_rlx(index_slot(&r->k, way));
        bool kept = atomic_load_explicit(index_visited(&r->k, way), memory_order_relaxed) != 0;
        if (kept && slot_tag(v) == r->k.tag && proves_itself(r->c, v, &other) && entry_has_key(&other, &r->k)) {
            return true;
        }
    }
    return false;
}

/* Marks the entry in the index, if a slot names it and no other has its key. */
static bool keep(struct rebuild *r, const struct entry *e) {
    index_of_entry(&r->k, e);
    int way = index_where(&r->k, slot_make(r->k.tag, e->head, e->offset));
    if (way < 0 || !worth_keeping(r, e) || kept_twice(r)) {
        return false;
    }
    index_mark(&r->k, (unsigned)way, 1);
    return true;
}

struct extent {
    uint64_t end, live; /* bytes */
    bool own;
};

/* Walks the run as unlink_all does (evict.c): what is not met there would never be taken out of the index. */
static struct extent walk_run(struct rebuild *r, uint32_t head, uint64_t claimed) {
    plc_cache *c = r->c;
    uint32_t gen = page_gen(claimed);
    uint64_t bytes = word_rlx(page_side_a(c, head)) << PAGE_SHIFT;
    struct extent x = {0, 0, false};
    for (uint64_t offset = 0; offset < bytes && !x.own;) {
        struct entry e;
        bool read = offset < room_at(c, head, false) &&
                    entry_prove(c, slot_make(0, head, (uint32_t)offset), bytes, &e) && page_gen(e.head_word) == gen;
        if (read && keep(r, &e)) {
            x.end = offset + e.bytes;
            x.live += e.bytes;
            x.own = e.spec.options & ENTRY_OWN;
        }
        offset += read ? e.bytes : ALIGN;
    }
    return x;
}

static void form(struct rebuild *r, uint32_t head, uint32_t gen, const struct extent *x) {
    plc_cache *c = r->c;
    uint32_t pages = (uint32_t)((x->end + PAGE_BYTES - 1) >> PAGE_SHIFT);
    uint32_t place = RING_NONE;
    if (r->queued < c->geo.ring_places) { /* those that find no place there are queued by the sweep */
        place = (uint32_t)r->queued++;
        word_put_rlx(&c->ring[QUEUE_MAIN][place], hint_make(0, head));
    }
    uint32_t mark = x->own ? ALIGN : (uint32_t)x->end, dead = x->own ? 0 : (uint32_t)((x->end - x->live) / ALIGN);
    word_put_rlx(page_side_a(c, head), side_a_make(pages, mark, x->own));
    word_put_rlx(page_side_b(c, head), side_b_make(gen, dead, ring_make(QUEUE_MAIN, place)));
    word_put_rlx(page_word(c, head), page_make(PAGE_SEALED, 0, gen)); /* its tails say CONT already */
    r->used_end = head + pages;
}

/* Is this page a tail of a run that was formed? */
static bool is_tail(const plc_cache *c, uint32_t page, uint64_t w) {
    uint32_t head = page_cont_head(w);
    return page_state(w) == PAGE_CONT && word_rlx(page_word(c, head)) == page_make(PAGE_SEALED, 0, page_gen(w)) &&
           page - head < side_a_pages(word_rlx(page_side_a(c, head)));
}

static void over_pool(struct rebuild *r) {
    plc_cache *c = r->c;
    uint64_t free = page_make(PAGE_FREE, 0, r->gen + 1);
    for (uint32_t page = c->geo.first_page; page < pages_limit(c); page++) {
        uint64_t w = word_rlx(page_word(c, page));
        bool head = w == page_cont(page, page_gen(w)) && word_rlx(page_side_b(c, page)) != SPOILED;
        struct extent x = {0, 0, false};
        if (head) {
            x = walk_run(r, page, w);
        }
        if (x.live != 0) {
            form(r, page, page_gen(w), &x);
        } else if (head || !is_tail(c, page, w)) {
            word_put_rlx(page_word(c, page), free);
            word_put_rlx(page_side_a(c, page), 0);
            word_put_rlx(page_side_b(c, page), 0);
        }
    }
}

/* ---- pass 3, and everything else ------------------------------------------------------------- */

static void empty_unmarked(struct rebuild *r, struct shm_bucket *bucket, unsigned i) {
    (void)r;
    if (atomic_load_explicit(&bucket->visited[i], memory_order_relaxed) == 0 && word_rlx(&bucket->slots[i]) != 0) {
        word_put_rlx(&bucket->slots[i], 0);
    }
    atomic_store_explicit(&bucket->visited[i], 0, memory_order_relaxed);
}

/* Words that are 0 already are not written: they need not go to the disk. */
static void wipe(word *from, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        if (word_rlx(&from[i]) != 0) {
            word_put_rlx(&from[i], 0);
        }
    }
}

static void wipe_range(const plc_cache *c, uint64_t from, uint64_t to) {
    wipe((word *)(void *)(c->base + from), (to - from) / sizeof(word));
}

/* All but the fixed part, names, flushes and the index.  Generations of names and moments of flushes were on the disk
 * before whoever raised them went on. */
static void wipe_tables(const plc_cache *c) {
    const struct geometry *g = &c->geo;
    struct shm_superblock *s = c->super;
    wipe_range(c, g->wait_at, g->names_at);
    wipe_range(c, g->processes_at, g->index_at);
    bool flushed = word_rlx(&s->flushed_ms) != 0;
    for (unsigned i = 0; i < FLUSHES_MOST; i++) {
        flushed = flushed || word_rlx(&s->flush_at_ms[i]) != 0;
    }
    word_put_rlx(&s->any_flush, flushed ? 1 : word_rlx(&s->any_flush));
    wipe_range(c, offsetof(struct shm_superblock, frontier), offsetof(struct shm_superblock, flush_at_ms));
    wipe_range(c, offsetof(struct shm_superblock, reserve), sizeof(struct shm_superblock));
    word_put_rlx(&s->clean, 0);
    word_put_rlx(&s->growth_stopped, 0);
    word_put_rlx(&s->taken_pages, pages_limit(c));
}

/* The row of the whole region is never 0: if it is, the generations are lost, and with them what is invalid. */
static bool names_lost(const plc_cache *c) {
    word *whole = &name_row(c, NAME_WHOLE)->generation;
    if (word_rlx(whole) != 0) {
        return false;
    }
    wipe_range(c, c->geo.names_at, c->geo.processes_at);
    word_put_rlx(whole, 1);
    return true;
}

/* Free stretches between the runs, for who looks for room. */
static void give_free(struct rebuild *r) {
    plc_cache *c = r->c;
    for (uint32_t page = c->geo.first_page; page < r->used_end;) {
        uint32_t n = 0;
        while (page + n < r->used_end && page_state(word_rlx(page_word(c, page + n))) == PAGE_FREE) {
            n++;
        }
        if (n != 0) {
            spare_give(&r->k, page, n);
        }
        page += n + 1;
    }
}

static void set_cursors(struct rebuild *r) {
    plc_cache *c = r->c;
    struct shm_superblock *s = c->super;
    uint64_t blocks = word_rlx(&s->tokens), seen = (r->token >> 24) + 1;
    word_put_rlx(&s->tokens, (blocks > seen ? blocks : seen) + TOKENS_PER_BOOT);
    word_put_rlx(&s->frontier.value, r->used_end);
    word_put_rlx(&s->hand.value, c->geo.first_page);
    word_put_rlx(&s->sweep.value, c->geo.first_page);
    word_put_rlx(&s->slots_used.value, 1);
    word_put_rlx(&s->ring_tail[QUEUE_MAIN].value, r->queued);
}

int rebuild_region(plc_cache *c, uint64_t now_ms) {
    struct rebuild r;
    memset(&r, 0, sizeof r);
    r.c = r.k.c = c;
    r.k.now_ms = now_ms;
    r.used_end = c->geo.first_page;
    domain_open(c);
    wipe_tables(c);
    if (names_lost(c)) {
        wipe_range(c, c->geo.index_at, (uint64_t)c->geo.first_page << PAGE_SHIFT);
    }
    over_index(&r, look_at_slot);
    over_pool(&r);
    over_index(&r, empty_unmarked);
    give_free(&r);
    set_cursors(&r);
    domain_close(c);
    return os_sync(c->base, c->geo.size_bytes);
}
