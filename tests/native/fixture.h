/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fixture.h: what the tests of whole operations share: a region in a folder of its own, calls repeated while
 * they answer PLC_AGAIN, values that know their own key, and the three questions asked at every end: does
 * check() find nothing, is no live byte counted dead, and does a drain give back every page as one stretch?
 */
#ifndef PLC_TEST_FIXTURE_H
#define PLC_TEST_FIXTURE_H

#include "check.h"
#include "region.h"
#include "truth.h"

#include <inttypes.h>
#include <stdbool.h>

#define MIB (1024ull * 1024ull)
#define HANG_SECONDS check_hang_seconds(240) /* for a whole program; nothing else ends a test by time */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
/* Rounds of a test: fewer where every access costs ten times as much, and fewer still where bytes are copied one
 * by one.  ROUNDS multiplies them, in percent. */
__attribute__((unused)) static uint64_t rounds(uint64_t plain, uint64_t sanitized) {
    const char *given = getenv("ROUNDS");
    uint64_t percent = given != NULL ? strtoull(given, NULL, 0) : 100;
#if defined(__SANITIZE_THREAD__)
    sanitized = sanitized / 3 + 1;
#endif
    uint64_t n = (SANITIZED ? sanitized : plain) * percent / 100;
    return n == 0 ? 1 : n;
}

/* The status of a call, repeated as plc.h says. */
#define AGAIN(cache, call)                            \
    ({                                                \
        plc_status again_;                            \
        while ((again_ = (call)) == PLC_AGAIN) {      \
            CHECK(plc_assist((cache), 50) == PLC_OK); \
        }                                             \
        again_;                                       \
    })
#define MUST(cache, call, wanted) CHECK_STATUS(AGAIN(cache, call), wanted)

/* A number below n. */
__attribute__((unused)) static uint64_t below(uint64_t n) {
    return check_random() % n;
}

/* The run in the first place of the parked list that has any; 0: none.  Where a thread begins is chance. */
__attribute__((unused)) static uint32_t some_parked(const plc_cache *c) {
    uint64_t head = 0;
    for (unsigned i = 0; i < PARKED_PLACES && head == 0; i++) {
        head = word_acq(&c->super->parked[i]);
    }
    return (uint32_t)head;
}

/* ---- regions -------------------------------------------------------------------------------- */

__attribute__((unused)) static plc_cache *region_named(const char *name, uint64_t size, uint32_t expected_entry) {
    plc_cache *c = NULL;
    plc_report report;
    const plc_options options = {.path = check_path(name),
                                 .protection = check_protection(),
                                 .size_bytes = size,
                                 .expected_entry = expected_entry,
                                 .create = 1};
    CHECK_STATUS(plc_open(&options, &c, &report), PLC_OK);
    return c;
}

/* A new, empty region "r" in a new folder; the earlier one is gone.  With PERSISTENT=1 its entries carry checksums, as
 * on a disk. */
