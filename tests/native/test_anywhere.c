/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_anywhere.c: a call that is stopped at any instruction while others work.  A timer interrupts this thread
 * every few microseconds of its work, and the handler, which then has all the time in the world, stores, deletes
 * and evicts through calls of its own, up to three times the pool.  Two sets of keys: one is written by the
 * thread only, one by the handler only; both read all.  A value that was replaced or deleted before a get began
 * must not be seen by it, at whatever instruction anybody was stopped.
 * (A call in a signal handler is one of the same thread: where the thread holds a lock, it answers BUSY.)
 */
#include "fixture.h"

#define KEYS 120u /* the first half is the thread's, the second the handler's */
#define LARGEST 200000u
#define BUFFER (2u * LARGEST)

static plc_cache *c;
static char names[KEYS][16];
static uint64_t low[KEYS]; /* oldest serial that may still be seen under the key */
static uint64_t serials;
static uint64_t seen, stops;
static timer_t timer;

struct actor {
    uint64_t random;
    unsigned first;
    bool again; /* the thread's: a call wants plc_assist; the handler does without */
    uint8_t buffer[BUFFER];
};
static struct actor thread = {.first = 0}, handler = {.first = KEYS / 2};

static uint64_t pick(struct actor *a, uint64_t n) {
    a->random = a->random * 6364136223846793005ull + 1442695040888963407ull;
    return (a->random >> 33) % n;
}

static void arm(void) {
    const struct itimerspec once = {.it_value = {0, 1000 + (long)pick(&handler, 40000)}};
    CHECK(timer_settime(timer, 0, &once, NULL) == 0);
}

static bool refused(struct actor *a, plc_status s) {
    a->again = a->again || s == PLC_AGAIN;
    return s == PLC_BUSY || s == PLC_FULL || s == PLC_AGAIN;
}

static void do_get(struct actor *a) {
    unsigned key = (unsigned)pick(a, KEYS);
    uint64_t from = low[key];
    plc_found found;
    plc_status s = plc_get(c, names[key], strlen(names[key]), 0, a->buffer, BUFFER, &found);
    CHECK(s == PLC_OK || s == PLC_MISS || refused(a, s));
    if (s == PLC_OK) {
        uint64_t serial = value_serial(a->buffer, found.length, key);
        CHECK(serial != UINT64_MAX);
        CHECK(serial >= from);
        seen++;
    }
}

static size_t do_store(struct actor *a, unsigned key) {
    static const size_t most[] = {40, 300, 2000, 2000, 9000, 60000, LARGEST};
    size_t length = 8 + pick(a, most[pick(a, sizeof most / sizeof most[0])]);
    uint64_t serial = ++serials; /* the handler may take some meanwhile */
    value_make(a->buffer, length, key, serial);
    const plc_part part = {a->buffer, length};
    const plc_entry e = {.key = names[key], .key_length = strlen(names[key]), .parts = &part, .part_count = 1};
    plc_status s = plc_store(c, pick(a, 4) ? PLC_SET : PLC_REPLACE, &e, NULL);
    CHECK(s == PLC_OK || s == PLC_MISS || refused(a, s));
    if (s == PLC_OK) {
        low[key] = serial;
    }
    return length;
}

/* A step; about how many bytes were written. */
static size_t act(struct actor *a) {
    unsigned key = a->first + (unsigned)pick(a, KEYS / 2);
    plc_status s;
    switch (pick(a, 12)) {
    case 0:
        s = plc_delete(c, names[key], strlen(names[key]));
        CHECK(s == PLC_OK || s == PLC_MISS || refused(a, s));
        if (s == PLC_OK || s == PLC_MISS) {
            low[key] = ++serials;
        }
        return 100;
    case 1:
        s = plc_touch(c, names[key], strlen(names[key]), pick(a, 2) ? 0 : UINT64_MAX >> 20);
        CHECK(s == PLC_OK || s == PLC_MISS || refused(a, s));
        return 100;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: do_get(a); return 100;
    default: return do_store(a, key);
    }
}

static void interrupt(int signal) {
    (void)signal;
    int error = errno;
    uint64_t amount = pick(&handler, 64) == 0 ? 12 * MIB : pick(&handler, 8) == 0 ? pick(&handler, MIB) : 1;
    for (uint64_t done = 0; done < amount;) {
        done += act(&handler);
    }
    stops++;
    arm();
    errno = error;
}

static void anywhere(void) {
    c = region_new(4 * MIB);
    thread.random = check_random();
    handler.random = check_random();
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "key-%u", i);
    }
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    uint64_t wanted = rounds(12000, 800);
    arm();
    while (stops < wanted) {
        (void)act(&thread);
        if (thread.again) {
            CHECK(plc_assist(c, 1) == PLC_OK);
            thread.again = false;
        }
    }
    action.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(timer_delete(timer) == 0);
    CHECK(counter_of(c, "corrupt_seen") == 0);
    (void)printf("  %" PRIu64 " stops, %" PRIu64 " values seen, %" PRIu64 " evictions, %" PRIu64 " reinserted\n", stops,
                 seen, counter_of(c, "evictions"), counter_of(c, "reinserted"));
    region_end(c, false);
}

static const struct check_test tests[] = {{"anywhere", anywhere}};

int main(void) {
    return RUN_TESTS(tests);
}
