/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_space: how much of the pool holds what was stored (payload, keys and headers), with values of one size,
 * of all sizes, and of one kind after the other; that dead entries make room before living ones do; and that
 * memory is taken only as it fills.  The shares are counted, not timed.  Threatens G7, G9.
 */
#include "fixture.h"

static uint8_t *block;
static uint64_t block_bytes;

static void key_of(char key[24], char kind, uint64_t number) {
    (void)snprintf(key, 24, "%c%015" PRIu64, kind, number);
}

static void put(plc_cache *c, char kind, uint64_t number, uint64_t n) {
    char key[24];
    CHECK(n <= block_bytes);
    key_of(key, kind, number);
    MUST(c, store(c, PLC_SET, key, block, n), PLC_OK);
}

/* Bytes of header, key and value of those of the keys that are still there, all values being of n bytes. */
static uint64_t resident(plc_cache *c, char kind, uint64_t count, uint64_t n) {
    uint64_t there = 0;
    for (uint64_t i = 0; i < count; i++) {
        char key[24];
        plc_found found;
        key_of(key, kind, i);
        plc_status s = AGAIN(c, plc_get(c, key, strlen(key), 0, NULL, 0, &found));
        CHECK(s == PLC_TOO_SMALL || s == PLC_MISS);
        there += s == PLC_TOO_SMALL ? 1 : 0;
    }
    return there * (40 + 16 + n);
}

static void share(plc_cache *c, const char *what, uint64_t bytes, double least) {
    double part = (double)bytes / (double)info_of(c).pool_bytes;
    (void)fprintf(stderr, "  %-44s %.3f of the pool\n", what, part);
    CHECK(part >= least);
}

/* Stores one and a half pools of values of n bytes and says what is there. */
static uint64_t fill_with(plc_cache *c, char kind, uint64_t n) {
    uint64_t count = info_of(c).pool_bytes * 3 / 2 / (56 + n) + 1;
    for (uint64_t i = 0; i < count; i++) {
        put(c, kind, i, n);
    }
    return resident(c, kind, count, n);
}

static void test_one_size(void) {
    static const struct {
        const char *what;
        uint64_t n, size;
    } cases[] = {{"values of 100 bytes", 100, 64 * MIB},
                 {"values of 1 KB", 1000, 64 * MIB},
                 {"values of 1 KB, large region", 1000, 256 * MIB},
                 {"values of 40 KB", 40000, 256 * MIB},
                 {"values of 300 KB", 300000, 256 * MIB}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (SANITIZED && cases[i].size > 64 * MIB) {
            continue; /* the shares are the same; the small ones go the same ways */
        }
        plc_cache *c = region_new(cases[i].size);
        share(c, cases[i].what, fill_with(c, 'a', cases[i].n), 0.90);
        region_end(c, false);
    }
}

static void test_sixteenths(void) {
    plc_cache *c = region_new(256 * MIB);
    share(c, "arrays of 1/16 of the pool", fill_with(c, 'a', info_of(c).pool_bytes / 16 - 8192), 0.90);
    region_end(c, false);
}

