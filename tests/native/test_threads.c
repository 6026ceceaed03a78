/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_threads: threads of one process, and of two, on one region: a mixed load that recycles a small pool all
 * the time, and numbers that only one thing may change.  Under ThreadSanitizer it is also the test of every
 * order of loads and stores that the core relies on.  Threatens G3 and the uniqueness of keys (I4).
 */
#include "work.h"

#include <pthread.h>

#define THREADS 6u
#define HOT 4u

static plc_cache *shared;

static void *mixed(void *seed) {
    struct work w;
    work_begin(&w, shared, *(const uint64_t *)seed);
    uint64_t steps = rounds(60000, 3000);
    for (uint64_t i = 0; i < steps; i++) {
        work_step(&w);
    }
    work_end(&w);
    return NULL;
}

static void run_threads(void *(*work)(void *), unsigned n) {
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    for (unsigned i = 0; i < n; i++) {
        seeds[i] = check_random();
        CHECK(pthread_create(&threads[i], NULL, work, &seeds[i]) == 0);
    }
    for (unsigned i = 0; i < n; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void test_mixed(void) {
    shared = region_new(10 * MIB);
    run_threads(mixed, THREADS);
    region_end(shared, false);
}

/* Each acknowledged increment counts once; nothing is evicted here. */
static void *count_up(void *seed) {
    (void)seed;
    for (uint64_t i = 0; i < rounds(20000, 2000); i++) {
        uint64_t result = 0;
        plc_status s = AGAIN(shared, plc_incr(shared, "sum", 3, 1, 0, &result));
        if (s == PLC_BUSY) {
            i--; /* nothing was changed */
            continue;
        }
        CHECK_STATUS(s, PLC_OK);
    }
    return NULL;
}

static void test_counting(void) {
    char text[32];
    shared = region_new(16 * MIB);
    CHECK_STATUS(store(shared, PLC_SET, "sum", "0", 1), PLC_OK);
    run_threads(count_up, THREADS);
    (void)snprintf(text, sizeof text, "%" PRIu64, THREADS * rounds(20000, 2000));
    CHECK(holds(shared, "sum", text));
    region_end(shared, false);
}

/* Everybody inserts and deletes the same few keys: two inserters must never both succeed. */
static void *insert_delete(void *seed) {
    struct work w;
    work_begin(&w, shared, *(const uint64_t *)seed);
    for (uint64_t i = 0; i < rounds(60000, 4000); i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "hot %u", (unsigned)(work_random(&w) % HOT));
        plc_status s = work_random(&w) % 2 == 0 ? store(shared, PLC_SET, key, "value", 5)
                                                : AGAIN(shared, plc_delete(shared, key, strlen(key)));
        work_allowed(&w, s, PLC_MISS);
    }
    work_end(&w);
    return NULL;
}

static void test_same_keys(void) {
    shared = region_new(16 * MIB);
    for (unsigned i = 0; i < 5; i++) {
        run_threads(insert_delete, THREADS);
        CHECK(findings_of(shared) == 0); /* I4 */
        CHECK(count_of(shared, 0) <= HOT);
    }
    region_end(shared, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"mixed", test_mixed}, {"counting", test_counting}, {"same keys", test_same_keys}};
    return RUN_TESTS(tests);
}
