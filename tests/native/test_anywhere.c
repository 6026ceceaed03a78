/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_anywhere.c: a call that is stopped at any instruction while others work.  The processor is made to trap
 * after every instruction of this thread's calls, and now and then the handler, which has all the time in the
 * world, stores, deletes, counts and evicts through calls of its own, up to three times the pool.  Where there is
 * no such trap, a timer interrupts.
 * Keys of three kinds: written by the thread only, by the handler only, by both; both read all.  A value that was
 * replaced or deleted before a get began must not be seen by it, no step of a number may be lost.
 * (A call in a signal handler is one of the same thread: where the thread holds a lock, it answers BUSY.)
 */
#include "fixture.h"
#include "call.h"

#include <ucontext.h>

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define TRAPS 1
#define TRAP_FLAG 0x100
#else
#define TRAPS 0
#endif

#define KIND 150u
#define KEYS (3 * KIND) /* the thread's, both's, the handler's */
#define LARGEST 200000u
#define BUFFER (2u * LARGEST)
#define ACT_EVERY 8u /* instructions, on average */

static plc_cache *c;
static char names[KEYS][16];
static uint64_t low[KEYS]; /* oldest serial that may still be seen under the key */
static uint64_t serials, seen, stops, counted, recounts, moves;
static bool count_known;

struct actor {
    uint64_t random;
    unsigned first; /* of the keys that it writes */
    uint64_t largest;
    bool again; /* a call wants plc_assist: the thread's turn */
    uint8_t buffer[BUFFER];
};
static struct actor thread = {.first = 0, .largest = 9000}, handler = {.first = KIND, .largest = LARGEST};

/* What the thread is at, for the handler to aim at: with one act of `aim`. */
static unsigned at_key, aim = 2;
static uint64_t steps_left = UINT64_MAX;
static uint64_t at_serial; /* 0: it writes nothing */
static volatile sig_atomic_t stepping;

static uint64_t pick(struct actor *a, uint64_t n) {
    a->random = a->random * 6364136223846793005ull + 1442695040888963407ull;
    return (a->random >> 33) % n;
}

static void step_begin(struct actor *a) {
#if TRAPS
    if (a == &thread) {
        stepping = 1;
        __asm__ volatile("int3" ::: "memory");
    }
#else
    (void)a;
#endif
}

static void step_end(void) {
    stepping = 0;
}

/* A call of an actor: stepped through, if it is the thread's. */
#define CALL(actor, call)                                        \
    ({                                                           \
        step_begin(actor);                                       \
        plc_status called_ = (call);                             \
        if ((actor) == &thread) {                                \
            step_end();                                          \
        }                                                        \
        (actor)->again = (actor)->again || called_ == PLC_AGAIN; \
        called_;                                                 \
    })

static bool refused(plc_status s) {
    return s == PLC_BUSY || s == PLC_FULL || s == PLC_AGAIN;
}

/* ---- what both do --------------------------------------------------------------------------------- */

/* a has written the key: what is older than its serial is gone.  But what the handler writes while the thread is
 * writing the same key may come before what the thread writes. */
static void wrote(struct actor *a, unsigned key, uint64_t serial) {
    bool amid = a == &handler && at_serial != 0 && at_key == key;
    low[key] = amid ? at_serial : serial;
}

static void begin_write(struct actor *a, unsigned key, uint64_t serial) {
    if (a == &thread) {
        at_key = key;
        at_serial = serial;
    }
}

static void end_write(struct actor *a) {
    if (a == &thread) {
        at_serial = 0;
    }
}

static void do_get(struct actor *a, unsigned key) {
    uint64_t from = low[key];
    plc_found found;
    at_key = a == &thread ? key : at_key;
    plc_status s = CALL(a, plc_get(c, names[key], strlen(names[key]), 0, a->buffer, BUFFER, &found));
    CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_AGAIN);
    if (s == PLC_OK) {
        uint64_t serial = value_serial(a->buffer, found.length, key);
        CHECK(serial != UINT64_MAX);
        CHECK(serial >= from);
        seen++;
    }
}

