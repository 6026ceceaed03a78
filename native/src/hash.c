/* SPDX-License-Identifier: BSD-3-Clause */
/* hash.c: SipHash-c-d with any numbers of rounds; see hash.h. */
#include "hash.h"

static void mix_times(struct sip *s, int rounds) {
    for (int i = 0; i < rounds; i++) {
        sip_mix(s);
    }
}

uint64_t hash_sip(const uint8_t key[16], const void *bytes, size_t n, int c_rounds, int d_rounds) {
    struct sip s = sip_begin(key);
    const uint8_t *at = bytes;
    for (size_t words = n / 8 + 1; words > 0; words--) {
        uint64_t x = words > 1 ? hash_load(at) : sip_last_word(at, n);
        at += words > 1 ? 8 : 0;
        s.d ^= x;
        mix_times(&s, c_rounds);
        s.a ^= x;
    }
    s.c ^= 0xff;
    mix_times(&s, d_rounds);
    return s.a ^ s.b ^ s.c ^ s.d;
}
