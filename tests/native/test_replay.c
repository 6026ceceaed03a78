/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_replay.c: fragmentation.  Values of all sizes, 64 bytes to an eighth of the region, as many of each doubling, ten
 * times the region's size in total: after every operation what lives and what is free are together most of the pool, and
 * no value is ever refused, nor is then the longest one that the region is said to hold.
 *
 * SOAK=1: larger regions, up to 2 GiB, and more replays.
 */
#include "soak.h"

#include <math.h>

#include "call.h"
#include "space.h"

#define SMALLEST 64.0
#define LEAST 0.85   /* of the pool: living and free */
#define ROUNDS 10.0  /* how often the region's size is stored */
#define KEY_BYTES 16u

/* What a replay does besides storing new keys. */
struct replay {
    uint64_t size;
    uint64_t keys;       /* to choose from: few are replaced, many are new each time */
    unsigned deletes;    /* of 16 operations, so many delete */
    unsigned reads;      /* entries that are read behind each store */
};

static uint8_t *block; /* what is stored: as long as the longest value */
static double worst;   /* share of the pool, of all replays */

static void key_of(char key[24], uint64_t number) {
    (void)snprintf(key, 24, "%016" PRIu64, number);
}

/* Bytes of the entry in an own run, which its side words do not tell. */
static uint64_t own_bytes(struct call *k, uint32_t head, uint64_t w) {
    struct entry e;
    CHECK(entry_read_at(k->c, head, w, 0, &e));
    return e.bytes;
}

/* Bytes of the pool that are free, or header, key and value of a living entry, from the page words alone. */
static uint64_t living_and_free(plc_cache *c) {
    struct call k;
    uint64_t sum = 0;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    for (uint32_t page = c->geo.first_page; page < pages_limit(c);) {
        uint64_t w = word_acq(page_word(c, page)), a = word_rlx(page_side_a(c, page));
        uint64_t b = word_rlx(page_side_b(c, page));
        uint32_t n = 1;
        CHECK(page_state(w) == PAGE_FREE || page_state(w) == PAGE_PARKED || page_state(w) == PAGE_SEALED);
        if (page_state(w) == PAGE_FREE) {
            sum += PAGE_BYTES;
        } else {
            n = side_a_pages(a);
            sum += run_empty(a, b) ? 0
                   : side_a_own(a) ? own_bytes(&k, page, w)
                                   : side_a_mark(a) - side_b_dead(b) * ALIGN;
        }
        page += n;
    }
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    return sum;
}

static void look(plc_cache *c) {
    uint64_t pool = (uint64_t)(c->geo.end_page - c->geo.first_page) << PAGE_SHIFT;
    uint64_t untaken = (uint64_t)(c->geo.end_page - pages_limit(c)) << PAGE_SHIFT;
    double share = (double)(living_and_free(c) + untaken) / (double)pool;
    worst = share < worst ? share : worst;
    CHECK(share >= LEAST);
}

static void put(plc_cache *c, uint64_t number, uint64_t n) {
    char key[24];
    key_of(key, number);
    plc_status s = store(c, PLC_SET, key, block, n);
    if (s != PLC_OK) {
        (void)fprintf(stderr, "  a value of %" PRIu64 " bytes: %s\n", n, plc_status_text(s));
    }
    CHECK(s == PLC_OK);
}

static void read_some(plc_cache *c, const struct replay *r, uint64_t stored) {
    for (unsigned i = 0; i < r->reads; i++) {
        char key[24];
        plc_found found;
        key_of(key, below(stored) % r->keys);
        plc_status s = get(c, key, block, r->size / 8, &found);
        CHECK(s == PLC_OK || s == PLC_MISS);
    }
}

static void delete_one(plc_cache *c, const struct replay *r, uint64_t stored) {
    char key[24];
    key_of(key, below(stored) % r->keys);
    plc_status s = AGAIN(c, plc_delete(c, key, KEY_BYTES));
    CHECK(s == PLC_OK || s == PLC_MISS);
}

/* As many of each doubling. */
static uint64_t any_length(uint64_t most) {
    double part = (double)(check_random() >> 11) / (double)(1ull << 53);
    return (uint64_t)(SMALLEST * pow((double)most / SMALLEST, part));
}

static void play(const struct replay *r) {
    plc_cache *c = region_new(r->size);
    uint64_t stored = 1;
    worst = 1;
    for (double sum = 0; sum < ROUNDS * (double)r->size; stored++) {
        if (below(16) < r->deletes) {
            delete_one(c, r, stored);
        } else {
            uint64_t n = any_length(r->size / 8);
            put(c, r->keys == UINT64_MAX ? stored : below(r->keys), n);
            sum += (double)n;
            read_some(c, r, stored);
        }
        look(c);
    }
    uint64_t most = info_of(c).value_max;
    (void)fprintf(stderr, "  %llu MiB: %" PRIu64 " operations, at worst %.3f of the pool\n", r->size / MIB, stored,
                  worst);
    CHECK(most >= info_of(c).pool_bytes / 2 - 2 * PAGE_BYTES);
    put(c, 0, most);
    look(c);
    CHECK_STATUS(store(c, PLC_SET, "x", block, most + 1), PLC_TOO_LARGE);
    region_end(c, false);
}

static void play_all(unsigned deletes, uint64_t keys, unsigned reads) {
    static const uint64_t sizes[] = {64 * MIB, 256 * MIB, 2048 * MIB};
    for (size_t i = 0; i < (soaking() ? 3 : SANITIZED ? 1 : 2); i++) {
        for (uint64_t n = 0; n < soak_rounds(3, 1, 1); n++) {
            play(&(struct replay){.size = sizes[i], .keys = keys, .deletes = deletes, .reads = reads});
        }
    }
    soak_line("replay", "at worst %.3f of the pool", worst);
}

static void test_new_keys(void) {
    play_all(0, UINT64_MAX, 0);
}

static void test_replaced_and_deleted(void) {
    play_all(4, 400, 0);
}

static void test_used(void) {
    play_all(1, UINT64_MAX, 4);
}

/* A pool full of small arrays that are all in use has room for the longest values at once: nobody is in the way who
 * would be waited for. */
static void test_among_small_ones_in_use(void) {
    plc_cache *c = region_new(64 * MIB);
    uint64_t pool = info_of(c).pool_bytes, count = pool / 20480, lengths[] = {pool / 8, info_of(c).value_max};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t n = 0; n < count; n++) {
            put(c, n, 20000);
        }
        for (uint64_t n = 0; n < count; n++) {
            char key[24];
            plc_found found;
            key_of(key, n);
            plc_status s = get(c, key, block, 20000, &found);
            CHECK(s == PLC_OK || s == PLC_MISS);
        }
        const plc_part part = {block, lengths[i]};
        const plc_entry e = {.key = "large", .key_length = 5, .parts = &part, .part_count = 1};
        CHECK_STATUS(plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    }
    region_end(c, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"new keys", test_new_keys},
        {"replaced and deleted", test_replaced_and_deleted},
        {"used", test_used},
        {"among small ones in use", test_among_small_ones_in_use},
    };
    block = calloc(1, soaking() ? 1024 * MIB : 128 * MIB);
    CHECK(block != NULL);
    int failed = RUN_TESTS(tests);
    free(block);
    return failed;
}
