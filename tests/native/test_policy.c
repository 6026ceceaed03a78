/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_policy: what stays when not everything can: what is used, under scans and overwriting; that dead bytes make
 * room before living entries do; that a large value does not cost the small ones that lie where it is put; that
 * nothing used is dropped; and that what happened is counted by its cause.  Counts, not times.
 */
#include "numbered.h"

#include <pthread.h>

/* Is it there?  Asked without reading it: that would be use. */
static bool there_is(plc_cache *c, char kind, uint64_t number) {
    char key[24];
    plc_found found;
    (void)snprintf(key, sizeof key, "%c%015" PRIu64, kind, number);
    return get(c, key, NULL, 0, &found) == PLC_TOO_SMALL;
}

/* One number of 1 to n, the small ones more often: about as Zipf's law with exponent 1. */
static uint64_t skewed(uint64_t n) {
    uint64_t wide = 1;
    while (wide < n && below(12) != 0) {
        wide *= 2;
    }
    return below(wide < n ? wide : n);
}

/* ---- who stays ------------------------------------------------------------------------------ */

/* Hits of a FIFO with room for `most` of n keys, on what skewed() gives. */
struct fifo {
    uint64_t *keys, most, at;
    bool *there;
};

static bool fifo_get(struct fifo *f, uint64_t key) {
    if (f->there[key]) {
        return true;
    }
    uint64_t *place = &f->keys[f->at++ % f->most];
    if (f->at > f->most) {
        f->there[*place] = false;
    }
    *place = key;
    f->there[key] = true;
    return false;
}

static void test_better_than_fifo(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t most = entries_in(c), n = 8 * most, ours = 0, theirs = 0, rounds_of = 40 * most;
    struct fifo f = {.keys = calloc(most, sizeof(uint64_t)), .most = most, .there = calloc(n, sizeof(bool))};
    CHECK(f.keys != NULL && f.there != NULL);
    for (uint64_t i = 0; i < rounds_of; i++) {
        uint64_t key = skewed(n);
        bool hit = read_one(c, 'k', key);
        if (!hit) {
            put(c, 'k', key, VALUE);
        }
        bool theirs_too = fifo_get(&f, key);
        if (i >= rounds_of / 2) { /* both are full by then */
            ours += hit ? 1 : 0;
            theirs += theirs_too ? 1 : 0;
        }
    }
    (void)fprintf(stderr, "  hits %.3f, of a FIFO %.3f\n", 2 * (double)ours / (double)rounds_of,
                  2 * (double)theirs / (double)rounds_of);
    CHECK(ours > theirs + rounds_of / 2 / 50);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    CHECK(counter_of(c, "evicted_small") > counter_of(c, "evicted_main"));
    free(f.keys);
    free(f.there);
    region_end(c, false);
}

/* A fifth of the pool is read now and then while ten pools go through once: it stays. */
static void test_scan(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), hot = all / 5, scanned = 10 * all;
    for (uint64_t i = 0; i < hot; i++) {
        put(c, 'h', i, VALUE);
        CHECK(read_one(c, 'h', i));
    }
    for (uint64_t i = 0; i < scanned; i++) {
        put(c, 's', i, VALUE);
        CHECK(i % 4 != 0 || read_one(c, 'h', i / 4 % hot));
    }
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    CHECK(counter_of(c, "evicted_small") >= scanned - all);
    CHECK(counter_of(c, "evicted_main") == 0);
    region_end(c, false);
}

/* All of the pool was used, and lies in the main queue; what then passes through unused has a twentieth of it. */
static void test_small_is_a_twentieth(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t all = entries_in(c), there = 0;
    for (uint64_t i = 0; i < 2 * all; i++) {
        put(c, 'h', i, VALUE);
        CHECK(read_one(c, 'h', i));
    }
    for (uint64_t i = 0; i < all; i++) {
        put(c, 's', i, VALUE);
    }
    for (uint64_t i = 0; i < all; i++) {
        there += there_is(c, 's', i) ? 1 : 0;
    }
    (void)fprintf(stderr, "  %.3f of the pool\n", (double)there / (double)all);
    CHECK(there > all / 40 && there < all * 3 / 40);
    region_end(c, false);
}