static size_t write_value(struct actor *a, unsigned key, plc_verb verb, uint64_t token) {
    static const size_t most[] = {40, 300, 1000, 1000, 2000, 9000, 60000, LARGEST};
    size_t length = most[pick(a, sizeof most / sizeof most[0])];
    length = 8 + pick(a, length < a->largest ? length : 300);
    uint64_t serial = ++serials;
    value_make(a->buffer, length, key, serial);
    const plc_part part = {a->buffer, length};
    const plc_entry e = {
        .key = names[key], .key_length = strlen(names[key]), .parts = &part, .part_count = 1, .token = token};
    begin_write(a, key, serial);
    plc_status s = CALL(a, plc_store(c, verb, &e, NULL));
    CHECK(s == PLC_OK || s == PLC_MISS || refused(s) || (verb == PLC_REMAKE && s == PLC_EXISTS));
    if (s == PLC_OK) {
        wrote(a, key, serial);
    }
    end_write(a);
    return length;
}

static size_t do_store(struct actor *a, unsigned key) {
    return write_value(a, key, pick(a, 4) ? PLC_SET : PLC_REPLACE, 0);
}

/* Of whatever is there when it is looked at. */
static size_t do_remake(struct actor *a, unsigned key) {
    plc_found found;
    plc_status s = CALL(a, plc_peek(c, names[key], strlen(names[key]), NULL, 0, &found));
    CHECK(s == PLC_MISS || s == PLC_TOO_SMALL || refused(s));
    return s == PLC_TOO_SMALL ? write_value(a, key, PLC_REMAKE, found.token) : 100;
}

static void do_delete(struct actor *a, unsigned key) {
    uint64_t serial = ++serials;
    begin_write(a, key, serial);
    plc_status s = CALL(a, plc_delete(c, names[key], strlen(names[key])));
    CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
    if (s == PLC_OK || s == PLC_MISS) {
        wrote(a, key, serial);
    }
    end_write(a);
}

/* Every acknowledged step is in the number; when it was evicted, the thread begins it anew. */
static void do_count(struct actor *a) {
    uint64_t now = 0;
    plc_status s = CALL(a, plc_incr(c, "number", 6, 1, 0, &now));
    CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
    counted += s == PLC_OK ? 1 : 0;
    if (s == PLC_OK && a == &thread && count_known) {
        CHECK(now <= counted); /* the handler's steps in between may have come after */
    }
    if (s == PLC_MISS && a == &thread) {
        counted = 0;
        s = AGAIN(
            c, plc_store(c, PLC_SET,
                         &(plc_entry){.key = "number", .key_length = 6, .parts = &(plc_part){"0", 1}, .part_count = 1},
                         NULL));
        CHECK(s == PLC_OK || refused(s));
        count_known = s == PLC_OK;
    }
}

/* With nobody else at it. */
static void check_number(void) {
    plc_found found;
    char text[32] = "";
    plc_status s = get(c, "number", text, sizeof text - 1, &found);
    if (s == PLC_OK && count_known) {
        text[found.length] = 0;
        CHECK(strtoull(text, NULL, 10) == counted);
        recounts++;
    }
}

/* Which of the handler's keys is the first one in the run? */
static bool first_key(uint32_t head, uint64_t w) {
    struct entry e;
    char name[32];
    if (!entry_read_at(c, head, w, 0, &e) || e.spec.key_length >= sizeof name) {
        return false;
    }
    memcpy(name, e.spec.key, e.spec.key_length);
    name[e.spec.key_length] = 0;
    return sscanf(name, "key-%u", &at_key) == 1 && at_key >= KIND && at_key < KEYS;
}

/* The thread begins to move what a run holds into another one, as an eviction does with what was read. */
static void do_move(void) {
    struct call k;
    uint32_t head = c->geo.first_page + (uint32_t)pick(&thread, pages_limit(c) - c->geo.first_page);
    uint64_t w = word_acq(page_word(c, head));
    if (page_state(w) == PAGE_CONT) {
        head = page_cont_head(w);
        w = word_acq(page_word(c, head));
    }
    if ((page_state(w) != PAGE_SEALED && page_state(w) != PAGE_PARKED) || side_a_own(word_acq(page_side_a(c, head))) ||
        !first_key(head, w) || call_enter(&k, c) != PLC_OK) {
        return;
    }
    aim = 32;
    steps_left = 1500;
    step_begin(&thread);
    moves += evict_run(&k, head, EVICT_MOVE) == EVICT_FREED ? 1 : 0;
    step_end();
    aim = 2;
    steps_left = UINT64_MAX;
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
}

