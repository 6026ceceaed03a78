/* SPDX-License-Identifier: BSD-3-Clause */
/* index.c: see index.h. */
#include "index.h"

#include "counters.h"
#include "hash.h"

void index_of_entry(struct call *k, const struct entry *e) {
    copy_racing(k->key, e->spec.key, e->spec.key_length);
    k->key_length = e->spec.key_length;
    index_place(k, hash_from(k->c->hash, k->key, k->key_length));
}

enum seen { SEEN_NONE, SEEN_KEY, SEEN_CHANGED, SEEN_BEYOND };

/* The next way from *way on whose slot has the key's tag: its slot's value, or 0 when there is none. */
static uint64_t next_tagged(const struct call *k, unsigned *way) {
    const uint32_t tag = k->tag;
    for (unsigned b = *way >= BUCKET_SLOTS ? 1 : 0, i = *way - b * BUCKET_SLOTS; b < 2; b++, i = 0) {
        const struct shm_bucket *bucket = k->buckets[b];
        for (i = i == 0 ? index_first(bucket, tag) : index_next(bucket, tag, i); i < BUCKET_SLOTS;
             i = index_next(bucket, tag, i + 1)) {
            uint64_t v = word_acq(&bucket->slots[i]);
            if (slot_tag(v) == tag && v != 0) {
                *way = b * BUCKET_SLOTS + i;
                return v;
            }
        }
    }
    *way = INDEX_WAYS;
    return 0;
}

void index_ask_entry(struct call *k) {
    unsigned way = 0;
    k->likely = next_tagged(k, &way);
    uint32_t head = slot_head(k->likely);
    if (k->likely != 0 && page_in_pool(k->c, head)) {
        const uint8_t *at = page_bytes(k->c, head) + slot_offset(k->likely);
        __builtin_prefetch(page_word(k->c, head));
        __builtin_prefetch(at);
        __builtin_prefetch(at + 64);
        __builtin_prefetch(at + 128);
    }
}

/* Pins the run that a slot names.  The cell is stored, then a full fence, then the slot is loaded again: an
 * evictor swaps the slot, fences, and looks at the cells, so one of the two sees the other. */
static enum seen pin(struct call *k, word *slot, uint64_t *v, uint64_t *w) {
    plc_cache *c = k->c;
    for (unsigned tries = 0; tries < INDEX_TRIES; tries++) {
        *v = word_acq(slot);
        if (*v == 0) {
            return SEEN_NONE;
        }
        uint32_t head = slot_head(*v);
        if (!page_in_pool(c, head)) {
            if (pages_unseen(k, (uint64_t)head + 1)) {
                return SEEN_BEYOND;
            }
            if (page_in_pool(c, head)) {
                continue; /* another thread has raised the bound between the two looks */
            }
            return SEEN_NONE;
        }
        word_put_rlx(k->pin, pin_make(head, 1));
        fence_full();
        if (word_acq(slot) != *v) {
            continue;
        }
        *w = word_acq(page_word(c, head));
        if (page_readable(*w)) {
            return SEEN_KEY;
        }
    }
    return word_acq(slot) == *v ? SEEN_NONE : SEEN_CHANGED; /* a slot to a free page: garbage */
}

/* Reads the pinned entry.  Nothing is concluded from a bound that another thread raises meanwhile. */
static plc_status read_pinned(struct call *k, uint64_t v, uint64_t w, struct entry *e) {
    uint32_t limit;
    do {
        limit = pages_limit(k->c);
        if (entry_read(k->c, v, w, e)) {
            return PLC_OK;
        }
        if (pages_unseen_run(k, slot_head(v))) {
            return PLC_AGAIN;
        }
    } while (limit != pages_limit(k->c)); /* it is raised a bounded number of times */
    return PLC_MISS;
}

plc_status index_look_way(struct call *k, unsigned way, struct hit *hit) {
    uint64_t v, w;
    enum seen seen = pin(k, index_slot(k, way), &v, &w);
    hit->e.slot = v;
    if (seen == SEEN_KEY) {
        hit->way = way;
        return read_pinned(k, v, w, &hit->e);
    }
    return seen == SEEN_BEYOND ? PLC_AGAIN : seen == SEEN_CHANGED ? PLC_BUSY : PLC_MISS;
}

/* The same slot value and the same generation of its head: the same entry, which never changes. */
bool index_look_again(struct call *k, const struct hit *hit) {
    uint64_t v, w;
    if (pin(k, index_slot(k, hit->way), &v, &w) == SEEN_KEY && v == hit->e.slot &&
        page_gen(w) == page_gen(hit->e.head_word)) {
        return true;
    }
    index_unpin(k);
    return false;
}

/* What stands in a slot and cannot be read, though it is pinned, is damaged, or names a run that is gone.  It is taken
 * out, without counting anything dead: it might name whatever comes to lie there next, and so make one entry stand in
 * two slots. */
static void clear_unreadable(struct call *k, unsigned way, uint64_t v) {
    if (page_in_pool(k->c, slot_head(v)) && word_swap(index_slot(k, way), v, 0)) {
        count(k, COUNT_CORRUPT_SEEN, 1);
    }
}

plc_status index_look(struct call *k, struct hit *hit) {
    unsigned tries = 0, way = 0;
    for (uint64_t v = next_tagged(k, &way); v != 0; v = next_tagged(k, &way)) {
        plc_status s = index_look_way(k, way, hit);
        if (s == PLC_AGAIN || s == PLC_BUSY || tries == INDEX_TRIES) {
            index_unpin(k);
            return s == PLC_AGAIN ? PLC_AGAIN : PLC_BUSY;
        }
        if (s == PLC_OK && slot_tag(hit->e.slot) == k->tag && entry_has_key(&hit->e, k)) {
            return PLC_OK;
        }
        bool other = word_acq(index_slot(k, way)) == v; /* unreadable, or another key */
        if (other && (s == PLC_MISS || !hit->e.intact)) {
            clear_unreadable(k, way, v);
        }
        way += other ? 1 : 0;
        tries = other ? 0 : tries + 1;
    }
    index_unpin(k);
    return PLC_MISS;
}

void index_unpin(struct call *k) {
    word_put_rel(k->pin, 0);
}

int index_where(const struct call *k, uint64_t slot) {
    for (unsigned b = 0; b < 2; b++) {
        const word *slots = k->buckets[b]->slots;
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            if (word_acq(&slots[i]) == slot) {
                return (int)(b * BUCKET_SLOTS + i);
            }
        }
    }
    return -1;
}

/* How many slots of a bucket are empty, and the first of them. */
static inline __attribute__((always_inline)) unsigned empty_slots(const struct shm_bucket *bucket, unsigned *first) {
    unsigned n = 0;
#pragma GCC unroll 7
    for (unsigned i = BUCKET_SLOTS; i-- > 0;) {
        bool empty = word_rlx(&bucket->slots[i]) == 0;
        *first = empty ? i : *first;
        n += empty;
    }
    return n;
}

int index_empty(const struct call *k) {
    unsigned first[2] = {0, 0};
    unsigned one = empty_slots(k->buckets[0], &first[0]), two = empty_slots(k->buckets[1], &first[1]);
    if (one + two == 0) {
        return -1;
    }
    return (int)(two > one ? BUCKET_SLOTS + first[1] : first[0]);
}
