/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hash.h: SipHash with 64 bits of result (Aumasson and Bernstein 2012), keyed with the region's random key so
 * that nobody can aim keys at one bucket.  The region hashes every key with SipHash-1-3, written out here
 * because it is a third of a hot read; hash_sip (hash.c) does any number of rounds, so that the published
 * vectors of 2-4 test the same steps.
 */
#ifndef PLC_HASH_H
#define PLC_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are loaded as they lie");

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t hash_turn(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline uint64_t hash_load(const uint8_t *at) {
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static inline void sip_mix(struct sip *s) {
    s->a += s->b;
    s->b = hash_turn(s->b, 13) ^ s->a;
    s->a = hash_turn(s->a, 32);
    s->c += s->d;
    s->d = hash_turn(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = hash_turn(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = hash_turn(s->b, 17) ^ s->c;
    s->c = hash_turn(s->c, 32);
}

static inline struct sip sip_begin(const uint8_t key[16]) {
    uint64_t low = hash_load(key), high = hash_load(key + 8);
    return (struct sip){low ^ 0x736f6d6570736575ull, high ^ 0x646f72616e646f6dull, low ^ 0x6c7967656e657261ull,
                        high ^ 0x7465646279746573ull};
}

/* The last word: what is left of the n bytes that end behind `at`, and their number modulo 256 on top. */
static inline uint64_t sip_last_word(const uint8_t *at, size_t n) {
    uint64_t x = (uint64_t)n << 56;
    size_t left = n & 7u;
    if (n >= 8) { /* one load that ends at the end; the bytes hashed already are shifted out (in two steps of
                     less than 64 bits, as none may be left) */
        return x | hash_load(at + left - 8) >> (63 - 8 * left) >> 1;
    }
    for (size_t i = 0; i < left; i++) {
        x |= (uint64_t)at[i] << (8 * i);
    }
    return x;
}

/* SipHash-1-3 from the state that sip_begin has made of the key. */
__attribute__((always_inline)) static inline uint64_t hash_from(struct sip s, const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    uint64_t last = (uint64_t)n << 56;
    if (n & 7u) {
        last = sip_last_word(at + (n & ~(size_t)7u), n);
    }
    for (const uint8_t *end = at + (n & ~(size_t)7u); at != end; at += 8) {
        uint64_t x = hash_load(at);
        s.d ^= x;
        sip_mix(&s);
        s.a ^= x;
    }
    s.d ^= last;
    sip_mix(&s);
    s.a ^= last;
    s.c ^= 0xff;
    sip_mix(&s);
    sip_mix(&s);
    sip_mix(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

static inline uint64_t hash_key(const uint8_t key[16], const void *bytes, size_t n) {
    return hash_from(sip_begin(key), bytes, n);
}

/* SipHash-c-d. */
uint64_t hash_sip(const uint8_t key[16], const void *bytes, size_t n, int c_rounds, int d_rounds);

/* Cheap mixing of one word (the finaliser of MurmurHash3): not keyed, for self-identification and for a second
 * number out of a hash. */
static inline uint64_t hash_mix(uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

#endif
