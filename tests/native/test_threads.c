/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_threads.c: real threads on one region whose pool is recycled all the time.  Every value tells its key, its
 * writer and its number, so that a torn, foreign or stale one is noticed: a thread never again sees a value of a
 * writer once it has seen a later one of that writer under the same key, nor one of its own but the last.
 */
#include "fixture.h"

#include <pthread.h>

#include "domain.h"

#define THREADS 6u
#define KEYS 160u
#define LOGS 12u
#define COUNTERS 4u
#define BUFFER (2u * MIB)

static plc_cache *c;
static _Atomic uint64_t gets_right, acknowledged[COUNTERS], swapped;
static _Atomic unsigned writers_left;

struct worker {
    pthread_t thread;
    uint64_t random, steps, serial;
    uint32_t number; /* from 1 */
    size_t longest;
    uint8_t *buffer;
    uint64_t own[KEYS];               /* last serial of mine that is, or was, under the key; 0: I deleted it */
    uint64_t seen[KEYS][THREADS + 1]; /* latest of each writer */
};
static struct worker workers[THREADS];

static uint64_t pick(struct worker *w, uint64_t n) {
    w->random = w->random * 6364136223846793005ull + 1442695040888963407ull;
    return (w->random >> 33) % n;
}

static size_t pick_size(struct worker *w) {
    switch (pick(w, 12)) {
    case 0: return 8 + pick(w, w->longest);
    case 1: return 8 + pick(w, 30000);
    case 2: return 7000 + pick(w, 3000);
    default: return 8 + pick(w, 1200);
    }
}

/* Refusals that load allows; then nothing was changed. */
static bool refused(plc_status s) {
    return s == PLC_BUSY || s == PLC_FULL;
}

static void check_value(struct worker *w, unsigned key, size_t length) {
    uint64_t serial = value_serial(w->buffer, length, key), number = serial & 0xffffffffffffull;
    uint32_t writer = (uint32_t)(serial >> 48);
    CHECK(serial != UINT64_MAX && writer >= 1 && writer <= THREADS);
    CHECK(writer != w->number || serial == w->own[key]);
    CHECK(number >= w->seen[key][writer]);
    w->seen[key][writer] = number;
    gets_right++;
}

static void do_get(struct worker *w, unsigned key) {
    char name[32];
    plc_found found;
    size_t n = (size_t)snprintf(name, sizeof name, "key-%u", key);
    plc_status s = AGAIN(c, plc_get(c, name, n, 0, w->buffer, BUFFER, &found));
    CHECK(s == PLC_OK || s == PLC_MISS);
    if (s == PLC_OK) {
        check_value(w, key, found.length);
    }
}

static void do_get_many(struct worker *w) {
    char name[8][32];
    const void *keys[8];
    size_t lengths[8];
    unsigned number[8];
    plc_found found[8];
    for (unsigned i = 0; i < 8; i++) {
        number[i] = (unsigned)pick(w, KEYS);
        lengths[i] = (size_t)snprintf(name[i], sizeof name[i], "key-%u", number[i]);
        keys[i] = name[i];
    }
    MUST(c, plc_get_many(c, 8, keys, lengths, 0, w->buffer, BUFFER, found), PLC_OK);
    for (unsigned i = 0; i < 8; i++) {
        if (found[i].status == PLC_OK) {
            memmove(w->buffer, w->buffer + found[i].offset, found[i].length);
            check_value(w, number[i], found[i].length);
            return; /* the others lie where this one was moved to */
        }
        CHECK(found[i].status == PLC_MISS || found[i].status == PLC_TOO_SMALL);
    }
}

static void do_store(struct worker *w, unsigned key) {
    static const plc_verb verbs[] = {PLC_SET, PLC_SET, PLC_SET, PLC_ADD, PLC_REPLACE};
    char name[32];
    size_t length = pick_size(w);
    uint64_t serial = (uint64_t)w->number << 48 | ++w->serial;
    plc_verb verb = verbs[pick(w, 5)];
    value_make(w->buffer, length, key, serial);
    const plc_part parts[] = {{w->buffer, length / 2}, {w->buffer + length / 2, length - length / 2}};
    const plc_entry e = {
        .key = name, .key_length = (size_t)snprintf(name, sizeof name, "key-%u", key), .parts = parts, .part_count = 2};
    plc_status s = AGAIN(c, plc_store(c, verb, &e, NULL));
    CHECK(s == PLC_OK || refused(s) || (verb == PLC_ADD && s == PLC_EXISTS) || (verb == PLC_REPLACE && s == PLC_MISS));
    if (s == PLC_OK) {
        w->own[key] = serial;
    }
}

