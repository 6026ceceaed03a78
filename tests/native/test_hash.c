/* SPDX-License-Identifier: BSD-3-Clause */
/* test_hash.c: SipHash against the published vectors of SipHash-2-4-128, and the fast variant that regions use
 * against the general one; both read only the bytes they are given. */
#include "check.h"

#include "hash.h"

/* The published vectors: key 00 01 .. 0f, message 00 01 .. n-1, result as bytes. */
struct vector {
    size_t n;
    uint8_t result[16];
};
static const struct vector vectors[] = {
    {0, {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93}},
    {1, {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45}},
    {7, {0xa1, 0xf1, 0xeb, 0xbe, 0xd8, 0xdb, 0xc1, 0x53, 0xc0, 0xb8, 0x4a, 0xa6, 0x1f, 0xf0, 0x82, 0x39}},
    {8, {0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61, 0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97, 0xb4}},
    {9, {0x26, 0x44, 0x99, 0x06, 0x0a, 0xd9, 0xba, 0xab, 0xc4, 0x7f, 0x8b, 0x02, 0xbb, 0x6d, 0x71, 0xed}},
    {15, {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9}},
    {16, {0x6e, 0xe2, 0xa4, 0xca, 0x67, 0xb0, 0x54, 0xbb, 0xfd, 0x33, 0x15, 0xbf, 0x85, 0x23, 0x05, 0x77}},
    {31, {0x29, 0x39, 0xb0, 0x18, 0x32, 0x23, 0xfa, 0xfc, 0x17, 0x23, 0xde, 0x4f, 0x52, 0xc4, 0x3d, 0x35}},
    {32, {0x7c, 0x39, 0x56, 0xca, 0x5e, 0xea, 0xfc, 0x3e, 0x36, 0x3e, 0x9d, 0x55, 0x65, 0x46, 0xeb, 0x68}},
    {62, {0x58, 0x53, 0x54, 0x23, 0x21, 0xf5, 0x67, 0xa0, 0x05, 0xd5, 0x47, 0xa4, 0xf0, 0x47, 0x59, 0xbd}},
    {63, {0x51, 0x50, 0xd1, 0x77, 0x2f, 0x50, 0x83, 0x4a, 0x50, 0x3e, 0x06, 0x9a, 0x97, 0x3f, 0xbd, 0x7c}},
};

static void sequence(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)i;
    }
}

static void published_vectors(void) {
    uint8_t key[16], message[64], result[16];
    sequence(key, sizeof key);
    sequence(message, sizeof message);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct hash128 h = hash_sip(key, message, vectors[i].n, 2, 4);
        memcpy(result, &h.low, 8);
        memcpy(result + 8, &h.high, 8);
        CHECK(memcmp(result, vectors[i].result, sizeof result) == 0);
    }
}

static void fast_is_general(void) {
    uint8_t key[16];
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = check_random() % 100;
        uint8_t *message = malloc(n + 1); /* of exactly its length, at an odd address: strays are found */
        CHECK(message != NULL);
        for (size_t i = 0; i < 16; i++) {
            key[i] = (uint8_t)check_random();
        }
        for (size_t i = 0; i <= n; i++) {
            message[i] = (uint8_t)check_random();
        }
        struct hash128 fast = hash_key(key, message + 1, n), general = hash_sip(key, message + 1, n, 1, 3);
        CHECK(fast.low == general.low && fast.high == general.high);
        free(message);
    }
}

/* Every bit of message and key changes about half of the result. */
static void bits_spread(void) {
    uint8_t key[16] = {0}, message[24] = {0};
    for (unsigned bit = 0; bit < 8 * sizeof message; bit++) {
        struct hash128 before = hash_key(key, message, sizeof message);
        message[bit / 8] = (uint8_t)(message[bit / 8] ^ 1u << bit % 8);
        struct hash128 after = hash_key(key, message, sizeof message);
        int changed = __builtin_popcountll(before.low ^ after.low) + __builtin_popcountll(before.high ^ after.high);
        CHECK(changed > 30 && changed < 98);
    }
}

int main(void) {
    static const struct check_test tests[] = {
        {"published vectors", published_vectors},
        {"the fast variant is SipHash-1-3", fast_is_general},
        {"bits spread", bits_spread},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
