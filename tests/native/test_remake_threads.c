/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_remake_threads.c: threads that look and remake, as a server does for its verbs: no addition is lost, of those who
 * want to be the one, one is, and nothing that was flushed comes back.
 */
#include "fixture.h"

#include <pthread.h>

#define THREADS 4u
#define KEYS 3u

static plc_cache *c;
static uint8_t block[9000];

static uint64_t later_ms(void) {
    return now_ms() + 3600 * 1000;
}

/* An entry of one part, which is to be stored at once. */
static plc_entry entry_of(const char *key, const plc_part *part) {
    return (plc_entry){.key = key, .key_length = strlen(key), .parts = part, .part_count = 1};
}

static _Atomic uint64_t added[KEYS], won;
static _Atomic unsigned at_work;

struct adder {
    pthread_t thread;
    uint64_t random, steps;
    unsigned number;
    char room[4096], made[4200];
};

static uint64_t pick(struct adder *a, uint64_t n) {
    a->random = a->random * 6364136223846793005ull + 1442695040888963407ull;
    return (a->random >> 33) % n;
}

/* As a server adds to a number of any type: a look, and a remake of just that.  Its deadline goes round meanwhile. */
static void add_one(struct adder *a, const char *key, unsigned which) {
    plc_found found;
    plc_status s = PLC_EXISTS;
    while (s == PLC_EXISTS || s == PLC_BUSY || s == PLC_FULL) {
        MUST(c, plc_get(c, key, strlen(key), 0, a->room, sizeof a->room - 1, &found), PLC_OK);
        a->room[found.length] = '\0';
        int n = snprintf(a->made, sizeof a->made, "%" PRIu64, (uint64_t)strtoull(a->room, NULL, 10) + 1);
        const plc_part part = {a->made, (size_t)n};
        plc_entry e = entry_of(key, &part);
        e.token = found.token;
        e.seen_type = found.type;
        e.type = (uint8_t)(20 + pick(a, 3));
        e.own_token = pick(a, 2) == 0 ? 0 : (uint64_t)a->number << 32 | (a->steps + 1); /* another one each time */
        e.options = pick(a, 3) == 0 ? PLC_NEW_DEADLINE : 0;
        e.deadline_ms = later_ms() + pick(a, 1000);
        s = AGAIN(c, plc_store(c, PLC_REMAKE, &e, NULL));
    }
    CHECK_STATUS(s, PLC_OK);
    added[which]++;
}

static void *add_all(void *arg) {
    struct adder *a = arg;
    char key[16];
    for (; a->steps > 0; a->steps--) {
        unsigned which = (unsigned)pick(a, KEYS);
        (void)snprintf(key, sizeof key, "number-%u", which);
        add_one(a, key, which);
        if (pick(a, 8) == 0) {
            plc_status s = AGAIN(c, plc_touch(c, key, strlen(key), later_ms()));
            CHECK(s == PLC_OK || s == PLC_BUSY);
        }
    }
    at_work--;
    return NULL;
}

static void start_all(struct adder *all, void *(*run)(void *), uint64_t steps) {
    at_work = THREADS;
    for (unsigned i = 0; i < THREADS; i++) {
        all[i] = (struct adder){.random = check_random(), .steps = steps, .number = i + 1};
        CHECK(pthread_create(&all[i].thread, NULL, run, &all[i]) == 0);
    }
}

static void join_all(struct adder *all) {
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(all[i].thread, NULL) == 0);
    }
}

static struct adder adders[THREADS];

static void test_no_addition_is_lost(void) {
    char key[16], text[32];
    c = region_new(16 * MIB);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "number-%u", i);
        CHECK_STATUS(store(c, PLC_SET, key, "0", 1), PLC_OK);
        added[i] = 0;
    }
    start_all(adders, add_all, rounds(20000, 2000));
    join_all(adders);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "number-%u", i);
        (void)snprintf(text, sizeof text, "%" PRIu64, added[i]);
        CHECK(holds(c, key, text));
    }
    region_end(c, false);
}

