/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_worth: who goes where costs differ: what took long to compute outlives what did not, small outlives large of the
 * same cost, what is cheap goes although it is used, and nothing stays for being dear alone.
 * Counts, not times.
 */
#include "fixture.h"
#include "call.h"
#include "worth.h"

#define VALUE 1000u
#define ENTRY 1056u
#define CHEAP 80u /* a millisecond */
#define DEAR 160u /* a second */

static uint8_t block[64 * 1024], buffer[64 * 1024];

static void key_of(char key[24], char kind, uint64_t number) {
    (void)snprintf(key, 24, "%c%015" PRIu64, kind, number);
}

static void put(plc_cache *c, char kind, uint64_t number, size_t n, unsigned cost) {
    char key[24];
    key_of(key, kind, number);
    const plc_part part = {block, n};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .cost = (uint8_t)cost};
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
}

static bool read_one(plc_cache *c, char kind, uint64_t number) {
    char key[24];
    plc_found found;
    key_of(key, kind, number);
    return get(c, key, buffer, sizeof buffer, &found) == PLC_OK;
}

/* How many of the first n are there?  Asked without reading them: that would be use. */
static uint64_t there(plc_cache *c, char kind, uint64_t n) {
    uint64_t found_of = 0;
    for (uint64_t i = 0; i < n; i++) {
        char key[24];
        plc_found found;
        key_of(key, kind, i);
        found_of += get(c, key, NULL, 0, &found) == PLC_TOO_SMALL ? 1 : 0;
    }
    return found_of;
}

static uint64_t entries_in(plc_cache *c) {
    return info_of(c).pool_bytes / ENTRY;
}

/* Nothing is read.  A tenth of the pool took long to compute; five pools of what did not pass through. */
static void test_dear_outlives_cheap(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), dear = all / 10;
    for (uint64_t i = 0; i < 5 * all; i++) {
        if (i < dear) {
            put(c, 'd', i, VALUE, DEAR);
        }
        put(c, 'c', i, VALUE, CHEAP);
    }
    uint64_t stayed = there(c, 'd', dear);
    (void)fprintf(stderr, "  %" PRIu64 " of %" PRIu64 " dear ones are there\n", stayed, dear);
    CHECK(stayed >= dear - dear / 10);
    CHECK(there(c, 'c', dear) == 0);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0 && counter_of(c, "stores_refused_full") == 0);
    region_end(c, false);
}

/* Costs that were not told are no costs: nobody stays for them, nor goes. */
static void test_untold(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), few = all / 10;
    for (uint64_t i = 0; i < 5 * all; i++) {
        if (i < few) {
            put(c, 'u', i, VALUE, 0);
            put(c, 'n', i, VALUE, 0);
            CHECK(read_one(c, 'u', i));
        }
        put(c, 'c', i, VALUE, CHEAP);
    }
    CHECK(there(c, 'u', few) == few && there(c, 'n', few) == 0);
    region_end(c, false);
}

/* Of what cost the same, what takes an eighth of the bytes stays longer. */
static void test_small_outlives_large(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t large = info_of(c).pool_bytes / 8 / 6000;
    for (uint64_t i = 0; i < 24 * large; i++) {
        put(c, 's', i, 700, DEAR);
        put(c, 'l', i, 6000, DEAR);
    }
    uint64_t small_ones = there(c, 's', 8 * large), large_ones = there(c, 'l', 8 * large);
    (void)fprintf(stderr, "  of the first %" PRIu64 ": %" PRIu64 " small ones, %" PRIu64 " large ones\n", 8 * large,
                  small_ones, large_ones);
    CHECK(small_ones > 2 * large && small_ones > 4 * large_ones);
    region_end(c, false);
}

/* What is dear has come to stay among what is cheap; then all that comes is as dear, and used once: the first, which
 * nobody uses, are gone, and nothing in use was dropped for them. */
static void test_dear_goes_too(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), few = all / 4;
    for (uint64_t i = 0; i < 2 * all; i++) {
        put(c, i % 8 == 0 ? 'd' : 'c', i / 8, VALUE, i % 8 == 0 ? DEAR : CHEAP);
    }
    CHECK(there(c, 'd', few) > few - few / 4);
    for (uint64_t i = 0; i < 10 * all; i++) {
        put(c, 'n', i, VALUE, DEAR);
        CHECK(read_one(c, 'n', i));
    }
    uint64_t stayed = there(c, 'd', few);
    (void)fprintf(stderr, "  %" PRIu64 " of the first %" PRIu64 " are there\n", stayed, few);
    CHECK(stayed < few / 10);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    region_end(c, false);
}

