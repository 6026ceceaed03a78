/* SPDX-License-Identifier: BSD-3-Clause */
/* blake2b.c: see blake2b.h; sections and names are those of RFC 7693. */
#include "blake2b.h"

#include <stdbool.h>
#include <string.h>

#define BLOCK_BYTES 128u
#define ROUNDS 12

static const uint64_t iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const uint8_t sigma[ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static inline uint64_t rotate(uint64_t x, unsigned bits) {
    return x >> bits | x << (64 - bits);
}

static inline uint64_t load64(const uint8_t *p) {
    uint64_t x = 0;
    for (unsigned i = 8; i-- > 0;) {
        x = x << 8 | p[i];
    }
    return x;
}

/* Mixing function G, section 3.1. */
__attribute__((always_inline)) static inline void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] = v[a] + v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] = v[c] + v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] = v[a] + v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] = v[c] + v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

/* Compression function F, section 3.2; count is the bytes so far. */
static void compress(uint64_t h[8], const uint8_t block[BLOCK_BYTES], uint64_t count, bool last) {
    uint64_t v[16], m[16];
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = iv[i];
    }
    v[12] ^= count; /* its upper half is 0 */
    v[14] = last ? ~v[14] : v[14];
    for (int i = 0; i < 16; i++) {
        m[i] = load64(block + 8 * i);
    }
    /* unrolled, so that v lives in registers and sigma in the instructions */
#pragma GCC unroll 12
    for (int r = 0; r < ROUNDS; r++) {
        const uint8_t *s = sigma[r];
        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++) {
        h[i] ^= v[i] ^ v[i + 8];
    }
}

void blake2b(const void *data, size_t length, uint8_t *digest, size_t digest_length) {
    const uint8_t *bytes = data;
    uint64_t h[8], count = 0;
    memcpy(h, iv, sizeof h);
    h[0] ^= 0x01010000u ^ digest_length; /* parameter block: no key, sequential */
    while (length - count > BLOCK_BYTES) {
        count += BLOCK_BYTES;
        compress(h, bytes + count - BLOCK_BYTES, count, false);
    }
    uint8_t block[BLOCK_BYTES] = {0};
    if (length != 0) {
        memcpy(block, bytes + count, length - count);
    }
    compress(h, block, length, true);
    for (size_t i = 0; i < digest_length; i++) {
        digest[i] = (uint8_t)(h[i / 8] >> 8 * (i % 8));
    }
}