static void do_delete(struct worker *w, unsigned key) {
    char name[32];
    plc_status s = AGAIN(c, plc_delete(c, name, (size_t)snprintf(name, sizeof name, "key-%u", key)));
    CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_BUSY);
    if (s != PLC_BUSY) {
        w->own[key] = 0;
    }
}

static void do_touch(struct worker *w, unsigned key) {
    char name[32];
    plc_found found;
    size_t n = (size_t)snprintf(name, sizeof name, "key-%u", key);
    uint64_t deadline = pick(w, 2) ? 0 : now_ms() + 3600 * 1000 + pick(w, 1000);
    if (pick(w, 2) == 0) {
        plc_status s = AGAIN(c, plc_touch(c, name, n, deadline));
        CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
    } else {
        plc_status s = AGAIN(c, plc_get_touch(c, name, n, deadline, w->buffer, BUFFER, &found));
        CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
        if (s == PLC_OK) {
            check_value(w, key, found.length);
        }
    }
}

/* A log is a row of records that prove themselves; it is begun anew when it is long. */
static void do_log(struct worker *w, unsigned log) {
    char name[32];
    plc_found found;
    size_t n = (size_t)snprintf(name, sizeof name, "log-%u", log);
    uint64_t record[2] = {pick(w, 1u << 30), 0};
    record[1] = value_mix(record[0] ^ (uint64_t)log << 40);
    plc_status s = AGAIN(c, plc_get(c, name, n, 0, w->buffer, BUFFER, &found));
    CHECK(s == PLC_OK || s == PLC_MISS);
    for (size_t at = 0; s == PLC_OK && at < found.length; at += sizeof record) {
        uint64_t there[2];
        CHECK(found.length - at >= sizeof there);
        memcpy(there, w->buffer + at, sizeof there);
        CHECK(there[1] == value_mix(there[0] ^ (uint64_t)log << 40));
    }
    const plc_part part = {record, sizeof record};
    const plc_entry e = {.key = name, .key_length = n, .parts = &part, .part_count = 1};
    bool anew = s == PLC_MISS || found.length > 12000;
    plc_verb verb = anew ? PLC_SET : pick(w, 2) ? PLC_APPEND : PLC_PREPEND;
    s = AGAIN(c, plc_store(c, verb, &e, NULL));
    CHECK(s == PLC_OK || refused(s) || (!anew && s == PLC_MISS));
}

static void do_walk(struct worker *w) {
    uint64_t cursor = 0, n = 0, other = 0;
    plc_finding findings[64];
    plc_usage usage = {0};
    size_t used = 0;
    plc_status s = PLC_OK;
    switch (pick(w, 4)) {
    case 0: s = plc_count(c, &cursor, 0, &n); break;
    case 1: s = plc_check(c, &cursor, findings, 64, &used); break;
    case 2: s = plc_usage_read(c, &cursor, &usage); break;
    default:
        cursor = pick(w, 700) << 29;
        s = pick(w, 8) ? PLC_OK : plc_drain(c, &cursor, &n, &other);
        break;
    }
    CHECK(s == PLC_OK || s == PLC_DONE || s == PLC_AGAIN);
    s = plc_scan(c, &cursor, 0, w->buffer, 65536, &used);
    CHECK(s == PLC_OK || s == PLC_DONE || s == PLC_AGAIN);
}

static void do_open_and_close(void) {
    plc_cache *other = NULL;
    plc_report report;
    char path[300];
    (void)snprintf(path, sizeof path, "%s/r", check_folder);
    const plc_options options = {.path = path, .protection = check_protection()};
    CHECK_STATUS(plc_open(&options, &other, &report), PLC_OK);
    CHECK(other == c);
    plc_close(other);
}

static void step(struct worker *w) {
    unsigned key = (unsigned)(pick(w, 2) ? pick(w, KEYS) : pick(w, 12)); /* some are fought for */
    uint64_t what = pick(w, 100);
    if (what < 40) {
        do_get(w, key);
    } else if (what < 75) {
        do_store(w, key);
    } else if (what < 82) {
        do_delete(w, key);
    } else if (what < 88) {
        do_touch(w, key);
    } else if (what < 94) {
        do_log(w, (unsigned)pick(w, LOGS));
    } else if (what < 98) {
        do_get_many(w);
    } else if (what < 99) {
        do_walk(w);
    } else if (pick(w, 20) == 0) {
        do_open_and_close();
    }
}

