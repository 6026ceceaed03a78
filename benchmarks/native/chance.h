/* SPDX-License-Identifier: BSD-3-Clause */
/* chance.h: numbers of chance for driver.c, the same for every store; evenly spread, or after Zipf. */
#ifndef BENCH_CHANCE_H
#define BENCH_CHANCE_H

#include <math.h>
#include <stdint.h>

/* xorshift64*; every user has its own state. */
static inline uint32_t draw(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * 0x2545F4914F6CDD1Dull >> 32);
}

static inline uint32_t below(uint64_t *state, uint32_t n) {
    return (uint32_t)((uint64_t)draw(state) * n >> 32);
}

/* Zipf's distribution after Gray et al. (1994), as YCSB draws it. */
struct zipf {
    double n, theta, alpha, zeta, eta;
};

static inline struct zipf zipf_make(uint32_t n, double theta) {
    struct zipf z = {.n = n, .theta = theta, .alpha = 1 / (1 - theta), .zeta = 0};
    for (uint32_t i = 1; i <= n; i++) {
        z.zeta += 1 / pow(i, theta);
    }
    z.eta = (1 - pow(2.0 / z.n, 1 - theta)) / (1 - (1 + pow(0.5, theta)) / z.zeta);
    return z;
}

/* A record: the popular ones lie scattered among all. */
static inline uint32_t zipf_draw(const struct zipf *z, uint64_t *state) {
    const double u = draw(state) / 4294967296.0, uz = u * z->zeta;
    uint64_t rank = uz < 1 ? 0 : 1;
    if (uz >= 1 + pow(0.5, z->theta)) {
        rank = (uint64_t)(z->n * pow(z->eta * u - z->eta + 1, z->alpha));
    }
    rank = (rank + 1) * 0x9E3779B97F4A7C15ull;
    rank = (rank ^ rank >> 32) * 0xD6E8FEB86659FD93ull;
    return (uint32_t)((rank ^ rank >> 32) % (uint64_t)z->n);
}

#endif
