/* SPDX-License-Identifier: BSD-3-Clause */
/* hash.c: SipHash-c-d-128.  The region hashes every key with 1-3 (hash_key, rounds spelled out: it is a third
 * of a hot read); any c and d are there so that the published vectors of 2-4 test the same rounds. */
#include "hash.h"

#include <string.h>

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t turn(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are loaded as they lie");

static inline uint64_t load64(const uint8_t *at) {
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static inline void mix(struct sip *s) {
    s->a += s->b;
    s->b = turn(s->b, 13) ^ s->a;
    s->a = turn(s->a, 32);
    s->c += s->d;
    s->d = turn(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = turn(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = turn(s->b, 17) ^ s->c;
    s->c = turn(s->c, 32);
}

static inline struct sip begin(const uint8_t key[16]) {
    uint64_t low = load64(key), high = load64(key + 8);
    return (struct sip){low ^ 0x736f6d6570736575ull, high ^ 0x646f72616e646f6dull ^ 0xee, low ^ 0x6c7967656e657261ull,
                        high ^ 0x7465646279746573ull};
}

/* The last word: what is left of the bytes, and their number modulo 256 on top. */
static inline uint64_t last_word(const uint8_t *at, size_t n) {
    uint64_t x = (uint64_t)n << 56;
    size_t left = n & 7u;
    if (n >= 8 && left > 0) { /* one load that ends at the end; the bytes hashed already are shifted out */
        return x | load64(at + left - 8) >> (64 - 8 * left);
    }
    for (size_t i = 0; i < left; i++) {
        x |= (uint64_t)at[i] << (8 * i);
    }
    return x;
}

static inline uint64_t result(const struct sip *s) {
    return s->a ^ s->b ^ s->c ^ s->d;
}

struct hash128 hash_key(const uint8_t key[16], const void *bytes, size_t n) {
    struct sip s = begin(key);
    const uint8_t *at = bytes;
    for (size_t words = n / 8; words > 0; words--, at += 8) {
        uint64_t x = load64(at);
        s.d ^= x;
        mix(&s);
        s.a ^= x;
    }
    uint64_t x = last_word(at, n);
    s.d ^= x;
    mix(&s);
    s.a ^= x;

    struct hash128 out;
    s.c ^= 0xee;
    mix(&s);
    mix(&s);
    mix(&s);
    out.low = result(&s);
    s.b ^= 0xdd;
    mix(&s);
    mix(&s);
    mix(&s);
    out.high = result(&s);
    return out;
}

static void mix_times(struct sip *s, int rounds) {
    for (int i = 0; i < rounds; i++) {
        mix(s);
    }
}

struct hash128 hash_sip(const uint8_t key[16], const void *bytes, size_t n, int c_rounds, int d_rounds) {
    struct sip s = begin(key);
    const uint8_t *at = bytes;
    for (size_t words = n / 8 + 1; words > 0; words--, at += 8) {
        uint64_t x = words > 1 ? load64(at) : last_word(at, n);
        s.d ^= x;
        mix_times(&s, c_rounds);
        s.a ^= x;
        if (words == 1) {
            break;
        }
    }
    struct hash128 out;
    s.c ^= 0xee;
    mix_times(&s, d_rounds);
    out.low = result(&s);
    s.b ^= 0xdd;
    mix_times(&s, d_rounds);
    out.high = result(&s);
    return out;
}
