/* SPDX-License-Identifier: BSD-3-Clause */
/* hash.h: SipHash with 128 bits of result (Aumasson and Bernstein 2012, reference variant SipHash-1-3-128),
 * keyed with the region's random key so that nobody can aim keys at one bucket. */
#ifndef PLC_HASH_H
#define PLC_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t low, high;
};

/* c and d rounds per word and at the end; hash_key is the 1-3 that the region uses. */
struct hash128 hash_sip(const uint8_t key[16], const void *bytes, size_t n, int c_rounds, int d_rounds);
struct hash128 hash_key(const uint8_t key[16], const void *bytes, size_t n);

/* Cheap mixing of one word (the finaliser of MurmurHash3): not keyed, only for self-identification. */
static inline uint64_t hash_mix(uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

#endif
