/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * find.h: how a reader finds an entry, without a lock, a pin or a store: slot, head's word, slot again, entry.
 * Everything here is inline because it is a hot read.
 *
 * What is read of an entry counts only if index_still_at says afterwards that the run is still the same.  Unlike
 * entry_read this trusts the lengths of a header that names itself as far as memory goes: they are checked
 * against the end of the file, not of the run, which saves looking at the run's side word.
 */
#ifndef PLC_FIND_H
#define PLC_FIND_H

#include "counters.h"
#include "index.h"

#define HOT static inline __attribute__((always_inline))

/* An entry as a reader sees it. */
struct glance {
    /* the header's five words, each loaded once: self, key, type, options | length, name, cost | sum | token |
     * created, client flags */
    uint64_t first, size, sum, token, stamp;
    uint64_t slot, word; /* the slot's value, the head's word */
    const uint8_t *key, *value;
    uint64_t length, deadline; /* the deadline's word as it is stored; 0 none */
    uint32_t head, key_length;
    const word *at;            /* the slot */
    _Atomic uint8_t *visited;  /* and its hint */
};

enum found { FOUND_NONE, FOUND_KEY, FOUND_CHANGED, FOUND_BEYOND };

static inline uint8_t glance_options(const struct glance *g) {
    return (uint8_t)(g->first >> 56);
}
static inline uint8_t glance_type(const struct glance *g) {
    return (uint8_t)(g->first >> 48);
}
static inline uint32_t glance_kind(const struct glance *g) {
    return (uint32_t)BITS(g->first, 45, 3);
}
static inline struct entry_place glance_place(const struct glance *g) {
    return (struct entry_place){g->head, page_gen(g->word), slot_offset(g->slot)};
}
static inline uint16_t glance_name(const struct glance *g) {
    return (uint16_t)(g->size >> ENTRY_LENGTH_BITS);
}
static_assert(offsetof(struct shm_entry, key) == 4 && offsetof(struct shm_entry, type) == 6 &&
                  offsetof(struct shm_entry, options) == 7 && offsetof(struct shm_entry, size) == 8,
              "the first two words, as above");

/* Unfolds the header at g->slot.  False: nothing that can be an entry of that run. */
HOT bool glance_header(struct call *k, struct glance *g) {
    const plc_cache *c = k->c;
    uint32_t offset = slot_offset(g->slot);
    const uint8_t *at = page_bytes(c, g->head) + offset;
    uint64_t room = ((uint64_t)(pages_limit(c) - g->head) << PAGE_SHIFT) - offset;
    if (room < sizeof(struct shm_entry) || room > UINT64_MAX / 2) {
        return false;
    }
    const word *header = (const word *)(const void *)at;
    g->first = word_rlx(&header[0]);
    if ((uint32_t)g->first != entry_self(c, g->head, page_gen(g->word), offset)) {
        return false;
    }
    g->size = word_rlx(&header[1]);
    g->sum = word_rlx(&header[2]);
    g->token = word_rlx(&header[3]);
    g->stamp = word_rlx(&header[4]);
    uint8_t options = glance_options(g);
    g->key_length = (uint32_t)BITS(g->first, 32, 13);
    g->length = g->size & ((1ull << ENTRY_LENGTH_BITS) - 1);
    uint32_t value_at = entry_value_at(options, g->key_length);
    g->key = at + sizeof(struct shm_entry) + entry_fields_bytes(options);
    g->value = at + value_at;
    if (value_at + g->length > room) {
        return false;
    }
    g->deadline = 0;
    if (options & ENTRY_DEADLINE) {
        uint64_t deadline = word_rlx(&header[5]);
        g->deadline = deadline != 0 ? deadline : 1; /* never written so: as any word whose check fails */
    }
    return true;
}

/* Nothing is concluded from a bound that another thread has raised meanwhile. */
static inline enum found found_nothing(const plc_cache *c, uint32_t limit) {
    return pages_limit(c) == limit ? FOUND_NONE : FOUND_CHANGED;
}

/* One attempt at the slot of g, which had the value g->slot with the key's tag. */
HOT enum found glance_slot(struct call *k, struct glance *g) {
    plc_cache *c = k->c;
    uint32_t limit = pages_limit(c);
    g->head = slot_head(g->slot);
    if (!page_in_pool(c, g->head)) {
        return pages_unseen(k, (uint64_t)g->head + 1) ? FOUND_BEYOND : found_nothing(c, limit);
    }
    const uint8_t *at = page_bytes(c, g->head) + slot_offset(g->slot);
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
    __builtin_prefetch(at + 128);
    g->word = word_acq(page_word(c, g->head));
    /* the slot again, with acquire: else a recycled run's new generation would be taken for the old one's */
    if (!page_readable(g->word) || word_acq(g->at) != g->slot) {
        return FOUND_CHANGED;
    }
    bool read = glance_header(k, g);
    if (read && g->key_length == k->key_length && same_racing(g->key, k->key, k->key_length)) {
        return FOUND_KEY; /* believed after index_still_at, by the caller */
    }
    if (!index_still_at(k, g->head, g->word) || word_acq(g->at) != g->slot) {
        return FOUND_CHANGED;
    }
    if (!read && pages_unseen_run(k, g->head)) {
        return FOUND_BEYOND;
    }
    if (!read && pages_limit(c) == limit) {
        count(k, COUNT_CORRUPT_SEEN, 1);
    }
    return found_nothing(c, limit);
}

/* The slot changed under the first look: again, up to INDEX_TRIES times. */
static enum found glance_again(struct call *k, struct glance *g) {
    enum found found = FOUND_CHANGED;
    for (unsigned tries = 1; found == FOUND_CHANGED && tries < INDEX_TRIES; tries++) {
        g->slot = word_acq(g->at);
        if (g->slot == 0 || slot_tag(g->slot) != k->tag) {
            return FOUND_NONE;
        }
        found = glance_slot(k, g);
    }
    if (found == FOUND_CHANGED) {
        count(k, COUNT_CONTENDED, 1);
        return FOUND_NONE; /* a miss is an answer, waiting is not */
    }
    return found;
}

/* The entry under the key of k, unpinned.  PLC_OK, PLC_MISS; PLC_AGAIN: it may lie in a part of the file that this
 * process does not know yet. */
HOT plc_status find_entry(struct call *k, struct glance *g) {
    for (unsigned b = 0; b < 2; b++) {
        struct shm_bucket *bucket = k->buckets[b];
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            g->slot = word_acq(&bucket->slots[i]);
            if (slot_tag(g->slot) != k->tag || g->slot == 0) {
                continue;
            }
            g->at = &bucket->slots[i];
            enum found found = glance_slot(k, g);
            found = found == FOUND_CHANGED ? glance_again(k, g) : found;
            if (found != FOUND_NONE) {
                g->visited = &bucket->visited[i];
                return found == FOUND_KEY ? PLC_OK : PLC_AGAIN;
            }
        }
    }
    return PLC_MISS;
}

#endif
