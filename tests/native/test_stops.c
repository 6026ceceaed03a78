/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_stops.c: a process that is stopped (SIGSTOP) at an instruction at which it holds a shard's lock, in each
 * operation that takes one.  It is stepped there by ptrace, and then let go with the signal.  Meanwhile
 *   - every key is read as ever: no read is told to come again, or gives up;
 *   - writers of other shards, and of keys of that shard that are there, do not notice it;
 *   - who needs the lock waits for so many slices at most, then has PLC_BUSY and nothing was changed, and behind the
 *     same word the next ones have it at once.
 * When it goes on it finishes, or finds that it was overtaken; nothing that the others did is lost.
 * Threatens G1 and the order of `lock` in layout.h.  SOAK=1: every instruction at which a lock is held (of which ROUNDS
 * says how many percent).
 */
#include "puppet.h"
#include "soak.h"

#define KEYS 64u
#define SLICES_MOST 30u /* of 20 ms: the wait for a lock ends after 250 ms */
#define LARGE 20000u    /* a value with a run of its own */
#define STEPS_MOST 2000000u

static plc_cache *c;
static uint8_t large[LARGE], buffer[4 * LARGE];
static const char *const subject = "subject"; /* the key that the stopped one is at work on */
static uint64_t reads, writes, busy, places;

/* ---- what is done with the lock held --------------------------------------------------------------- */

static plc_status op_set(void) {
    return store(c, PLC_SET, subject, "new", 3);
}

static plc_status op_add(void) {
    return store(c, PLC_ADD, subject, "new", 3);
}

static plc_status op_set_large(void) {
    return store(c, PLC_SET, subject, large, LARGE);
}

static plc_status op_claim(void) {
    plc_flight flight;
    const plc_entry e = {.key = subject, .key_length = strlen(subject)};
    return AGAIN(c, plc_claim(c, &e, 600000, &flight));
}

static plc_status op_touch(void) {
    return AGAIN(c, plc_touch(c, subject, strlen(subject), now_ms() + 3600000));
}

static plc_status op_append(void) {
    return store(c, PLC_APPEND, subject, "tail", 4);
}

static plc_status op_remake(void) {
    plc_found found;
    plc_status s = AGAIN(c, plc_peek(c, subject, strlen(subject), NULL, 0, &found));
    CHECK_STATUS(s, PLC_TOO_SMALL);
    const plc_part part = {"new", 3};
    const plc_entry e = {
        .key = subject, .key_length = strlen(subject), .parts = &part, .part_count = 1, .token = found.token};
    return AGAIN(c, plc_store(c, PLC_REMAKE, &e, NULL));
}

static const struct operation {
    const char *name;
    plc_status (*act)(void);
    bool there; /* the subject is there before, with a run of its own and a deadline */
} operations[] = {
    {"set", op_set, false},      {"add", op_add, false},    {"set large", op_set_large, false},
    {"claim", op_claim, false},  {"touch", op_touch, true}, {"append", op_append, true},
    {"remake", op_remake, true},
};

/* ---- stopping --------------------------------------------------------------------------------------- */

static const struct operation *operation;

static void acts(struct peer_ends ends) {
    c = puppet_attach(ends, c);
    CHECK(raise(SIGTRAP) == 0);
    plc_status s = operation->act();
    tell(ends.out, (uint64_t)s);
    (void)await(ends.in);
    plc_close(c);
}

static uint32_t shard_of(const char *key) {
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, key, strlen(key)), PLC_OK);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    return k.shard;
}

static bool holds_lock(uint32_t slot) {
    return lock_slot(word_acq(&c->locks[shard_of(subject)])) == slot;
}

