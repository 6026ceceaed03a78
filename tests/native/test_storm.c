/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_storm.c: processes that are killed, or stopped, at whatever instruction they are at, under load, while the
 * parent and the others go on.  Nothing wrong is ever read; at the end check() finds nothing and every page is
 * given back.  The end of every child but a killed one is looked at, so that a wrong value seen there is a failure.
 * SOAK=1: fifty times as many.
 */
#include "soak.h"

#define CHILDREN 4u
#define KEYS 120u
#define BUFFER (2u * MIB)

static plc_cache *c;
static uint8_t buffer[BUFFER];
static uint64_t seen;

static bool refused(plc_status s) {
    return s == PLC_BUSY || s == PLC_FULL;
}

static size_t some_size(void) {
    switch (below(10)) {
    case 0: return 8 + below(300000);
    case 1: return 8 + below(40000);
    case 2: return 7000 + below(3000);
    default: return 8 + below(1200);
    }
}

/* One random operation.  Serials are unique to process and time, which value_serial does not mind. */
static void step(void) {
    char key[32];
    unsigned number = (unsigned)below(KEYS);
    uint64_t what = below(21), result = 0;
    plc_found found;
    plc_status s;
    size_t n = (size_t)snprintf(key, sizeof key, "key-%u", number);
    if (what < 8) {
        s = AGAIN(c, plc_get(c, key, n, 0, buffer, BUFFER, &found));
        CHECK(s == PLC_OK || s == PLC_MISS);
        CHECK(s != PLC_OK || value_serial(buffer, found.length, number) != UINT64_MAX);
        seen += s == PLC_OK ? 1 : 0;
    } else if (what < 16) {
        size_t length = some_size();
        value_make(buffer, length, number, check_random() >> 1);
        const plc_part part = {buffer, length};
        const plc_entry e = {.key = key, .key_length = n, .parts = &part, .part_count = 1};
        s = AGAIN(c, plc_store(c, below(3) ? PLC_SET : PLC_ADD, &e, NULL));
        CHECK(s == PLC_OK || s == PLC_EXISTS || refused(s));
    } else if (what == 16) {
        s = AGAIN(c, plc_delete(c, key, n));
        CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_BUSY);
    } else if (what == 17) {
        s = AGAIN(c, plc_touch(c, key, n, below(2) ? 0 : now_ms() + 3600 * 1000));
        CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
    } else if (what == 19) {
        s = AGAIN(c, plc_peek(c, key, n, buffer, BUFFER, &found));
        CHECK(s == PLC_OK || s == PLC_MISS);
        if (s == PLC_OK) {
            CHECK(value_serial(buffer, found.length, number) != UINT64_MAX);
            size_t length = some_size();
            value_make(buffer, length, number, check_random() >> 1);
            const plc_part part = {buffer, length};
            const plc_entry e = {.key = key, .key_length = n, .parts = &part, .part_count = 1, .token = found.token};
            s = AGAIN(c, plc_store(c, PLC_REMAKE, &e, NULL));
            CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_EXISTS || refused(s));
        }
    } else if (what == 18) {
        s = AGAIN(c, plc_incr(c, "number", 6, 1, 0, &result));
        CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
        if (s == PLC_MISS) {
            s = store(c, PLC_ADD, "number", "0", 1);
            CHECK(s == PLC_OK || s == PLC_EXISTS || refused(s));
        }
    } else {
        plc_flight flight;
        const plc_entry claim = {.key = "flight", .key_length = 6};
        s = AGAIN(c, plc_claim(c, &claim, 3600 * 1000, &flight));
        CHECK(s == PLC_OK || s == PLC_EXISTS || s == PLC_CLAIMED || refused(s));
        if (s == PLC_OK) {
            const plc_part part = {"done", 4};
            const plc_entry e = {.key = "flight",
                                 .key_length = 6,
                                 .parts = &part,
                                 .part_count = 1,
                                 .token = flight.token,
                                 .sum = flight.sum};
            s = AGAIN(c, plc_store(c, PLC_PUBLISH, &e, NULL));
            CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
            s = AGAIN(c, plc_delete(c, "flight", 6));
            CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_BUSY);
        }
    }
}

/* A child: attaches anew, says so, and works until it is killed, or told to end. */
static void load(struct peer_ends ends) {
    uint64_t go = await(ends.in);
    check_state = go;
    plc_close(c);
    c = region_named("r", 0, 0);
    CHECK(fcntl(ends.in, F_SETFL, O_NONBLOCK) == 0);
    tell(ends.out, 1);
    uint64_t told = 0;
    for (uint64_t i = 0; i % 64 != 0 || read(ends.in, &told, sizeof told) != sizeof told; i++) {
        (void)(i % 4096 == 0 ? alarm(HANG_SECONDS) : 0);
        step();
    }
    CHECK(findings_of(c) == 0 || told == 2);
    plc_close(c);
}