/* A step; about how many bytes were written. */
static size_t act(struct actor *a) {
    unsigned key = a->first + (unsigned)pick(a, 2 * KIND);
    if (a == &handler && pick(a, aim) == 0 && at_key >= a->first) {
        key = at_key;
    }
    plc_status s;
    switch (pick(a, 12)) {
    case 0:
    case 1: do_delete(a, key); return 100;
    case 2:
        s = CALL(a, plc_touch(c, names[key], strlen(names[key]), pick(a, 2) ? 0 : UINT64_MAX >> 20));
        CHECK(s == PLC_OK || s == PLC_MISS || refused(s));
        return 100;
    case 3:
    case 4:
    case 5: do_get(a, (unsigned)pick(a, KEYS)); return 100;
    case 6: do_count(a); return 100;
    case 7: return do_remake(a, key);
    default: return do_store(a, key);
    }
}

/* ---- the stops ------------------------------------------------------------------------------------ */

static void others_work(void) {
    uint64_t amount = pick(&handler, 1000) == 0 ? 12 * MIB : pick(&handler, 100) == 0 ? pick(&handler, MIB) : 1;
    for (uint64_t done = 0; done < amount;) {
        done += act(&handler);
    }
    stops++;
}

#if TRAPS
static void interrupt(int signal, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    int error = errno;
    (void)signal;
    (void)info;
    if (stepping && steps_left-- > 0) {
        u->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
        if (pick(&handler, ACT_EVERY) == 0) {
            others_work();
        }
    } else {
        u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    }
    errno = error;
}

static void stops_begin(void) {
    struct sigaction action = {.sa_sigaction = interrupt, .sa_flags = SA_RESTART | SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
}

static void stops_end(void) {
    CHECK(signal(SIGTRAP, SIG_DFL) != SIG_ERR);
}
#else
static timer_t timer;

static void arm(void) {
    const struct itimerspec once = {.it_value = {0, 1000 + (long)pick(&handler, 40000)}};
    CHECK(timer_settime(timer, 0, &once, NULL) == 0);
}

static void interrupt(int signal) {
    (void)signal;
    int error = errno;
    others_work();
    arm();
    errno = error;
}

static void stops_begin(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    arm();
}

static void stops_end(void) {
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    CHECK(timer_delete(timer) == 0);
}
#endif

static void anywhere(void) {
    c = region_new(4 * MIB);
    thread.random = check_random();
    handler.random = check_random();
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "key-%u", i);
    }
    for (unsigned i = 0; i < 4000; i++) { /* until the pool is full */
        (void)act(&handler);
        CHECK(!handler.again || plc_assist(c, 1) == PLC_OK);
        handler.again = false;
    }
    uint64_t wanted = rounds(TRAPS ? 40000 : 12000, TRAPS ? 8000 : 800);
    stops_begin();
    while (stops < wanted) {
        (void)act(&thread);
        if (thread.again || handler.again) {
            CHECK(plc_assist(c, 1) == PLC_OK);
            thread.again = handler.again = false;
        }
        if (TRAPS) {
            check_number();
        }
        for (unsigned i = 0; TRAPS && i < 4; i++) {
            do_move();
        }
    }
    stops_end();
    CHECK(counter_of(c, "corrupt_seen") == 0);
    (void)printf("  %" PRIu64 " stops, %" PRIu64 " values and %" PRIu64 " numbers seen, %" PRIu64 " evictions, %" PRIu64
                 " reinserted, %" PRIu64 " runs moved\n",
                 stops, seen, recounts, counter_of(c, "evictions"), counter_of(c, "reinserted"), moves);
    region_end(c, false);
}

static const struct check_test tests[] = {{"anywhere", anywhere}};

int main(void) {
    return RUN_TESTS(tests);
}