static void *work(void *arg) {
    struct worker *w = arg;
    for (uint64_t i = 0; i < w->steps; i++) {
        step(w);
    }
    return NULL;
}

static void start(void *(*act)(void *), uint64_t steps, size_t longest) {
    for (unsigned i = 0; i < THREADS; i++) {
        struct worker *w = &workers[i];
        memset(w, 0, sizeof *w);
        w->number = i + 1;
        w->random = check_random();
        w->steps = steps;
        w->longest = longest;
        w->buffer = malloc(BUFFER);
        CHECK(w->buffer != NULL);
        CHECK(pthread_create(&w->thread, NULL, act, w) == 0);
    }
}

static void join(void) {
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        free(workers[i].buffer);
    }
}

static void everything(uint64_t region, size_t longest) {
    gets_right = 0;
    c = region_new(region);
    start(work, rounds(12000, 3000), longest);
    join();
    CHECK(counter_of(c, "corrupt_seen") == 0);
    (void)printf("  %" PRIu64 " values right, %" PRIu64 " evictions, %" PRIu64 " reinserted, %" PRIu64
                 " runs freed dead, %" PRIu64 " contended, %" PRIu64 " limbo, %" PRIu64 " busy, %" PRIu64 " full\n",
                 (uint64_t)gets_right, counter_of(c, "evictions"), counter_of(c, "reinserted"),
                 counter_of(c, "runs_freed_dead"), counter_of(c, "contended"), counter_of(c, "limbo"),
                 counter_of(c, "stores_refused_busy"), counter_of(c, "stores_refused_full"));
    region_end(c, false);
}

static void small_pool(void) {
    everything(4 * MIB, 60000);
}

static void large_values(void) {
    everything(8 * MIB, 900000);
}

static void roomy_pool(void) {
    everything(32 * MIB, 100000);
}

/* ---- numbers are exact ---------------------------------------------------------------------------- */

/* Adds one by a look and a swap. */
static bool add_by_cas(struct worker *w) {
    plc_found found;
    char text[32];
    MUST(c, plc_get(c, "swapped", 7, 0, w->buffer, 32, &found), PLC_OK);
    w->buffer[found.length] = 0;
    uint64_t n = strtoull((char *)w->buffer, NULL, 10);
    const plc_part part = {text, (size_t)snprintf(text, sizeof text, "%" PRIu64, n + 1)};
    const plc_entry e = {.key = "swapped", .key_length = 7, .parts = &part, .part_count = 1, .token = found.token};
    plc_status s = AGAIN(c, plc_store(c, pick(w, 2) ? PLC_CAS : PLC_REMAKE, &e, NULL));
    CHECK(s == PLC_OK || s == PLC_EXISTS || s == PLC_BUSY);
    return s == PLC_OK;
}

static void *count_up(void *arg) {
    struct worker *w = arg;
    char name[32];
    for (uint64_t i = 0; i < w->steps; i++) {
        unsigned which = (unsigned)pick(w, COUNTERS);
        uint64_t now = 0;
        size_t n = (size_t)snprintf(name, sizeof name, "count-%u", which);
        plc_status s = AGAIN(c, plc_incr(c, name, n, which + 1, 0, &now));
        CHECK(s == PLC_OK || s == PLC_BUSY);
        if (s == PLC_OK) {
            acknowledged[which] += which + 1;
        }
        if (i % 8 == 0 && add_by_cas(w)) {
            swapped++;
        }
        if (i % 16 == 0) { /* so that runs are sealed, emptied and recycled meanwhile */
            do_store(w, (unsigned)pick(w, 40));
        }
    }
    return NULL;
}

