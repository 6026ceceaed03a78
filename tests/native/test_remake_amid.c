/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_remake_amid.c: another process is stopped amid a remake (puppet.h), and meanwhile the entry gets another
 * deadline, or is invalidated.  Whichever came first, a new deadline stays, and what is over is over.
 * Threatens the order of `lock` in layout.h: a value with a run of its own gets its deadline in place.
 */
#include "puppet.h"

#define LARGE 9000u /* has a run of its own */
#define TOKEN 99u

static uint8_t bytes[LARGE];
static uint64_t later_ms; /* of all this test */
static uint16_t name;

/* ---- what the puppet does ------------------------------------------------------------------------- */

static plc_status remade(size_t length, bool renews) {
    const plc_part part = {bytes, length};
    const plc_entry e = {.key = SUBJECT,
                         .key_length = strlen(SUBJECT),
                         .parts = &part,
                         .part_count = 1,
                         .deadline_ms = later_ms + 1,
                         .token = TOKEN,
                         .options = renews ? PLC_NEW_DEADLINE : 0};
    return AGAIN(common, plc_store(common, PLC_REMAKE, &e, NULL));
}

static plc_status act_small(void) {
    return remade(5, false);
}

static plc_status act_large(void) {
    return remade(LARGE, false);
}

static plc_status act_small_renewed(void) {
    return remade(5, true);
}

static plc_status act_large_renewed(void) {
    return remade(LARGE, true);
}

/* ---- what happens meanwhile ------------------------------------------------------------------------ */

enum meanwhile { TOUCHED, ENDED, INVALIDATED, FLUSHED, MEANWHILES };

static plc_status do_meanwhile(enum meanwhile what) {
    switch (what) {
    case TOUCHED: return AGAIN(common, plc_touch(common, SUBJECT, strlen(SUBJECT), later_ms));
    case ENDED: return AGAIN(common, plc_touch(common, SUBJECT, strlen(SUBJECT), 1));
    case INVALIDATED: return AGAIN(common, plc_name_invalidate(common, name));
    default: return AGAIN(common, plc_flush(common, 0));
    }
}

static void set_subject(size_t length) {
    const plc_part part = {bytes, length};
    const plc_entry e = {.key = SUBJECT,
                         .key_length = strlen(SUBJECT),
                         .parts = &part,
                         .part_count = 1,
                         .name = name,
                         .own_token = TOKEN};
    MUST(common, plc_store(common, PLC_SET, &e, NULL), PLC_OK);
}

/* Is it so, though nobody knows which of the two came first?  renewed: the remake's deadline may be there as well. */
static void as_it_must_be(enum meanwhile what, plc_status done, bool renewed) {
    plc_found found;
    plc_status s = AGAIN(common, plc_peek(common, SUBJECT, strlen(SUBJECT), NULL, 0, &found));
    if (done == PLC_BUSY) { /* the puppet holds the lock: nothing was changed */
        CHECK(what <= ENDED && task->status == PLC_OK && s == PLC_TOO_SMALL);
        return;
    }
    CHECK_STATUS(done, PLC_OK);
    CHECK(task->status == PLC_OK || (what != TOUCHED && task->status == PLC_MISS));
    CHECK(s == (what == TOUCHED ? PLC_TOO_SMALL : PLC_MISS));
    CHECK(s != PLC_TOO_SMALL || found.deadline_ms == later_ms || (renewed && found.deadline_ms == later_ms + 1));
}

static void stopped_amid(plc_status (*act)(void), size_t length, enum meanwhile what, unsigned n) {
    (void)alarm(HANG_SECONDS);
    set_subject(length);
    puppet_task(act);
    (void)puppet_go(n);
    plc_status done = do_meanwhile(what);
    puppet_let_go();
    as_it_must_be(what, done, act == act_small_renewed || act == act_large_renewed);
}

/* How many instructions it is. */
static unsigned steps_of(plc_status (*act)(void), size_t length) {
    unsigned n = 0;
    set_subject(length);
    puppet_task(act);
    while (puppet_go(1)) {
        CHECK(++n < PUPPET_STEPS_MOST);
    }
    puppet_let_go();
    return n;
}

/* One stop in each of as many equal parts of it, so that two are never further apart than two parts. From the look at
 * the old entry to the lock are 1,000 instructions and more, of some 6,000: 16 stops cannot miss them. */
static void stopped(plc_status (*act)(void), size_t length) {
    uint64_t all = steps_of(act, length), stops = rounds(16, 2);
    for (unsigned what = TOUCHED; what < MEANWHILES; what++) {
        for (uint64_t i = 0; i < stops; i++) {
            stopped_amid(act, length, (enum meanwhile)what, (unsigned)((all * i + below(all)) / stops));
        }
    }
}

static void amid(void) {
    later_ms = now_ms() + 24 * 3600 * 1000;
    puppet_start();
    CHECK_STATUS(plc_name(common, "namespace", 9, &name), PLC_OK);
    stopped(act_small, LARGE);
    stopped(act_large, LARGE);
    stopped(act_small_renewed, LARGE);
    stopped(act_large_renewed, LARGE);
    stopped(act_small, 5);
    stopped(act_large_renewed, 5);
    CHECK(findings_of(common) == 0);
    puppet_end();
}

static const struct check_test tests[] = {
    {"amid", amid},
};

/* A copy by one instruction that repeats itself is a stop for each byte: copies by many are asked for. */
int main(int argc, char **argv) {
    static const char *const tunables = "GLIBC_TUNABLES";
    (void)argc;
    if (getenv(tunables) == NULL && setenv(tunables, "glibc.cpu.x86_rep_movsb_threshold=0x1000000", 1) == 0) {
        (void)execv("/proc/self/exe", argv); /* else it only takes longer */
    }
    return trace_needed() ? RUN_TESTS(tests) : 77;
}
