/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * simulated.h: what memory.c compares the core with, and on what: an exact LRU that is given so many bytes, and
 * records drawn after Zipf's distribution by its exact sums (chance.h approximates it, quickly).
 */
#ifndef BENCH_SIMULATED_H
#define BENCH_SIMULATED_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state; /* of random64; a seed */

static uint64_t random64(void) { /* splitmix64 */
    uint64_t x = state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static double random_part(void) {
    return (double)(random64() >> 11) * 0x1p-53;
}

static void *room(size_t n, size_t each) {
    void *p = calloc(n, each);
    if (p == NULL) {
        (void)fprintf(stderr, "memory: no memory\n");
        exit(1);
    }
    return p;
}

/* ---- exact LRU of the same bytes ------------------------------------------------------------ */

struct lru {
    uint32_t *before, *after, *sizes; /* by id; 0 is the list's ring: before[0] the oldest */
    uint64_t used, most;
};

static void lru_new(struct lru *l, uint64_t ids, uint64_t bytes) {
    l->before = room(ids + 1, sizeof(uint32_t));
    l->after = room(ids + 1, sizeof(uint32_t));
    l->sizes = room(ids + 1, sizeof(uint32_t));
    l->used = 0;
    l->most = bytes;
}

static void lru_end(struct lru *l) {
    free(l->before);
    free(l->after);
    free(l->sizes);
}

static void lru_drop(struct lru *l, uint32_t i) {
    l->after[l->before[i]] = l->after[i];
    l->before[l->after[i]] = l->before[i];
    l->used -= l->sizes[i];
    l->sizes[i] = 0;
}

static void lru_put(struct lru *l, uint32_t i, uint32_t size) {
    if (l->sizes[i] != 0) {
        lru_drop(l, i);
    }
    l->after[i] = l->after[0];
    l->before[i] = 0;
    l->before[l->after[0]] = i;
    l->after[0] = i;
    l->sizes[i] = size;
    l->used += size;
    while (l->used > l->most) {
        lru_drop(l, l->before[0]);
    }
}

static bool lru_get(struct lru *l, uint32_t i) {
    if (l->sizes[i] == 0) {
        return false;
    }
    lru_put(l, i, l->sizes[i]);
    return true;
}

/* ---- Zipf's distribution ---------------------------------------------------------------------- */

struct zipf {
    double *sums;
    uint32_t *ids; /* rank -> id: the ranks are scattered */
    uint64_t n;
};

static void zipf_new(struct zipf *z, uint64_t n, double exponent) {
    z->n = n;
    z->sums = room(n, sizeof(double));
    z->ids = room(n, sizeof(uint32_t));
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        sum += pow((double)(i + 1), -exponent);
        z->sums[i] = sum;
        z->ids[i] = (uint32_t)i;
    }
    for (uint64_t i = n; i-- > 1;) {
        uint64_t j = random64() % (i + 1);
        uint32_t id = z->ids[i];
        z->ids[i] = z->ids[j];
        z->ids[j] = id;
    }
}

static void zipf_end(struct zipf *z) {
    free(z->sums);
    free(z->ids);
}

static uint32_t zipf_next(const struct zipf *z) {
    double x = random_part() * z->sums[z->n - 1];
    uint64_t low = 0, high = z->n - 1;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (z->sums[middle] < x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return z->ids[low];
}

#endif