static struct peer children[CHILDREN];

static void child_start(unsigned i) {
    children[i] = peer_start(load);
    tell(children[i].to, check_random());
}

/* Waits until it has attached and works. */
static void child_ready(unsigned i) {
    CHECK(hear(children[i].from) == 1);
}

static void begin(uint64_t size) {
    c = region_new(size);
    seen = 0;
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    for (unsigned i = 0; i < CHILDREN; i++) {
        child_start(i);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        child_ready(i);
    }
}

static void end(const char *what, uint64_t times) {
    for (unsigned i = 0; i < CHILDREN; i++) {
        tell(children[i].to, 2);
        peer_done(&children[i]);
    }
    char name[64];
    (void)snprintf(name, sizeof name, "storm: %s", what != NULL ? what : "");
    if (what != NULL) {
        soak_line(name,
                  "%" PRIu64 " times; %" PRIu64 " values read beside it, 0 wrong; %" PRIu64 " evictions, %" PRIu64
                  " reaps, %" PRIu64 " locks and %" PRIu64 " claims taken over",
                  times, seen, counter_of(c, "evictions"), counter_of(c, "reaps"), counter_of(c, "lock_takeovers"),
                  counter_of(c, "claims_taken_over"));
    }
    CHECK(counter_of(c, "corrupt_seen") == 0);
    region_end(c, true);
}

/* Works on for a while that depends on nothing but chance, and on how the machine shares itself. */
static void work_on(uint64_t steps) {
    (void)alarm(HANG_SECONDS); /* for each */
    for (uint64_t i = 0; i < steps; i++) {
        step();
    }
}

static void kill_some(uint64_t kills) {
    for (uint64_t i = 0; i < kills; i++) {
        unsigned which = (unsigned)below(CHILDREN);
        work_on(below(150));
        peer_kill(&children[which]);
        work_on(below(20)); /* with the dead one's runs and locks lying about */
        child_start(which);
        child_ready(which);
    }
}

static void killed(void) {
    uint64_t kills = soak_rounds(3000, 60, 20);
    begin(4 * MIB);
    kill_some(kills);
    end("one is killed", kills);
}

static void killed_while_growing(void) {
    for (uint64_t left = soak_rounds(50, 3, 1); left > 0; left--) {
        begin(64 * MIB);
        kill_some(20);
        end(left > 1 ? NULL : "one is killed while the region grows", 20 * soak_rounds(50, 3, 1));
    }
}

/* All but the parent die at once, many times. */
static void all_killed(void) {
    uint64_t times = soak_rounds(1000, 20, 4);
    begin(8 * MIB);
    for (uint64_t i = 0; i < times; i++) {
        work_on(below(300));
        for (unsigned j = 0; j < CHILDREN; j++) {
            CHECK(kill(children[j].pid, SIGKILL) == 0);
        }
        work_on(200); /* they are not reaped yet */
        for (unsigned j = 0; j < CHILDREN; j++) {
            CHECK(WIFSIGNALED(peer_end(&children[j])));
            child_start(j);
        }
        for (unsigned j = 0; j < CHILDREN; j++) {
            child_ready(j);
        }
    }
    end("all but one are killed", times);
}

/* A stopped one holds what it holds, and nobody waits for it for ever; when it goes on, it is as if it had not
 * been stopped. */
static void stopped(void) {
    uint64_t times = soak_rounds(3000, 60, 12);
    begin(4 * MIB);
    for (uint64_t i = 0; i < times; i++) {
        unsigned which = (unsigned)below(CHILDREN);
        int status;
        CHECK(kill(children[which].pid, SIGSTOP) == 0);
        CHECK(waitpid(children[which].pid, &status, WUNTRACED) == children[which].pid && WIFSTOPPED(status));
        work_on(100 + below(1200));
        if (below(8) == 0) {
            CHECK(kill(children[which].pid, SIGKILL) == 0);
            CHECK(WIFSIGNALED(peer_end(&children[which])));
            child_start(which);
            child_ready(which);
        } else {
            CHECK(kill(children[which].pid, SIGCONT) == 0);
            work_on(below(50));
        }
    }
    end("one is stopped", times);
}

static const struct check_test tests[] = {
    {"killed", killed},
    {"killed_while_growing", killed_while_growing},
    {"all_killed", all_killed},
    {"stopped", stopped},
};

int main(void) {
    return RUN_TESTS(tests);
}
