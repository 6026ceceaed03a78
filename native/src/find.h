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

#include "call.h"
#include "counters.h"
#include "index.h"

#define HOT static inline __attribute__((always_inline))

/* An entry as a reader sees it. */
struct glance {
    const word *header;
    uint64_t first, size; /* its first two words, each loaded once: self, key, type, options | length, name, cost */
    uint64_t slot, word;  /* the slot's value, the head's word */
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
static inline uint64_t glance_sum(const struct glance *g) {
    return word_rlx(&g->header[2]);
}
static inline uint64_t glance_token(const struct glance *g) {
    return word_rlx(&g->header[3]);
}
static inline uint64_t glance_stamp(const struct glance *g) { /* created, client flags */
    return word_rlx(&g->header[4]);
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
    if ((int64_t)room < (int64_t)sizeof(struct shm_entry)) {
        return false;
    }
    const word *header = (const word *)(const void *)at;
    g->first = word_rlx(&header[0]);
    if ((uint32_t)g->first != entry_self(c, g->head, page_gen(g->word), offset)) {
        return false;
    }
    g->header = header;
    g->size = word_rlx(&header[1]);
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
static __attribute__((noinline)) enum found glance_again(struct call *k, struct glance *g) {
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
    const uint32_t tag = k->tag;
    __builtin_prefetch(k->buckets[1]); /* half of all keys are there */
    for (unsigned b = 0; b < 2; b++) {
        struct shm_bucket *bucket = k->buckets[b];
        for (unsigned i = index_first(bucket, tag); i < BUCKET_SLOTS; i = index_next(bucket, tag, i + 1)) {
            g->at = &bucket->slots[i];
            g->slot = word_acq(g->at);
            if (__builtin_expect(slot_tag(g->slot) != tag || g->slot == 0, 0)) {
                continue;
            }
            enum found found = glance_slot(k, g);
            if (__builtin_expect(found == FOUND_CHANGED, 0)) {
                struct glance again = *g; /* so that g stays in registers */
                found = glance_again(k, &again);
                *g = again;
            }
            if (__builtin_expect(found != FOUND_NONE, 1)) {
                g->visited = &bucket->visited[i];
                return found == FOUND_KEY ? PLC_OK : PLC_AGAIN;
            }
        }
    }
    return PLC_MISS;
}

/* ---- reading what was found ------------------------------------------------------------------ */

#define PINNED_FROM (64u * 1024u) /* copies of so many bytes are made under a pin */

/* Needs the time to be judged, and it was not asked for yet. */
HOT bool untimed(const struct call *k, const struct glance *g, bool flushes) {
    return __builtin_expect(g->deadline != 0 || flushes, 0) && k->now_ms == 0;
}

/* entry_valid, of a glance.  flushes: name_any_flush. */
HOT bool valid(const struct call *k, const struct glance *g, bool flushes) {
    const plc_cache *c = k->c;
    uint16_t tags[4];
    bool tagged = glance_options(g) & ENTRY_TAGS;
    if (__builtin_expect(tagged, 0)) {
        bool sums = glance_options(g) & ENTRY_CHECKSUM;
        copy_racing(tags, g->key - 8 - (sums ? sizeof(struct entry_checks) : 0), sizeof tags);
    }
    if (glance_kind(g) != ENTRY_VALUE || glance_sum(g) != name_sum(c, glance_name(g), tagged ? tags : NULL)) {
        return false;
    }
    uint64_t deadline = __builtin_expect(g->deadline != 0, 0) ? entry_deadline_of(g->deadline) : 0;
    if (deadline != 0 && deadline <= k->now_ms) { /* 0: the field is there, for a later one */
        return false;
    }
    return __builtin_expect(!flushes, 1) ||
           !name_flushed(c, c->created_ms + (uint64_t)(uint32_t)glance_stamp(g) * 100, k->now_ms);
}

HOT void fill_found(const plc_cache *c, const struct glance *g, plc_found *found) {
    uint64_t stamp = glance_stamp(g);
    found->length = g->length;
    found->token = glance_token(g);
    found->deadline_ms = __builtin_expect(g->deadline != 0, 0) ? entry_deadline_of(g->deadline) : 0;
    found->created_ms = c->created_ms + (uint64_t)(uint32_t)stamp * 100;
    found->client_flags = (uint32_t)(stamp >> 32);
    /* name, cost | type | text, immutable: what follows is stored at once */
    const uint64_t last = (g->size >> ENTRY_LENGTH_BITS & 0xffffu) | g->size >> 56 << 24 |
                          (g->first >> 32 & 0xff0000u) | (uint64_t)(g->first >> 59 & 1u) << 32 |
                          (uint64_t)(g->first >> 60 & 1u) << 40;
    __builtin_memcpy(&found->name, &last, sizeof last);
}
static_assert(offsetof(plc_found, tags) - offsetof(plc_found, name) == 8 && offsetof(plc_found, type) == 50 &&
                  offsetof(plc_found, cost) == 51 && offsetof(plc_found, key_is_text) == 52 &&
                  offsetof(plc_found, immutable) == 53 && ENTRY_TEXT == 1u << 3 && ENTRY_IMMUTABLE == 1u << 4,
              "what fill_found stores at once");

#endif