/* Cheap ones that are used now and then, and dear ones that pass through: not the use alone decides. */
static void test_cheap_goes_though_used(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), few = all / 10;
    for (uint64_t i = 0; i < 6 * all; i++) {
        if (i < few) {
            put(c, 'c', i, VALUE, CHEAP);
            put(c, 'd', i, VALUE, DEAR);
        }
        put(c, 'x', i, VALUE, DEAR);
        (void)(i % 4 == 0 && read_one(c, 'c', i / 4 % few));
        (void)(i % 4 == 0 && read_one(c, 'd', i / 4 % few));
    }
    CHECK(there(c, 'd', few) >= few - few / 10 && there(c, 'c', few) < few / 10);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    region_end(c, false);
}

/* ---- the chances themselves ------------------------------------------------------------------ */

#define DRAWS 4000u
#define RATE 100u /* the going one, in eighths of a doubling */

static void set_rate(plc_cache *c, unsigned rate) {
    word_put_rlx(&c->rate, (uint64_t)rate << 32 | 1024u); /* with binary places, and of how many entries */
}

/* Of entries that are worth so many eighths of a doubling more than the rate, how many in a thousand stay. */
static unsigned stay(struct call *k, int above, bool used, bool told) {
    unsigned kept = 0;
    for (unsigned i = 0; i < DRAWS; i++) {
        struct entry e = {.bytes = 1024, .slot = i};
        e.spec.cost = (uint8_t)(told ? (int)RATE + above + 8 * 10 : 0); /* 1024 bytes are ten doublings */
        set_rate(k->c, RATE);
        kept += worth_keeping(k, &e, used) ? 1 : 0;
    }
    return kept * 1000 / DRAWS;
}

static bool near(unsigned permille, unsigned wanted) {
    return permille + 40 >= wanted && permille <= wanted + 40;
}

static int rate_of(const plc_cache *c) {
    return (int)((int64_t)word_rlx(&c->rate) >> 32);
}

static void judge(struct call *k, int worth, bool used) {
    struct entry e = {.bytes = 1024, .spec.cost = (uint8_t)(worth + 8 * 10)};
    (void)worth_keeping(k, &e, used);
}

/* Unused and worth x times the rate: it stays with probability 1 - 1/x.  Used counts for a doubling. */
static void test_chances(void) {
    struct call k;
    plc_cache *c = region_new(4 * MIB);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK(stay(&k, 0, false, true) == 0 && stay(&k, -20, false, true) == 0);
    CHECK(near(stay(&k, 4, false, true), 250) && near(stay(&k, 8, false, true), 500));
    CHECK(near(stay(&k, 16, false, true), 750) && near(stay(&k, 32, false, true), 937));
    CHECK(stay(&k, 0, true, true) == 1000 && stay(&k, -8, true, true) == 1000);
    CHECK(near(stay(&k, -16, true, true), 500) && near(stay(&k, -24, true, true), 250));
    CHECK(stay(&k, 0, true, false) == 1000 && stay(&k, 0, false, false) == 0);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

/* The rate is the mean of what was unused: what is used does not raise it, nor what told no cost. */
static void test_rate(void) {
    struct call k;
    plc_cache *c = region_new(4 * MIB);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    judge(&k, 40, false);
    CHECK(rate_of(c) == 40);
    for (unsigned i = 0; i < 500; i++) {
        judge(&k, 160, true);
        judge(&k, -80, false); /* cost 0: not told */
    }
    CHECK(rate_of(c) == 40);
    for (unsigned i = 0; i < 500; i++) {
        judge(&k, 60, false);
        judge(&k, 80, false);
    }
    CHECK(rate_of(c) >= 69 && rate_of(c) <= 71);
    for (unsigned i = 0; i < 10000; i++) {
        judge(&k, 20, false);
    }
    CHECK(rate_of(c) >= 20 && rate_of(c) <= 21);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"chances", test_chances},
        {"rate", test_rate},
        {"dear outlives cheap", test_dear_outlives_cheap},
        {"untold", test_untold},
        {"small outlives large", test_small_outlives_large},
        {"dear goes too", test_dear_goes_too},
        {"cheap goes though used", test_cheap_goes_though_used},
    };
    return RUN_TESTS(tests);
}
