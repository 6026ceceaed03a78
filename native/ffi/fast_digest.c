/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_digest.c: the digest of a call's marshalled arguments, which is BLAKE2b's, and those that were made last.
 * A hit is a call that was made before, and mostly by the same process, so its digest is mostly known: to find it
 * takes a fiftieth of what the one block of BLAKE2b takes.  What is compared is all bytes, so nobody gets another
 * one's digest.  It is of the arguments alone: all decorated functions share the table.
 */
#include "fast.h"

#include "blake2b.h"

#define SETS 1024u
#define WAYS 4u
#define WORDS (KNOWN_BYTES / 8)

#ifndef Py_GIL_DISABLED

struct known {
    uint8_t bytes[KNOWN_BYTES]; /* as in struct writer; the last one is their number */
    uint8_t digest[DIGEST_BYTES];
};

/* Changed only with the GIL, in which no Python code runs meanwhile.  A page of it is taken when it is used. */
static struct known known[SETS][WAYS];
static uint32_t tags[SETS][WAYS]; /* 0: empty */
static unsigned next_way;

static uint64_t hash_of(const uint8_t bytes[KNOWN_BYTES]) {
    uint64_t words[WORDS], hash = 0;
    memcpy(words, bytes, sizeof words);
    for (unsigned i = 0; i < WORDS; i++) {
        hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

void digest_short(uint8_t bytes[KNOWN_BYTES], size_t length, uint8_t digest[DIGEST_BYTES]) {
    bytes[KNOWN_BYTES - 1] = (uint8_t)length;
    uint64_t hash = hash_of(bytes);
    uint32_t set = (uint32_t)hash % SETS, tag = (uint32_t)(hash >> 32) | 1u;
    for (unsigned way = 0; way < WAYS; way++) {
        const struct known *one = &known[set][way];
        if (tags[set][way] == tag && memcmp(one->bytes, bytes, KNOWN_BYTES) == 0) {
            memcpy(digest, one->digest, DIGEST_BYTES);
            return;
        }
    }
    blake2b(bytes, length, digest, DIGEST_BYTES);
    /* one that is empty, or any: of more keys in a loop than there are places, the oldest would be asked for next */
    unsigned way = next_way++ % WAYS;
    for (unsigned i = 0; i < WAYS; i++) {
        way = tags[set][i] == 0 ? i : way;
    }
    tags[set][way] = tag;
    memcpy(known[set][way].bytes, bytes, KNOWN_BYTES);
    memcpy(known[set][way].digest, digest, DIGEST_BYTES);
}

#else /* what threads change together would cost them more than it saves */

void digest_short(uint8_t bytes[KNOWN_BYTES], size_t length, uint8_t digest[DIGEST_BYTES]) {
    blake2b(bytes, length, digest, DIGEST_BYTES);
}

#endif