/* What comes back soon after it was evicted unread comes into the main queue: the next scan does not push it out,
 * though it is not read again. */
static void test_ghosts(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), few = all / 10, there = 0;
    for (uint64_t i = 0; i < few; i++) {
        put(c, 'g', i, VALUE);
    }
    uint64_t scanned = 0;
    while (there_is(c, 'g', few - 1) && scanned < 4 * all) {
        for (uint64_t i = 0; i < all / 2; i++) {
            put(c, 's', scanned++, VALUE);
        }
    }
    CHECK(counter_of(c, "ghosts_known") == 0);
    for (uint64_t i = 0; i < few; i++) {
        put(c, 'g', i, VALUE);
    }
    uint64_t known = counter_of(c, "ghosts_known");
    CHECK(known > few / 2);
    for (uint64_t i = 0; i < 2 * all; i++) {
        put(c, 's', scanned++, VALUE);
    }
    for (uint64_t i = 0; i < few; i++) {
        there += read_one(c, 'g', i) ? 1 : 0;
    }
    CHECK(there >= known - known / 10);
    region_end(c, false);
}

/* ---- dead bytes ----------------------------------------------------------------------------- */

/* Overwriting a part of the pool at random, again and again: every key stays. */
static void overwrite(unsigned percent) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t keys = entries_in(c) * percent / 100, times = keys * rounds(8, 3);
    for (uint64_t i = 0; i < keys; i++) {
        put(c, 'k', i, VALUE);
    }
    for (uint64_t i = 0; i < times; i++) {
        put(c, 'k', below(keys), VALUE);
    }
    CHECK(counter_of(c, "evictions") == 0);
    CHECK(counter_of(c, "runs_cleaned") > 0);
    uint64_t written = counter_of(c, "bytes_written");
    CHECK(counter_of(c, "bytes_cleaned") <= counter_of(c, "bytes_reinserted"));
    (void)fprintf(stderr, "  %u percent: written %.2f times\n", percent,
                  1 + (double)counter_of(c, "bytes_reinserted") / (double)written);
    CHECK(counter_of(c, "bytes_reinserted") < 2 * written);
    for (uint64_t i = 0; i < keys; i++) {
        CHECK(read_one(c, 'k', i));
    }
    region_end(c, false);
}

static void test_overwriting(void) {
    overwrite(50);
    overwrite(70);
}

/* ---- small and large ------------------------------------------------------------------------ */

/* Small values that are in use, a third of the pool, and large ones that pass through: the small ones stay. */
static void test_large_pass_through(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t hot = entries_in(c) / 3, there = 0;
    for (unsigned turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < hot; i++) {
            if (!read_one(c, 'h', i)) {
                put(c, 'h', i, VALUE);
            }
        }
    }
    uint64_t larges = rounds(400, 100);
    for (uint64_t i = 0; i < larges; i++) {
        put(c, 'l', i, 64 * 1024 + below(192 * 1024));
        for (uint64_t j = 0; j < hot / 20; j++) {
            (void)read_one(c, 'h', below(hot));
        }
    }
    for (uint64_t i = 0; i < hot; i++) {
        there += read_one(c, 'h', i) ? 1 : 0;
    }
    (void)fprintf(stderr, "  %" PRIu64 " of %" PRIu64 " small ones are there\n", there, hot);
    CHECK(there >= hot - hot / 20);
    CHECK(counter_of(c, "stores_refused_full") == 0);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0 && counter_of(c, "bytes_visited_dropped") == 0);
    region_end(c, false);
}

/* A large value that is read is stepped over by the hand, one that is not gives way. */
static void test_large_second_chance(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t pool = info_of(c).pool_bytes, n = pool / 32 - 8192;
    for (uint64_t i = 0; i < 200; i++) {
        if (!read_one(c, 'r', i % 4)) {
            CHECK(i < 8); /* never again after it has come */
            put(c, 'r', i % 4, n);
        }
        put(c, 'l', i, n);
    }
    CHECK(counter_of(c, "evicted_hand") > 100);
    region_end(c, false);
}

