/* SPDX-License-Identifier: BSD-3-Clause */
/* index.c: see index.h. */
#include "index.h"

#include "counters.h"
#include "hash.h"

#define TAG_BITS 22
#define WAIT_KEYS 512u /* wait words for keys; the first SHARDS_MAX are the shard locks' */

static void place_hash(struct call *k, const void *key, size_t length) {
    const struct geometry *g = &k->c->geo;
    struct hash128 h = hash_key(k->c->hash_key, key, length);
    uint32_t shard = (uint32_t)h.low & (g->shards - 1);
    uint64_t b1 = (h.low >> 32) * g->shard_buckets >> 32;
    uint64_t b2 = (h.high & 0xffffffffu) * g->shard_buckets >> 32;
    if (b1 == b2) {
        b2 = b1 + 1 == g->shard_buckets ? 0 : b1 + 1;
    }
    struct shm_bucket *first = &k->c->buckets[(size_t)shard * g->shard_buckets];
    k->shard = shard;
    k->tag = (uint32_t)(h.low >> 8) & ((1u << TAG_BITS) - 1);
    k->wait_word = SHARDS_MAX + (uint32_t)(h.high >> 32) % WAIT_KEYS;
    k->buckets[0] = first + b1;
    k->buckets[1] = first + b2;
}

plc_status index_key(struct call *k, const void *key, size_t length) {
    if (length == 0 || length > PLC_KEY_MAX || key == NULL || domain_overlaps(k->c, key, length)) {
        return PLC_INVALID;
    }
    memcpy(k->key, key, length); /* before it is hashed: the caller's copy may change */
    k->key_length = (uint32_t)length;
    place_hash(k, k->key, length);
    return PLC_OK;
}

void index_of_entry(struct call *k, const struct entry *e) {
    copy_racing(k->key, e->spec.key, e->spec.key_length);
    k->key_length = e->spec.key_length;
    place_hash(k, k->key, k->key_length);
}

enum seen { SEEN_NONE, SEEN_KEY, SEEN_CHANGED, SEEN_BEYOND };

/* One attempt at one way, unpinned. */
static enum seen peek(struct call *k, unsigned way, struct hit *hit) {
    plc_cache *c = k->c;
    word *slot = index_slot(k, way);
    uint64_t v = word_acq(slot);
    if (v == 0 || slot_tag(v) != k->tag) {
        return SEEN_NONE;
    }
    uint32_t head = slot_head(v);
    if (!page_in_pool(c, head)) {
        return pages_unseen(k, (uint64_t)head + 1) ? SEEN_BEYOND : SEEN_NONE;
    }
    __builtin_prefetch(page_bytes(c, head) + slot_offset(v));
    uint64_t w = word_acq(page_word(c, head));
    /* the slot again, with acquire: else a recycled run's new generation would be taken for the old one's */
    if (!page_readable(w) || word_acq(slot) != v) {
        return SEEN_CHANGED;
    }
    bool read = entry_read(c, v, w, &hit->e);
    if (read && entry_has_key(&hit->e, k)) {
        hit->way = way;
        return SEEN_KEY; /* believed after index_still, by the caller */
    }
    if (!index_still_at(k, head, w) || word_acq(slot) != v) {
        return SEEN_CHANGED;
    }
    if (!read && pages_unseen_run(k, head)) {
        return SEEN_BEYOND;
    }
    if (!read) {
        count(k, COUNT_CORRUPT_SEEN, 1);
    }
    return SEEN_NONE;
}

plc_status index_find(struct call *k, struct hit *hit) {
    for (unsigned way = 0; way < INDEX_WAYS; way++) {
        enum seen seen = SEEN_CHANGED;
        for (unsigned tries = 0; seen == SEEN_CHANGED && tries < INDEX_TRIES; tries++) {
            seen = peek(k, way, hit);
        }
        if (seen == SEEN_KEY) {
            return PLC_OK;
        }
        if (seen == SEEN_BEYOND) {
            return PLC_AGAIN;
        }
    }
    return PLC_MISS;
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
            return pages_unseen(k, (uint64_t)head + 1) ? SEEN_BEYOND : SEEN_NONE;
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

plc_status index_look_way(struct call *k, unsigned way, struct hit *hit) {
    uint64_t v, w;
    enum seen seen = pin(k, index_slot(k, way), &v, &w);
    if (seen == SEEN_KEY) {
        hit->way = way;
        hit->e.slot = v;
        bool read = entry_read(k->c, v, w, &hit->e);
        return read ? PLC_OK : pages_unseen_run(k, slot_head(v)) ? PLC_AGAIN : PLC_MISS;
    }
    hit->e.slot = v;
    return seen == SEEN_BEYOND ? PLC_AGAIN : seen == SEEN_CHANGED ? PLC_BUSY : PLC_MISS;
}

plc_status index_look(struct call *k, struct hit *hit) {
    for (unsigned way = 0; way < INDEX_WAYS; way++) {
        for (unsigned tries = 0;; tries++) {
            uint64_t v = word_acq(index_slot(k, way));
            if (v == 0 || slot_tag(v) != k->tag) {
                break;
            }
            plc_status s = index_look_way(k, way, hit);
            if (s == PLC_AGAIN || s == PLC_BUSY || tries == INDEX_TRIES) {
                index_unpin(k);
                return s == PLC_AGAIN ? PLC_AGAIN : PLC_BUSY;
            }
            if (s == PLC_OK && slot_tag(hit->e.slot) == k->tag && entry_has_key(&hit->e, k)) {
                return PLC_OK;
            }
            if (word_acq(index_slot(k, way)) == v) {
                break; /* unreadable, or another key */
            }
        }
    }
    index_unpin(k);
    return PLC_MISS;
}

void index_unpin(struct call *k) {
    word_put_rel(k->pin, 0);
}

int index_where(const struct call *k, uint64_t slot) {
    for (unsigned way = 0; way < INDEX_WAYS; way++) {
        if (word_acq(index_slot(k, way)) == slot) {
            return (int)way;
        }
    }
    return -1;
}

int index_empty(const struct call *k) {
    int empty[2] = {-1, -1};
    unsigned free_ways[2] = {0, 0};
    for (unsigned way = INDEX_WAYS; way-- > 0;) {
        if (word_rlx(index_slot(k, way)) == 0) {
            empty[way / BUCKET_SLOTS] = (int)way;
            free_ways[way / BUCKET_SLOTS]++;
        }
    }
    return free_ways[1] > free_ways[0] ? empty[1] : empty[0];
}