/* Steps it to the n-th instruction behind its locking, and leaves it stopped.  False: it has unlocked before. */
static bool stop_at(struct peer *p, uint32_t slot, uint64_t n) {
    trace_wait(p->pid);
    for (uint64_t i = 0; !holds_lock(slot); i++) {
        CHECK(i < STEPS_MOST);
        trace_step(p->pid);
    }
    uint64_t i = 0;
    for (; i < n && holds_lock(slot); i++) {
        trace_step(p->pid);
    }
    bool held = holds_lock(slot);
    trace_leave_stopped(p->pid);
    return held;
}

/* ---- meanwhile --------------------------------------------------------------------------------------- */

static void key_name(char key[32], uint64_t i) {
    (void)snprintf(key, 32, "key-%" PRIu64, i);
}

/* plc_get itself, not repeated: a read that is to come again would be delayed. */
static void readers_go_on(void) {
    char key[32];
    plc_found found;
    uint64_t again = counter_of(c, "again"), contended = counter_of(c, "contended"), waits = counter_of(c, "waits");
    for (unsigned i = 0; i < KEYS; i++) {
        key_name(key, i);
        CHECK_STATUS(plc_get(c, key, strlen(key), 0, buffer, sizeof buffer, &found), PLC_OK);
        CHECK(value_serial(buffer, found.length, i) != UINT64_MAX);
        reads++;
    }
    plc_status s = plc_get(c, subject, strlen(subject), 0, buffer, sizeof buffer, &found);
    CHECK(s == PLC_OK || s == PLC_MISS);
    CHECK(counter_of(c, "again") == again && counter_of(c, "contended") == contended);
    CHECK(counter_of(c, "waits") == waits);
}

static void write_one(const char *key, uint64_t number, plc_verb verb) {
    value_make(buffer, 100, number, check_random() >> 1);
    const plc_part part = {buffer, 100};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    CHECK_STATUS(plc_store(c, verb, &e, NULL), PLC_OK);
    writes++;
}

/* Keys of all shards that are there; absent ones of other shards, stored and deleted. */
static void writers_go_on(void) {
    char key[32];
    uint64_t again = counter_of(c, "again");
    for (unsigned i = 0; i < KEYS; i++) {
        key_name(key, i);
        write_one(key, i, i % 3 == 0 ? PLC_REPLACE : PLC_SET);
        key_name(key, 1000 + i);
        if (shard_of(key) != shard_of(subject)) {
            write_one(key, 1000 + i, PLC_ADD);
            CHECK_STATUS(plc_delete(c, key, strlen(key)), PLC_OK);
        }
    }
    CHECK(counter_of(c, "again") == again);
}

/* How many slices a writer waits before it is refused. */
static unsigned refused_after(const char *key) {
    const plc_part part = {"value", 5};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    unsigned slices = 0;
    plc_status s;
    while ((s = plc_store(c, PLC_SET, &e, NULL)) == PLC_AGAIN) {
        CHECK(++slices <= SLICES_MOST);
        CHECK_STATUS(plc_assist(c, 50), PLC_OK);
    }
    CHECK_STATUS(s, PLC_BUSY);
    CHECK(absent(c, key));
    busy++;
    return slices;
}

static void writers_of_that_shard_are_refused(void) {
    char key[32];
    uint64_t i = 2000;
    do {
        key_name(key, i++);
    } while (shard_of(key) != shard_of(subject));
    uint64_t began = soak_clock();
    CHECK(refused_after(key) > 0);
    CHECK(soak_clock() - began < 2000000);
    unsigned slices = 0;
    for (unsigned times = 0; times < 20; times++) { /* the word is remembered: for a second nobody waits for it */
        slices += refused_after(key);
    }
    CHECK(slices <= SLICES_MOST * 3);
}

/* ---- one place --------------------------------------------------------------------------------------- */

