/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_flight.c: single flight: of all who miss one key one computes; a claim is void after a set, a delete or an
 * invalidation, and is taken over from the dead, the unreaped and the overdue; it survives eviction.
 */
#include "fixture.h"

#include <pthread.h>

#define HOUR_MS 3600000u

static plc_cache *c;

static void begin(void) {
    c = region_new(8 * MIB);
}

static plc_status claim(const char *key, uint64_t limit_ms, plc_flight *flight) {
    const plc_entry e = {.key = key, .key_length = strlen(key)};
    return AGAIN(c, plc_claim(c, &e, limit_ms, flight));
}

static plc_status publish(const char *key, const char *text, const plc_flight *flight) {
    const plc_part part = {text, strlen(text)};
    const plc_entry e = {.key = key,
                         .key_length = strlen(key),
                         .parts = &part,
                         .part_count = 1,
                         .token = flight->token,
                         .sum = flight->sum};
    return AGAIN(c, plc_store(c, PLC_PUBLISH, &e, NULL));
}

static plc_status abandon(const char *key, const plc_flight *flight) {
    return AGAIN(c, plc_abandon(c, key, strlen(key), flight->token));
}

static void one_claims(void) {
    plc_flight mine, other = {0, 0};
    begin();
    CHECK_STATUS(claim("a", HOUR_MS, &mine), PLC_OK);
    CHECK(mine.token != 0 && mine.sum != 0 && absent(c, "a") && count_of(c, 0) == 0);
    CHECK_STATUS(claim("a", HOUR_MS, &other), PLC_CLAIMED);
    CHECK(other.token == mine.token);
    CHECK_STATUS(store(c, PLC_REPLACE, "a", "x", 1), PLC_MISS); /* a claim is no value */
    CHECK_STATUS(store(c, PLC_APPEND, "a", "x", 1), PLC_MISS);
    MUST(c, plc_touch(c, "a", 1, 0), PLC_MISS);
    other.token = mine.token + 1;
    other.sum = mine.sum;
    CHECK_STATUS(publish("a", "wrong", &other), PLC_MISS);
    CHECK_STATUS(abandon("a", &other), PLC_MISS);
    CHECK_STATUS(publish("a", "right", &mine), PLC_OK);
    CHECK(holds(c, "a", "right"));
    CHECK_STATUS(publish("a", "twice", &mine), PLC_MISS);
    CHECK_STATUS(abandon("a", &mine), PLC_MISS);
    CHECK_STATUS(claim("a", HOUR_MS, &other), PLC_EXISTS);
    CHECK(holds(c, "a", "right"));
    CHECK_STATUS(claim("b", HOUR_MS, &mine), PLC_OK); /* its computation raised */
    CHECK_STATUS(abandon("b", &mine), PLC_OK);
    CHECK_STATUS(publish("b", "late", &mine), PLC_MISS);
    CHECK_STATUS(claim("b", HOUR_MS, &other), PLC_OK);
    CHECK(other.token != mine.token);
    CHECK_STATUS(abandon("b", &mine), PLC_MISS);
    CHECK_STATUS(plc_wait(c, "c", 1, 60000), PLC_OK); /* nobody claims it: no wait */
    region_end(c, false);
}