__attribute__((unused)) static plc_cache *region_new(uint64_t size) {
    (void)alarm(HANG_SECONDS);
    region_always_persistent = region_always_persistent || getenv("PERSISTENT") != NULL;
    check_folder_make(access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
    return region_named("r", size, 0);
}

__attribute__((unused)) static plc_info info_of(plc_cache *c) {
    plc_info info;
    CHECK_STATUS(plc_info_read(c, &info), PLC_OK);
    return info;
}

__attribute__((unused)) static uint64_t counter_of(plc_cache *c, const char *name) {
    plc_stats stats;
    CHECK_STATUS(plc_stats_read(c, &stats), PLC_OK);
    for (uint32_t i = 0; plc_counter_name(i) != NULL; i++) {
        if (strcmp(plc_counter_name(i), name) == 0) {
            return stats.counters[i];
        }
    }
    CHECK(!"a counter of that name");
    return 0;
}

/* check() over the whole region: what it finds is shown.  Returns how much that is. */
__attribute__((unused)) static size_t findings_of(plc_cache *c) {
    plc_finding findings[64];
    uint64_t cursor = 0;
    size_t all = 0, n = 0;
    plc_status s = PLC_OK;
    while (s != PLC_DONE) {
        s = AGAIN(c, plc_check(c, &cursor, findings, 64, &n));
        CHECK(s == PLC_OK || s == PLC_DONE);
        for (size_t i = 0; i < n && all + i < 16; i++) {
            (void)fprintf(stderr, "  check: I%" PRIu32 " at %" PRIu64 ": %016" PRIx64 "\n", findings[i].invariant,
                          findings[i].where, findings[i].value);
        }
        all += n;
    }
    return all;
}

__attribute__((unused)) static uint64_t count_of(plc_cache *c, uint16_t name) {
    uint64_t cursor = 0, n = 0;
    plc_status s = PLC_OK;
    while (s != PLC_DONE) {
        s = AGAIN(c, plc_count(c, &cursor, name, &n));
        CHECK(s == PLC_OK || s == PLC_DONE);
    }
    return n;
}

__attribute__((unused)) static plc_usage usage_of(plc_cache *c) {
    plc_usage usage;
    uint64_t cursor = 0;
    plc_status s = PLC_OK;
    memset(&usage, 0, sizeof usage);
    while (s != PLC_DONE) {
        s = AGAIN(c, plc_usage_read(c, &cursor, &usage));
        CHECK(s == PLC_OK || s == PLC_DONE);
    }
    return usage;
}

struct drained {
    uint64_t free_pages, longest;
};

__attribute__((unused)) static struct drained drain(plc_cache *c) {
    struct drained d = {0, 0};
    uint64_t cursor = 0;
    plc_status s = PLC_OK;
    while (s != PLC_DONE) {
        s = AGAIN(c, plc_drain(c, &cursor, &d.free_pages, &d.longest));
        CHECK(s == PLC_OK || s == PLC_DONE);
    }
    return d;
}

/* Is everything that was ever taken free again, in one piece? */
__attribute__((unused)) static bool drained_whole(plc_cache *c) {
    struct drained d = drain(c);
    uint64_t taken = info_of(c).pool_taken_bytes / 4096;
    return d.free_pages == taken && d.longest == taken;
}

/* The end of every test: nothing found, everything given back, nothing left in the index.  In a region at rest
 * one drain does it; `soon` allows for the dead, whose pages are theirs until their death is established. */
__attribute__((unused)) static void region_end(plc_cache *c, bool soon) {
    CHECK(findings_of(c) == 0);
    CHECK(runs_overcounted(c) == 0);
    if (soon) {
        CHECK_SOON(drained_whole(c));
    } else {
        CHECK(drained_whole(c));
    }
    CHECK(count_of(c, 0) == 0);
    CHECK(findings_of(c) == 0);
    plc_close(c);
}

/* ---- values --------------------------------------------------------------------------------- */

/* A value tells which key, which write and how many bytes it is of, in every byte: one that is torn, foreign or
 * old is noticed.  Layout: serial (8), then bytes from a generator seeded with key, serial and length. */
#define VALUE_MIN 8u

static uint64_t value_mix(uint64_t x) {
    x ^= x >> 31;
    x *= 0x7fb5d329728ea185ull;
    x ^= x >> 27;
    x *= 0x81dadef4bc2dd44dull;
    return x ^ x >> 33;
}

__attribute__((unused)) static void value_make(uint8_t *to, size_t n, uint64_t key, uint64_t serial) {
    uint64_t seed = value_mix(key * 0x9e3779b97f4a7c15ull + serial) ^ n;
    CHECK(n >= VALUE_MIN);
    memcpy(to, &serial, 8);
    for (size_t i = 8; i < n; i += 8) {
        uint64_t x = value_mix(seed + i);
        memcpy(to + i, &x, n - i < 8 ? n - i : 8);
    }
}

/* The serial of a value of that key, or UINT64_MAX: it is none. */
__attribute__((unused)) static uint64_t value_serial(const uint8_t *from, size_t n, uint64_t key) {
    uint64_t serial;
    if (n < VALUE_MIN) {
        return UINT64_MAX;
    }
    memcpy(&serial, from, 8);
    uint64_t seed = value_mix(key * 0x9e3779b97f4a7c15ull + serial) ^ n;
    for (size_t i = 8; i < n; i += 8) {
        uint64_t x = value_mix(seed + i);
        if (memcmp(from + i, &x, n - i < 8 ? n - i : 8) != 0) {
            return UINT64_MAX;
        }
    }
    return serial;
}

/* ---- operations on keys that are text -------------------------------------------------------- */

__attribute__((unused)) static plc_status store(plc_cache *c, plc_verb verb, const char *key, const void *value,
                                                size_t n) {
    const plc_part part = {value, n};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    return AGAIN(c, plc_store(c, verb, &e, NULL));
}

__attribute__((unused)) static plc_status get(plc_cache *c, const char *key, void *buffer, size_t capacity,
                                              plc_found *found) {
    return AGAIN(c, plc_get(c, key, strlen(key), 0, buffer, capacity, found));
}

/* Is the value of key exactly this text? */
__attribute__((unused)) static bool holds(plc_cache *c, const char *key, const char *text) {
    char buffer[4096];
    plc_found found;
    return get(c, key, buffer, sizeof buffer, &found) == PLC_OK && found.length == strlen(text) &&
           memcmp(buffer, text, found.length) == 0;
}

__attribute__((unused)) static bool absent(plc_cache *c, const char *key) {
    plc_found found;
    return get(c, key, NULL, 0, &found) == PLC_MISS;
}

/* By the clock that the core goes by, which is up to a tick behind the exact one. */
__attribute__((unused)) static uint64_t now_ms(void) {
    struct timespec t;
    CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &t) == 0);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* All tests of a program, or the one that ONLY names. */
__attribute__((unused)) static int run_tests(const struct check_test *tests, size_t n) {
    const char *only = getenv("ONLY");
    for (size_t i = 0; only != NULL && i < n; i++) {
        if (strcmp(tests[i].name, only) == 0) {
            return check_run(&tests[i], 1);
        }
    }
    return check_run(tests, n);
}

#define RUN_TESTS(tests) run_tests((tests), sizeof(tests) / sizeof *(tests))

#endif
