/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ghost.c: see ghost.h.  A ghost is the epoch in which it was born (8 bits, 0: none) and a fingerprint (24 bits);
 * a key has GHOST_WAYS places side by side.  Garbage in the table is a ghost of some key, or a young one: both
 * are outlived.
 */
#include "ghost.h"

#include "hash.h"

#define EPOCHS 16u /* of one pool's worth of entries; the number has 8 bits, 0 is never used */
#define LIFE 15u   /* epochs that a ghost is remembered */

static uint32_t ghost_make(uint32_t epoch, uint32_t fingerprint) {
    return epoch << 24 | (fingerprint & 0xffffffu);
}

static uint32_t epoch_now(const plc_cache *c) {
    uint64_t pages = pages_limit(c) - c->geo.first_page;
    return (uint32_t)(word_rlx(&c->super->clock.value) * EPOCHS / (pages + 1) % 255u) + 1u;
}

static uint32_t age_of(uint32_t ghost, uint32_t epoch) {
    uint32_t born = ghost >> 24;
    return born == 0 ? 255u : (epoch + 255u - born) % 255u;
}

/* The places that the key's ghost may have, and its fingerprint.  Tag and buckets of a key are as good as its
 * hash. */
static word32 *places(const struct call *k, uint32_t *print) {
    const plc_cache *c = k->c;
    uint64_t first = (uint64_t)(k->buckets[0] - c->buckets), second = (uint64_t)(k->buckets[1] - c->buckets);
    uint64_t h = hash_mix((first << 22 | k->tag) + second * 0x9e3779b97f4a7c15ull);
    *print = (uint32_t)h & 0xffffffu;
    uint64_t set = (h >> 32) * (c->geo.ghosts / GHOST_WAYS) >> 32;
    return &c->ghosts[set * GHOST_WAYS];
}

static uint32_t load(word32 *place) {
    return atomic_load_explicit(place, memory_order_relaxed);
}

void ghost_ask(const struct call *k) {
    uint32_t print;
    __builtin_prefetch(places(k, &print), 1);
}

void ghost_remember(struct call *k) {
    uint32_t print, epoch = epoch_now(k->c), oldest = 0, worst = 0;
    word32 *at = places(k, &print);
    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        uint32_t ghost = load(&at[i]), age = age_of(ghost, epoch);
        if (ghost != 0 && (ghost & 0xffffffu) == print) {
            worst = i;
            break;
        }
        if (age > oldest) {
            oldest = age;
            worst = i;
        }
    }
    atomic_store_explicit(&at[worst], ghost_make(epoch, print), memory_order_relaxed);
}

bool ghost_knows(const struct call *k) {
    uint32_t print;
    word32 *at = places(k, &print);
    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        uint32_t ghost = load(&at[i]);
        if ((ghost & 0xffffffu) == print && age_of(ghost, epoch_now(k->c)) <= LIFE) {
            return true;
        }
    }
    return false;
}