static void voided(void) {
    plc_flight mine, other;
    uint16_t name = 0;
    begin();
    CHECK_STATUS(claim("set", HOUR_MS, &mine), PLC_OK);
    CHECK_STATUS(store(c, PLC_SET, "set", "truth", 5), PLC_OK);
    CHECK_STATUS(publish("set", "stale", &mine), PLC_MISS);
    CHECK(holds(c, "set", "truth"));
    CHECK_STATUS(claim("add", HOUR_MS, &mine), PLC_OK);
    CHECK_STATUS(store(c, PLC_ADD, "add", "truth", 5), PLC_OK);
    CHECK_STATUS(publish("add", "stale", &mine), PLC_MISS);
    CHECK(holds(c, "add", "truth"));
    CHECK_STATUS(claim("del", HOUR_MS, &mine), PLC_OK);
    MUST(c, plc_delete(c, "del", 3), PLC_MISS); /* no value was there; the claim is gone all the same */
    CHECK_STATUS(publish("del", "stale", &mine), PLC_MISS);
    CHECK(absent(c, "del"));
    CHECK_STATUS(claim("flush", HOUR_MS, &mine), PLC_OK);
    CHECK_STATUS(plc_flush(c, 0), PLC_OK);
    plc_status s = publish("flush", "stale", &mine); /* stored or not: born dead */
    CHECK((s == PLC_OK || s == PLC_MISS) && absent(c, "flush"));
    CHECK_STATUS(claim("flush", HOUR_MS, &other), PLC_OK);
    CHECK_STATUS(publish("flush", "fresh", &other), PLC_OK);
    CHECK(holds(c, "flush", "fresh"));

    CHECK_STATUS(plc_name(c, "n", 1, &name), PLC_OK);
    const plc_entry named = {.key = "named", .key_length = 5, .name = name};
    MUST(c, plc_claim(c, &named, HOUR_MS, &mine), PLC_OK);
    CHECK_STATUS(plc_name_invalidate(c, name), PLC_OK);
    MUST(c, plc_claim(c, &named, HOUR_MS, &other), PLC_OK); /* taken over in place */
    CHECK_STATUS(publish("named", "stale", &mine), PLC_MISS);
    CHECK(absent(c, "named"));
    CHECK_STATUS(abandon("named", &other), PLC_OK);
    region_end(c, false);
}

static void overdue(void) {
    plc_flight mine, other;
    begin();
    CHECK_STATUS(claim("a", 0, &mine), PLC_OK); /* due at once */
    CHECK_STATUS(publish("a", "late", &mine), PLC_MISS);
    CHECK_STATUS(claim("a", HOUR_MS, &other), PLC_OK);
    CHECK_STATUS(publish("a", "late", &mine), PLC_MISS);
    CHECK_STATUS(publish("a", "in time", &other), PLC_OK);
    CHECK(holds(c, "a", "in time"));
    CHECK_STATUS(claim("b", 50, &mine), PLC_OK);
    CHECK_SOON(claim("b", HOUR_MS, &other) == PLC_OK);
    CHECK(counter_of(c, "claims_taken_over") == 2);
    CHECK_STATUS(publish("b", "late", &mine), PLC_MISS);
    CHECK_STATUS(abandon("b", &other), PLC_OK);
    CHECK_STATUS(claim("c", UINT64_MAX, &mine), PLC_OK);
    CHECK_STATUS(claim("c", UINT64_MAX, &other), PLC_CLAIMED);
    CHECK_STATUS(abandon("c", &mine), PLC_OK);
    region_end(c, false);
}

/* Evictions move a live claim on, however often; it is published after the pool was recycled ten times. */
static void survives_eviction(void) {
    static uint8_t value[100000];
    plc_flight flights[50], other;
    char key[32];
    begin();
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(key, sizeof key, "claim-%u", i);
        CHECK_STATUS(claim(key, HOUR_MS, &flights[i]), PLC_OK);
    }
    for (uint64_t written = 0; written < 10 * info_of(c).pool_bytes;) {
        size_t n = below(4) == 0 ? 8 + below(sizeof value - 8) : 8 + below(3000);
        (void)snprintf(key, sizeof key, "churn-%" PRIu64, below(100000));
        CHECK_STATUS(store(c, PLC_SET, key, value, n), PLC_OK);
        written += n;
    }
    CHECK(counter_of(c, "evictions") > 1000);
    if (counter_of(c, "displaced") == 0) {
        for (unsigned i = 0; i < 50; i++) {
            (void)snprintf(key, sizeof key, "claim-%u", i);
            CHECK_STATUS(claim(key, HOUR_MS, &other), PLC_CLAIMED);
            CHECK_STATUS(publish(key, "done", &flights[i]), PLC_OK);
            CHECK(holds(c, key, "done"));
        }
    } else {
        check_skip("claims were pushed out of full buckets");
    }
    region_end(c, false);
}

/* ---- many who miss ------------------------------------------------------------------------------- */

#define THREADS 6u
#define FLIGHTS 40u

static _Atomic unsigned computed[FLIGHTS];

