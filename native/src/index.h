/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index.h: from a key to its entry.  Two buckets of seven slots per key, both in one shard; nothing is ever
 * displaced from one to the other.  Reading is lock-free: slot, head's word, slot again, entry, and after
 * the copy the head's word again (`index_still`).  Writers pin what they look at.
 */
#ifndef PLC_INDEX_H
#define PLC_INDEX_H

#include "hash.h"
#include "run.h"

#define INDEX_TRIES 64u
#define INDEX_WAYS (2u * BUCKET_SLOTS)

#define INDEX_TAG_BITS 22
#define WAIT_KEYS 512u /* wait words for keys; the first SHARDS_MAX are the shard locks' */

/* Where a key of hash h may be.  The second bucket comes from the same hash, mixed: two keys that share the first,
 * the shard and the tag are the same key but once in 2^62, so nothing is lost, and the hash need be only one word
 * long. */
static inline __attribute__((always_inline)) void index_place(struct call *k, uint64_t h) {
    const struct geometry *g = &k->c->geo;
    uint64_t mixed = hash_mix(h);
    uint32_t shard = (uint32_t)h & (g->shards - 1);
    uint64_t b1 = (h >> 32) * g->shard_buckets >> 32;
    uint64_t b2 = (mixed >> 32) * g->shard_buckets >> 32;
    if (b1 == b2) {
        b2 = b1 + 1 == g->shard_buckets ? 0 : b1 + 1;
    }
    struct shm_bucket *first = &k->c->buckets[(size_t)shard * g->shard_buckets];
    k->shard = shard;
    k->tag = (uint32_t)(h >> 8) & ((1u << INDEX_TAG_BITS) - 1);
    k->hash = h;
    k->buckets[0] = first + b1;
    k->buckets[1] = first + b2;
    k->likely = 0;
}

/* The wait word of whoever waits for this key's computation. */
static inline uint32_t index_wait_word(const struct call *k) {
    return SHARDS_MAX + (uint32_t)hash_mix(k->hash) % WAIT_KEYS;
}

/* Copies the key into the call, hashes it and finds its buckets.  PLC_INVALID: its length. */
static inline __attribute__((always_inline)) plc_status index_key_beside(struct call *k, struct guard guard,
                                                                         const void *key, size_t length) {
    if (length == 0 || length > PLC_KEY_MAX || key == NULL || domain_refuses(k->c, guard, key, length)) {
        return PLC_INVALID;
    }
    copy_short(k->key, key, length); /* before it is hashed: the caller's copy may change */
    k->key_length = (uint32_t)length;
    index_place(k, hash_from(k->c->hash, k->key, length));
    return PLC_OK;
}
static inline __attribute__((always_inline)) plc_status index_key(struct call *k, const void *key, size_t length) {
    return index_key_beside(k, domain_guard(k->c), key, length);
}
/* Where an entry that lies in the region belongs (for evictors): tag and buckets of k are set. */
void index_of_entry(struct call *k, const struct entry *e);

/* The first slot from i on that has the tag, or BUCKET_SLOTS. */
static inline unsigned index_next(const struct shm_bucket *bucket, uint32_t tag, unsigned i) {
    while (i < BUCKET_SLOTS && slot_tag(word_acq(&bucket->slots[i])) != tag) {
        i++;
    }
    return i;
}
/* The same from the first one on, unrolled.  (Comparing all of them at once by vector instructions takes a third of the
 * instructions, and more time: what follows then waits for them, where else it begins ahead.) */
static inline __attribute__((always_inline)) unsigned index_first(const struct shm_bucket *bucket, uint32_t tag) {
    unsigned i = 0;
#pragma GCC unroll 7
    for (; i < BUCKET_SLOTS; i++) {
        if (slot_tag(word_acq(&bucket->slots[i])) == tag) {
            break;
        }
    }
    return i;
}

/* A way is 0 to 13: slot i of the first bucket, then of the second. */
static inline struct shm_bucket *index_bucket(const struct call *k, unsigned way, unsigned *i) {
    unsigned second = way >= BUCKET_SLOTS ? 1 : 0;
    *i = way - second * BUCKET_SLOTS;
    return k->buckets[second];
}
static inline word *index_slot(const struct call *k, unsigned way) {
    unsigned i;
    struct shm_bucket *bucket = index_bucket(k, way, &i);
    return &bucket->slots[i];
}
static inline _Atomic uint8_t *index_visited(const struct call *k, unsigned way) {
    unsigned i;
    struct shm_bucket *bucket = index_bucket(k, way, &i);
    return &bucket->visited[i];
}
static inline uint8_t index_marks(const struct call *k, unsigned way) {
    return atomic_load_explicit(index_visited(k, way), memory_order_relaxed);
}
static inline void index_mark(const struct call *k, unsigned way, uint8_t marks) {
    _Atomic uint8_t *v = index_visited(k, way);
    if (atomic_load_explicit(v, memory_order_relaxed) != marks) {
        atomic_store_explicit(v, marks, memory_order_relaxed);
    }
}
/* It must be used again to be spared again. */
static inline void index_spare(const struct call *k, unsigned way) {
    index_mark(k, way, index_marks(k, way) & VISITED_READ);
}

/* What a look-up met at one of the 14 ways. */
struct hit {
    struct entry e;
    unsigned way;
};

/* Readers find entries without a pin (find.h); what they have read counts after index_still. */
static inline __attribute__((always_inline)) bool index_still_at(const struct call *k, uint32_t head, uint64_t w) {
    fence_acquire();
    uint64_t now = word_acq(page_word(k->c, head));
    return now == w || (page_readable(now) && page_gen(now) == page_gen(w));
}
static inline bool index_still(const struct call *k, const struct entry *e) {
    return index_still_at(k, e->head, e->head_word);
}

/* For writers: the same, pinned by the call's transient cell when PLC_OK (until index_unpin), the cell
 * cleared otherwise.  pre: fence_full() since the call began, before the first look.
 * PLC_BUSY: the slot changed 64 times under the look. */
plc_status index_look(struct call *k, struct hit *hit);
/* Asks for the buckets' lines, for who has something else to do before it looks. */
static inline void index_ask(const struct call *k) {
    __builtin_prefetch(k->buckets[0], 1);
    __builtin_prefetch(k->buckets[1], 1);
}
/* Asks for the entry that is most likely the key's, and notes its slot in k->likely. */
void index_ask_entry(struct call *k);
/* Pins again what an earlier look of this call found.  False (and no pin): it is no longer there. */
bool index_look_again(struct call *k, const struct hit *hit);
/* Pins and reads what is in one way, whatever its key.  PLC_OK; PLC_MISS: nothing that can be read. */
plc_status index_look_way(struct call *k, unsigned way, struct hit *hit);
void index_unpin(struct call *k);

/* The way in which a slot value stands, or -1. */
int index_where(const struct call *k, uint64_t slot);
/* An empty way in the less loaded bucket, or -1. */
int index_empty(const struct call *k);

#endif