/* In a region where nothing is evicted, every acknowledged step is in the number, and no other. */
static void numbers(void) {
    char name[32], text[32];
    c = region_new(32 * MIB);
    swapped = 0;
    CHECK_STATUS(store(c, PLC_SET, "swapped", "0", 1), PLC_OK);
    for (unsigned i = 0; i < COUNTERS; i++) {
        acknowledged[i] = 0;
        (void)snprintf(name, sizeof name, "count-%u", i);
        CHECK_STATUS(store(c, PLC_SET, name, "0", 1), PLC_OK);
    }
    start(count_up, rounds(60000, 6000), 20000);
    join();
    CHECK(counter_of(c, "evictions") == 0 && counter_of(c, "displaced") == 0);
    for (unsigned i = 0; i < COUNTERS; i++) {
        (void)snprintf(name, sizeof name, "count-%u", i);
        (void)snprintf(text, sizeof text, "%" PRIu64, (uint64_t)acknowledged[i]);
        CHECK(holds(c, name, text));
    }
    (void)snprintf(text, sizeof text, "%" PRIu64, (uint64_t)swapped);
    CHECK(swapped > 0 && holds(c, "swapped", text));
    (void)printf("  %" PRIu64 " swaps and %" PRIu64 " steps of the first number, %" PRIu64 " runs freed dead\n",
                 (uint64_t)swapped, (uint64_t)acknowledged[0], counter_of(c, "runs_freed_dead"));
    region_end(c, false);
}

/* ---- the handle ----------------------------------------------------------------------------------- */

static void *until_closed(void *arg) {
    struct worker *w = arg;
    plc_status s = PLC_OK;
    char name[32];
    uint64_t n = 0;
    while (s != PLC_CLOSED) {
        unsigned key = (unsigned)pick(w, KEYS);
        plc_found found;
        n = (uint64_t)snprintf(name, sizeof name, "key-%u", key);
        const plc_part part = {w->buffer, pick_size(w)};
        const plc_entry e = {.key = name, .key_length = n, .parts = &part, .part_count = 1};
        s = pick(w, 2) ? plc_store(c, PLC_SET, &e, NULL) : plc_get(c, name, n, 0, w->buffer, BUFFER, &found);
        CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_AGAIN || refused(s) || s == PLC_CLOSED);
        s = s == PLC_AGAIN ? plc_assist(c, 50) : s;
    }
    writers_left--;
    return NULL;
}

/* Closing under load: the others' calls end with PLC_CLOSED, and the region is whole. */
static void close_under_load(void) {
    c = region_new(8 * MIB);
    for (uint64_t round = 0; round < rounds(30, 6); round++) {
        writers_left = THREADS;
        start(until_closed, 0, 60000);
        uint64_t until = counter_of(c, "sets") + 50;
        CHECK_SOON(counter_of(c, "sets") > until);
        plc_close(c);
        join();
        CHECK(writers_left == 0);
        c = region_named("r", 8 * MIB, 0);
    }
    region_end(c, true);
}

/* The bound of what this process knows of the file is raised by one thread while another looks: a key beyond the old
 * bound is not missing, nor is it stored a second time.  So that it can be raised often it is lowered as often, but
 * only once in two calls: a bound that falls and rises again inside of one is nothing that there is. */
static _Atomic bool raising;
static _Atomic uint64_t calls;

static void two_calls_later(void) {
    for (uint64_t until = calls + 2; raising && calls < until;) {
        pause_cpu();
    }
}

static void *raiser(void *unused) {
    (void)unused;
    uint32_t all = atomic_load(&c->limit_page);
    while (raising) {
        atomic_store(&c->limit_page, c->geo.first_page);
        two_calls_later();
        atomic_store(&c->limit_page, all);
        two_calls_later();
    }
    atomic_store(&c->limit_page, all);
    return NULL;
}

static void bound_raised(void) {
    pthread_t thread;
    char buffer[64];
    plc_found found;
    const plc_part part = {"value", 5};
    const plc_entry e = {.key = "k", .key_length = 1, .parts = &part, .part_count = 1};
    c = region_new(4 * MIB);
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    raising = true;
    CHECK(pthread_create(&thread, NULL, raiser, NULL) == 0);
    for (uint64_t i = 0; i < rounds(3000000, 100000); i++) {
        plc_status s = plc_get(c, "k", 1, 0, buffer, sizeof buffer, &found);
        CHECK(s == PLC_OK || s == PLC_AGAIN);
        calls++;
        if (i % 4 == 0) {
            s = plc_store(c, PLC_SET, &e, NULL);
            CHECK(s == PLC_OK || s == PLC_AGAIN);
            calls++;
        }
    }
    raising = false;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(counter_of(c, "corrupt_seen") == 0);
    CHECK(count_of(c, 0) == 1);
    region_end(c, true);
}

static const struct check_test tests[] = {
    {"small_pool", small_pool}, {"large_values", large_values},         {"roomy_pool", roomy_pool},
    {"numbers", numbers},       {"close_under_load", close_under_load}, {"bound_raised", bound_raised},
};

int main(void) {
    return RUN_TESTS(tests);
}
