/* SPDX-License-Identifier: BSD-3-Clause */
/* test_hash.c: SipHash against the published vectors of SipHash-2-4, and the fast variant that regions use
 * against the general one; both read only the bytes they are given. */
#include "check.h"

#include "hash.h"

/* The published vectors: key 00 01 .. 0f, message 00 01 .. n-1, result as bytes. */
struct vector {
    size_t n;
    uint8_t result[8];
};
static const struct vector vectors[] = {
    {0, {0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72}},  {1, {0xfd, 0x67, 0xdc, 0x93, 0xc5, 0x39, 0xf8, 0x74}},
    {7, {0x37, 0xd1, 0x01, 0x8b, 0xf5, 0x00, 0x02, 0xab}},  {8, {0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93}},
    {9, {0xb0, 0xe4, 0xa9, 0x0b, 0xdf, 0x82, 0x00, 0x9e}},  {15, {0xe5, 0x45, 0xbe, 0x49, 0x61, 0xca, 0x29, 0xa1}},
    {16, {0xdb, 0x9b, 0xc2, 0x57, 0x7f, 0xcc, 0x2a, 0x3f}}, {31, {0x42, 0xc3, 0x41, 0xd8, 0xfa, 0x92, 0xd8, 0x32}},
    {32, {0xce, 0x7c, 0xf2, 0x72, 0x2f, 0x51, 0x27, 0x71}}, {62, {0x57, 0x5f, 0xf2, 0x8e, 0x60, 0x38, 0x1b, 0xe5}},
    {63, {0x72, 0x45, 0x06, 0xeb, 0x4c, 0x32, 0x8a, 0x95}},
};

static void sequence(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)i;
    }
}

static void published_vectors(void) {
    uint8_t key[16], message[64];
    sequence(key, sizeof key);
    sequence(message, sizeof message);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint64_t h = hash_sip(key, message, vectors[i].n, 2, 4);
        CHECK(memcmp(&h, vectors[i].result, sizeof h) == 0);
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
        CHECK(hash_key(key, message + 1, n) == hash_sip(key, message + 1, n, 1, 3));
        free(message);
    }
}

/* Every bit of message and key changes about half of the result. */
static void bits_spread(void) {
    uint8_t key[16] = {0}, message[24] = {0};
    for (unsigned bit = 0; bit < 8 * sizeof message; bit++) {
        uint64_t before = hash_key(key, message, sizeof message);
        message[bit / 8] = (uint8_t)(message[bit / 8] ^ 1u << bit % 8);
        int changed = __builtin_popcountll(before ^ hash_key(key, message, sizeof message));
        CHECK(changed > 8 && changed < 56);
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