static void prepare(void) {
    char key[32];
    for (unsigned i = 0; i < KEYS; i++) {
        key_name(key, i);
        value_make(buffer, 100 + 30 * i, i, 1);
        CHECK_STATUS(store(c, PLC_SET, key, buffer, 100 + 30 * i), PLC_OK);
    }
    plc_status s = AGAIN(c, plc_delete(c, subject, strlen(subject)));
    CHECK(s == PLC_OK || s == PLC_MISS);
    if (operation->there) {
        const plc_part part = {large, LARGE};
        const plc_entry e = {.key = subject,
                             .key_length = strlen(subject),
                             .parts = &part,
                             .part_count = 1,
                             .deadline_ms = now_ms() + 600000};
        MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    }
}

/* The subject as it is found: whole, whichever operation's value it is. */
static void subject_is_whole(void) {
    plc_found found;
    plc_status s = get(c, subject, buffer, sizeof buffer, &found);
    CHECK(s == PLC_OK || s == PLC_MISS);
    if (s == PLC_OK && found.length < 100) {
        CHECK(found.length == 3 && memcmp(buffer, "new", 3) == 0);
    } else if (s == PLC_OK) {
        CHECK(memcmp(buffer, large, LARGE) == 0);
        CHECK(found.length == LARGE || (found.length == LARGE + 4 && memcmp(buffer + LARGE, "tail", 4) == 0));
    }
}

/* Stops it at the n-th instruction with the lock held.  False: there are not so many. */
static bool stopped_at(uint64_t n, bool overtake) {
    (void)alarm(HANG_SECONDS);
    prepare();
    struct peer p = peer_start(acts);
    tell(p.to, 1);
    uint32_t slot = (uint32_t)hear(p.from);
    bool held = stop_at(&p, slot, n);
    if (held) {
        readers_go_on();
        writers_go_on();
        writers_of_that_shard_are_refused();
        subject_is_whole();
        if (overtake) { /* what it is at work on goes meanwhile, if it is there */
            plc_status s = AGAIN(c, plc_delete(c, subject, strlen(subject)));
            CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_BUSY);
        }
        readers_go_on();
        CHECK(holds_lock(slot));
        places++;
    }
    CHECK(kill(p.pid, SIGCONT) == 0);
    plc_status s = (plc_status)hear(p.from);
    CHECK(s == PLC_OK || (overtake && s == PLC_MISS));
    CHECK(word_acq(&c->locks[shard_of(subject)]) == 0);
    subject_is_whole();
    readers_go_on();
    CHECK(findings_of(c) == 0);
    CHECK_STATUS(store(c, PLC_SET, subject, "new", 3), PLC_OK);
    tell(p.to, 1);
    peer_done(&p);
    return held;
}

static void stopped(void) {
    if (!trace_allowed()) {
        check_skip("stops at every place with a lock held (ptrace is not permitted)");
        return;
    }
    c = region_new(4 * MIB);
    CHECK(c->geo.shards > 1);
    memset(large, 'L', LARGE);
    for (unsigned o = 0; o < sizeof operations / sizeof *operations; o++) {
        uint64_t before = places;
        operation = &operations[o];
        if (soaking()) {
            uint64_t apart = 100 / soak_rounds(100, 0, 0);
            for (uint64_t n = 0; stopped_at(n * (apart > 1 ? apart : 1), n % 2 != 0); n++) {
            }
        } else { /* at once, somewhere, and as far as one comes */
            CHECK(stopped_at(0, false));
            for (uint64_t i = 0; i < rounds(2, 1); i++) {
                (void)stopped_at(1 + below(250), i % 2 == 0);
            }
        }
        (void)printf("  %s: %" PRIu64 " places\n", operation->name, places - before);
    }
    soak_line("SIGSTOP with a shard lock held",
              "%" PRIu64 " instructions in 7 operations; %" PRIu64 " reads, none delayed; %" PRIu64
              " writes beside it; %" PRIu64 " refused, after at most %u slices of 20 ms",
              places, reads, writes, busy, SLICES_MOST);
    region_end(c, true);
}

static const struct check_test tests[] = {
    {"stopped", stopped},
};

int main(void) {
    return RUN_TESTS(tests);
}
