/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_arguments.c: a caller's key and the lengths of its parts change while the operation is at work on them (puppet.h):
 * what was checked is what is used.  Threatens G5.
 */
#include "puppet.h"

static uint8_t lent[256 * 1024];

static plc_status with_parts(plc_verb verb) {
    const plc_entry e = {.key = task->key, .key_length = sizeof task->key, .parts = task->parts, .part_count = 2};
    return AGAIN(common, plc_store(common, verb, &e, NULL));
}

static plc_status given(void) {
    return with_parts(PLC_SET);
}

static plc_status given_more(void) {
    return with_parts(PLC_APPEND);
}

/* With the token that it has, whatever the key is by then. */
static plc_status given_again(void) {
    plc_found found;
    const plc_part part = {"41", 2};
    plc_entry e = {.key = task->key, .key_length = sizeof task->key, .parts = &part, .part_count = 1, .own_token = 5};
    plc_status s = AGAIN(common, plc_store(common, PLC_SET, &e, NULL));
    e.parts = task->parts;
    e.part_count = 2;
    e.token = 5;
    s = s == PLC_OK ? AGAIN(common, plc_peek(common, task->key, sizeof task->key, NULL, 0, &found)) : s;
    s = s == PLC_TOO_SMALL ? AGAIN(common, plc_store(common, PLC_REMAKE, &e, NULL)) : s;
    return s == PLC_EXISTS ? PLC_OK : s; /* the other key's */
}

/* Filled in place: it is published under the key that it was reserved under. */
static plc_status given_in_place(void) {
    const plc_entry e = {.key = task->key, .key_length = sizeof task->key};
    plc_reservation *r;
    void *bytes;
    plc_status s = AGAIN(common, plc_reserve(common, &e, 100, &r, &bytes));
    if (s == PLC_OK) {
        memset(bytes, 'z', 100);
        s = AGAIN(common, plc_seal(common, r, 0, NULL));
        plc_reservation_end(common, r);
    }
    return s;
}

static void arguments(void) {
    memcpy(task->key, "argument", sizeof task->key);
    task->parts[0] = (plc_part){lent, 40};
    task->parts[1] = (plc_part){lent, 60};
}

/* Its key and the lengths of its parts change while it is at work, so many instructions apart: what was checked is what
 * is used. */
static void changed_under_it(plc_status (*act)(void), unsigned apart) {
    puppet_start();
    puppet_recycle_pool(); /* its run has neighbours */
    bool there = true;
    for (unsigned n = (unsigned)below(apart); there; n += SANITIZED ? 12 * apart : apart) {
        (void)alarm(HANG_SECONDS);
        arguments();
        CHECK_STATUS(store(common, PLC_SET, "argument", "41", 2), PLC_OK);
        CHECK_STATUS(store(common, PLC_SET, "brgument", "41", 2), PLC_OK);
        puppet_task(act);
        there = puppet_go(n);
        task->key[0] = 'b';
        task->parts[0].length = sizeof lent;
        puppet_let_go();
        CHECK(task->status == PLC_OK || task->status == PLC_TOO_LARGE);
        CHECK(findings_of(common) == 0);
    }
    CHECK(counter_of(common, "corrupt_seen") == 0);
    puppet_end();
}

static void changing_arguments(void) {
    memset(lent, 'z', sizeof lent);
    changed_under_it(given, 13);
    changed_under_it(given_more, 13);
    changed_under_it(given_again, 29);
    changed_under_it(given_in_place, 197);
}

static const struct check_test tests[] = {
    {"changing_arguments", changing_arguments},
};

int main(void) {
    return trace_needed() ? RUN_TESTS(tests) : 77;
}