static void test_all_sizes(void) {
    plc_cache *c = region_new(256 * MIB);
    enum { COUNT = 1200 };
    static uint64_t lengths[COUNT];
    uint64_t there = 0;
    for (unsigned i = 0; i < COUNT; i++) { /* 256 KiB to 4 MiB, as many of each doubling */
        uint64_t low = 256 * 1024ull << below(4);
        lengths[i] = low + below(low);
        put(c, 'l', i, lengths[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char key[24];
        plc_found found;
        key_of(key, 'l', i);
        there += AGAIN(c, plc_get(c, key, strlen(key), 0, NULL, 0, &found)) == PLC_TOO_SMALL ? 56 + lengths[i] : 0;
    }
    share(c, "log-uniform, 256 KiB to 4 MiB", there, 0.90);
    region_end(c, false);
}

static void test_one_after_the_other(void) {
    plc_cache *c = region_new(SANITIZED ? 64 * MIB : 256 * MIB);
    uint64_t sixteenth = info_of(c).pool_bytes / 16 - 8192;
    (void)fill_with(c, 's', 1000);
    share(c, "arrays after small values", fill_with(c, 'l', sixteenth), 0.90);
    share(c, "small values after arrays", fill_with(c, 't', 1000), 0.90);
    share(c, "arrays again", fill_with(c, 'm', sixteenth), 0.90);
    region_end(c, false);
}

/* The runs that increments leave behind are freed when their last living byte goes: nobody else is evicted. */
static void test_increments(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t result = 0, count = info_of(c).pool_bytes / 2 / 1056;
    for (uint64_t i = 0; i < count; i++) {
        put(c, 'k', i, 1000);
    }
    CHECK_STATUS(store(c, PLC_SET, "n", "0", 1), PLC_OK);
    uint64_t times = rounds(10000000, 150000); /* of 64 bytes each: many pools */
    for (uint64_t i = 0; i < times; i++) {
        MUST(c, plc_incr(c, "n", 1, 1, 0, &result), PLC_OK);
    }
    CHECK(result == times);
    CHECK(resident(c, 'k', count, 1000) == count * 1056);
    CHECK(counter_of(c, "evictions") == 0 && counter_of(c, "runs_freed_dead") > 0);
    region_end(c, false);
}

/* Large values that were replaced leave hints behind about runs that are gone: however many, there is room for a
 * small one afterwards. */
static void test_small_after_replacing(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t pool = info_of(c).pool_bytes;
    for (unsigned round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < rounds(6000, 1500); i++) {
            put(c, 'l', i % 200, below(8) == 0 ? 8192 + below(pool / 40) : 8192);
        }
        for (uint64_t i = 0; i < pool / 2 / 1056; i++) {
            put(c, 's', i, 1000);
        }
    }
    CHECK(counter_of(c, "stores_refused_full") == 0);
    region_end(c, false);
}

/* What was read stays, what was not goes: entries that are visited between are moved, not dropped. */
static void test_visited_stay(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t pool = info_of(c).pool_bytes, hot = pool / 10 / 1056;
    for (uint64_t i = 0; i < hot; i++) {
        put(c, 'h', i, 1000);
    }
    uint8_t buffer[1000];
    for (uint64_t i = 0; i < 4 * pool / 1056; i++) {
        char key[24];
        plc_found found;
        put(c, 'c', i, 1000);
        key_of(key, 'h', i % hot);
        CHECK_STATUS(get(c, key, buffer, sizeof buffer, &found), PLC_OK);
    }
    CHECK(counter_of(c, "reinserted") > 0);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    region_end(c, false);
}

static void test_taken_as_it_fills(void) {
    plc_cache *c = region_new(64 * MIB);
    CHECK(info_of(c).pool_taken_bytes == 0);
    put(c, 'a', 0, 1000);
    uint64_t first = info_of(c).pool_taken_bytes;
    CHECK(first > 0 && first <= 8 * MIB);
    for (uint64_t i = 0; i < 3000; i++) {
        put(c, 'a', i % 10, 1000); /* replacing takes nothing more */
    }
    CHECK(info_of(c).pool_taken_bytes == first);
    region_end(c, false);
}

/* The list of parked runs is bounded: a run that is filled by one store after the other has one place in it. */
static void test_parked_once(void) {
    plc_cache *c = region_new(64 * MIB);
    for (unsigned i = 0; i < 50; i++) {
        put(c, 'p', i, 100);
        unsigned places = 0;
        for (unsigned place = 0; place < PARKED_PLACES; place++) {
            places += word_acq(&c->super->parked[place]) != 0 ? 1 : 0;
        }
        CHECK(places == 1);
    }
    region_end(c, true);
}

int main(void) {
    static const struct check_test tests[] = {
        {"one size", test_one_size},         {"sixteenths", test_sixteenths},
        {"all sizes", test_all_sizes},       {"one after the other", test_one_after_the_other},
        {"increments", test_increments},     {"small after replacing", test_small_after_replacing},
        {"visited stay", test_visited_stay}, {"taken as it fills", test_taken_as_it_fills},
        {"parked once", test_parked_once},
    };
    block_bytes = 32 * MIB;
    block = calloc(1, block_bytes);
    CHECK(block != NULL);
    int failed = RUN_TESTS(tests);
    free(block);
    return failed;
}