static void *miss(void *arg) {
    (void)arg;
    for (unsigned i = 0; i < FLIGHTS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "flight-%u", i);
        plc_flight flight;
        plc_status s;
        while ((s = claim(key, HOUR_MS, &flight)) == PLC_CLAIMED) {
            CHECK_STATUS(plc_wait(c, key, strlen(key), 50), PLC_OK);
        }
        if (s == PLC_OK) {
            computed[i]++;
            sched_yield();
            CHECK_STATUS(publish(key, "value", &flight), PLC_OK);
        } else {
            CHECK_STATUS(s, PLC_EXISTS);
        }
        CHECK(holds(c, key, "value"));
    }
    return NULL;
}

static void many_threads(void) {
    pthread_t threads[THREADS];
    begin();
    for (unsigned i = 0; i < FLIGHTS; i++) {
        computed[i] = 0;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, miss, NULL) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (unsigned i = 0; i < FLIGHTS; i++) {
        CHECK(computed[i] == 1);
    }
    region_end(c, false);
}

/* ---- others that die ------------------------------------------------------------------------------ */

/* In a child: a process of its own, with a claim, until it is killed. */
static void claim_and_sit(struct peer_ends ends) {
    plc_flight flight;
    plc_close(c); /* the parent's handle: this process attaches anew */
    c = region_named("r", 8 * MIB, 0);
    CHECK_STATUS(claim("a", HOUR_MS, &flight), PLC_OK);
    tell(ends.out, flight.token);
    (void)await(ends.in);
}

static plc_flight taken_over(void) {
    plc_flight flight;
    plc_status s;
    time_t began = time(NULL);
    while ((s = claim("a", HOUR_MS, &flight)) == PLC_CLAIMED) { /* as a waiter does */
        CHECK_STATUS(plc_wait(c, "a", 1, 50), PLC_OK);
        CHECK(time(NULL) - began < CHECK_HANG_SECONDS);
    }
    CHECK_STATUS(s, PLC_OK);
    return flight;
}

static void dead_and_unreaped(void) {
    plc_flight other;
    begin();
    for (unsigned unreaped = 0; unreaped < 2; unreaped++) {
        struct peer p = peer_start(claim_and_sit);
        uint64_t token = hear(p.from);
        CHECK_STATUS(claim("a", HOUR_MS, &other), PLC_CLAIMED);
        CHECK(other.token == token);
        if (unreaped) { /* a zombie counts as dead */
            CHECK(kill(p.pid, SIGKILL) == 0);
        } else {
            peer_kill(&p);
        }
        plc_flight mine = taken_over();
        CHECK(mine.token != token);
        other.token = token;
        other.sum = mine.sum;
        CHECK_STATUS(publish("a", "of the dead", &other), PLC_MISS);
        CHECK_STATUS(publish("a", "mine", &mine), PLC_OK);
        CHECK(holds(c, "a", "mine"));
        MUST(c, plc_delete(c, "a", 1), PLC_OK);
        if (unreaped) {
            CHECK(waitpid(p.pid, NULL, 0) == p.pid);
            (void)close(p.from);
            (void)close(p.to);
        }
    }
    CHECK(counter_of(c, "reaps") >= 2);
    region_end(c, true);
}

/* A stopped one is alive: its claim holds. */
static void stopped(void) {
    plc_flight other;
    begin();
    struct peer p = peer_start(claim_and_sit);
    uint64_t token = hear(p.from);
    CHECK(kill(p.pid, SIGSTOP) == 0);
    CHECK(waitpid(p.pid, NULL, WUNTRACED) == p.pid);
    for (unsigned i = 0; i < 6; i++) {
        CHECK_STATUS(plc_wait(c, "a", 1, 50), PLC_OK);
        CHECK_STATUS(claim("a", HOUR_MS, &other), PLC_CLAIMED);
        CHECK(other.token == token);
    }
    CHECK(kill(p.pid, SIGCONT) == 0);
    peer_kill(&p);
    (void)taken_over();
    region_end(c, true);
}

static const struct check_test tests[] = {
    {"one_claims", one_claims},     {"voided", voided},
    {"overdue", overdue},           {"survives_eviction", survives_eviction},
    {"many_threads", many_threads}, {"dead_and_unreaped", dead_and_unreaped},
    {"stopped", stopped},
};

int main(void) {
    return RUN_TESTS(tests);
}