/* ---- what is said of it --------------------------------------------------------------------- */

/* Evictions are the sum of their causes, and what is dead is known. */
static void test_counted(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c);
    for (uint64_t i = 0; i < 6 * all; i++) {
        uint64_t key = skewed(4 * all);
        if (!read_one(c, 'k', key)) {
            put(c, 'k', key, below(200) == 0 ? 100000 : VALUE);
        } else if (below(3) == 0) {
            put(c, 'k', key, VALUE);
        }
    }
    uint64_t causes = counter_of(c, "evicted_small") + counter_of(c, "evicted_main") + counter_of(c, "evicted_hand");
    CHECK(causes > 0 && counter_of(c, "evictions") == causes);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    plc_usage usage = usage_of(c);
    CHECK(usage.dead_bytes > 0 && usage.dead_bytes < info_of(c).pool_bytes / 2);
    CHECK(usage.parked_runs > 0 && usage.parked_runs < 16);
    region_end(c, false);
}

/* ---- all at once ---------------------------------------------------------------------------- */

#define THREADS 3u

struct worker {
    plc_cache *c;
    uint64_t state, times, wrong;
    uint8_t *bytes;
};

static uint64_t next(struct worker *w) {
    w->state += 0x9e3779b97f4a7c15ull;
    return value_mix(w->state);
}

/* Reads of what is there, sets of what is not and of some that is: small values, and now and then a large one. */
static void *work(void *given) {
    struct worker *w = given;
    for (uint64_t i = 0; i < w->times; i++) {
        uint64_t key = next(w) % 16 == 0 ? next(w) % 30000 : next(w) % 3000;
        char text[24];
        plc_found found;
        (void)snprintf(text, sizeof text, "k%08" PRIu64, key);
        plc_status s = get(w->c, text, w->bytes, 2 * MIB, &found);
        w->wrong += s == PLC_OK && value_serial(w->bytes, found.length, key) == UINT64_MAX ? 1 : 0;
        if (s == PLC_MISS || next(w) % 3 == 0) {
            size_t n = key % 64 == 0 ? 20000 + next(w) % 150000 : 600 + next(w) % 600;
            value_make(w->bytes, n, key, next(w) >> 1);
            s = store(w->c, PLC_SET, text, w->bytes, n);
            w->wrong += s != PLC_OK && s != PLC_FULL && s != PLC_BUSY ? 1 : 0;
        }
    }
    return NULL;
}

static void test_all_at_once(void) {
    plc_cache *c = region_new(8 * MIB);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.c = c, .state = check_random(), .times = rounds(60000, 12000), .bytes = malloc(2 * MIB)};
        CHECK(workers[i].bytes != NULL && pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(workers[i].wrong == 0);
        free(workers[i].bytes);
    }
    (void)fprintf(stderr,
                  "  %" PRIu64 " cleaned, %" PRIu64 " by the hand, %" PRIu64 " ghosts, %" PRIu64 " dropped, %" PRIu64
                  " refused\n",
                  counter_of(c, "runs_cleaned"), counter_of(c, "evicted_hand"), counter_of(c, "ghosts_known"),
                  counter_of(c, "evicted_visited_dropped"), counter_of(c, "stores_refused_full"));
    CHECK(counter_of(c, "runs_cleaned") > 0 && counter_of(c, "evicted_hand") > 0 && counter_of(c, "ghosts_known") > 0);
    CHECK(counter_of(c, "evicted_small") > 0 && counter_of(c, "corrupt_seen") == 0);
    region_end(c, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"better than fifo", test_better_than_fifo},
        {"scan", test_scan},
        {"small is a twentieth", test_small_is_a_twentieth},
        {"ghosts", test_ghosts},
        {"overwriting", test_overwriting},
        {"large pass through", test_large_pass_through},
        {"large second chance", test_large_second_chance},
        {"counted", test_counted},
        {"all at once", test_all_at_once},
    };
#if defined(__SANITIZE_THREAD__)
    return run_tests(tests + sizeof tests / sizeof *tests - 1, 1); /* the one with threads */
#else
    return RUN_TESTS(tests);
#endif
}