/* Of those who want to be the one, one is, though the token stays: the type has changed. */
static void *win_all(void *arg) {
    struct adder *a = arg;
    for (; a->steps > 0; a->steps--) {
        const plc_part part = {"taken", 5};
        plc_entry e = entry_of("prize", &part);
        e.token = e.own_token = 99;
        e.seen_type = 30;
        e.type = 31;
        plc_status s = AGAIN(c, plc_store(c, PLC_REMAKE, &e, NULL));
        if (s == PLC_OK) {
            won++;
            e.seen_type = 31; /* and put up again */
            e.type = 30;
            do {
                s = AGAIN(c, plc_store(c, PLC_REMAKE, &e, NULL));
            } while (s == PLC_BUSY || s == PLC_FULL);
            CHECK_STATUS(s, PLC_OK); /* nobody else had it */
        } else {
            CHECK(s == PLC_EXISTS || s == PLC_BUSY || s == PLC_FULL);
        }
    }
    return NULL;
}

static void test_one_wins(void) {
    const plc_part part = {"free", 4};
    plc_entry e = entry_of("prize", &part);
    c = region_new(16 * MIB);
    e.own_token = 99;
    e.type = 30;
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    won = 0;
    start_all(adders, win_all, rounds(20000, 2000));
    join_all(adders);
    CHECK(won > 0);
    plc_found found;
    CHECK_STATUS(AGAIN(c, plc_peek(c, "prize", 5, NULL, 0, &found)), PLC_TOO_SMALL);
    CHECK(found.token == 99 && found.type == 30);
    region_end(c, false);
}

/* Everything is invalidated again and again while it is remade: what was begun before does not show behind it. */
static _Atomic uint64_t epoch;

static void *remake_across_flushes(void *arg) {
    struct adder *a = arg;
    for (; a->steps > 0; a->steps--) {
        plc_found found;
        plc_status s = AGAIN(c, plc_get(c, "k", 1, 0, a->room, sizeof a->room, &found));
        if (s == PLC_OK) { /* it tells which epoch it is of, and so does what is made of it */
            size_t n = pick(a, 4) == 0 ? 9000 : found.length;
            const plc_part parts[] = {{a->room, 8}, {block, n < 8 ? 0 : n - 8}};
            plc_entry e = entry_of("k", parts);
            e.part_count = 2;
            e.token = found.token;
            e.options = pick(a, 2) == 0 ? PLC_NEW_DEADLINE : 0;
            s = AGAIN(c, plc_store(c, PLC_REMAKE, &e, NULL));
            CHECK(s == PLC_OK || s == PLC_EXISTS || s == PLC_MISS || s == PLC_BUSY || s == PLC_FULL);
        } else {
            CHECK(s == PLC_MISS || s == PLC_TOO_SMALL);
        }
    }
    at_work--;
    return NULL;
}

static void test_flush_between(void) {
    static uint8_t room[16384];
    plc_found found;
    c = region_new(16 * MIB);
    epoch = 0;
    start_all(adders, remake_across_flushes, rounds(30000, 3000));
    while (at_work != 0) {
        uint64_t now = ++epoch;
        CHECK_STATUS(plc_flush(c, 0), PLC_OK);
        plc_status s = get(c, "k", room, sizeof room, &found);
        CHECK(s == PLC_MISS); /* nobody has set it since */
        CHECK_STATUS(store(c, PLC_SET, "k", &now, sizeof now), PLC_OK);
        for (unsigned i = 0; i < 20; i++) {
            s = get(c, "k", room, sizeof room, &found);
            CHECK(s == PLC_MISS || (s == PLC_OK && memcmp(room, &now, sizeof now) == 0));
        }
    }
    join_all(adders);
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"no_addition_is_lost", test_no_addition_is_lost},
    {"one_wins", test_one_wins},
    {"flush_between", test_flush_between},
};

int main(void) {
    return RUN_TESTS(tests);
}
