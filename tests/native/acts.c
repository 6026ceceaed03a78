/* SPDX-License-Identifier: BSD-3-Clause */
/* acts.c: see acts.h. */
#include "acts.h"

#include "sweep.h"

uint32_t act_page;
uint16_t act_name;

static uint8_t value[LONG_BYTES];
static plc_flight flight;

uint32_t ready_placed(void) {
    (void)absent(scene, "nobody's");
    return my_slot(scene);
}

uint32_t ready_not(void) {
    return 0;
}

uint32_t ready_closed(void) {
    plc_close(scene);
    return 0;
}

uint32_t ready_claimed(void) {
    const plc_entry e = {.key = SUBJECT, .key_length = strlen(SUBJECT)};
    MUST(scene, plc_claim(scene, &e, 600000, &flight), PLC_OK);
    return my_slot(scene);
}

uint32_t ready_token(void) {
    plc_found found;
    CHECK_STATUS(get(scene, SUBJECT, value, sizeof value, &found), PLC_OK);
    flight.token = found.token;
    return my_slot(scene);
}

static plc_status put_as(plc_verb verb, const void *bytes, size_t n, uint64_t own_token) {
    const plc_part part = {bytes, n};
    const plc_entry e = {.key = SUBJECT,
                         .key_length = strlen(SUBJECT),
                         .parts = &part,
                         .part_count = 1,
                         .token = flight.token,
                         .sum = verb == PLC_PUBLISH ? flight.sum : 0,
                         .own_token = own_token};
    return AGAIN(scene, plc_store(scene, verb, &e, NULL));
}

static plc_status put(plc_verb verb, const void *bytes, size_t n) {
    return put_as(verb, bytes, n, 0);
}

/* The value is made where nobody steps: value_make is the test's, not the operation's. */
static uint32_t with_value(uint32_t slot, size_t n) {
    value_make(value, n, 0, SERIAL_NEW);
    return slot;
}

uint32_t ready_small(void) {
    return with_value(ready_placed(), SMALL_BYTES);
}

uint32_t ready_filling(void) {
    return with_value(ready_placed(), FILL_BYTES);
}

uint32_t ready_large(void) {
    return with_value(ready_placed(), LARGE_BYTES);
}

uint32_t ready_long(void) {
    return with_value(ready_placed(), LONG_BYTES);
}

uint32_t ready_swap(void) {
    return with_value(ready_token(), SMALL_BYTES);
}

uint32_t ready_swap_large(void) {
    return with_value(ready_token(), LARGE_BYTES);
}

uint32_t ready_publish(void) {
    return with_value(ready_claimed(), SMALL_BYTES);
}

plc_status act_set_small(void) {
    return put(PLC_SET, value, SMALL_BYTES);
}

plc_status act_set_filling(void) {
    return put(PLC_SET, value, FILL_BYTES);
}

plc_status act_set_large(void) {
    return put(PLC_SET, value, LARGE_BYTES);
}

plc_status act_set_long(void) {
    return put(PLC_SET, value, LONG_BYTES);
}

plc_status act_add(void) {
    return put(PLC_ADD, value, SMALL_BYTES);
}

plc_status act_replace(void) {
    return put(PLC_REPLACE, value, SMALL_BYTES);
}

plc_status act_swap(void) {
    return put(PLC_CAS, value, SMALL_BYTES);
}

plc_status act_remake(void) {
    return put(PLC_REMAKE, value, SMALL_BYTES);
}

/* With the token that there was: the value is the survivor's old one, or this. */
plc_status act_remake_large(void) {
    return put_as(PLC_REMAKE, value, LARGE_BYTES, flight.token);
}

plc_status act_set_own(void) {
    return put_as(PLC_SET, value, SMALL_BYTES, 5);
}

plc_status act_append(void) {
    return put(PLC_APPEND, "more", 4);
}

plc_status act_prepend(void) {
    return put(PLC_PREPEND, "more", 4);
}

plc_status act_publish(void) {
    return put(PLC_PUBLISH, value, SMALL_BYTES);
}

plc_status act_abandon(void) {
    return AGAIN(scene, plc_abandon(scene, SUBJECT, strlen(SUBJECT), flight.token));
}

plc_status act_incr(void) {
    uint64_t result;
    return AGAIN(scene, plc_incr(scene, SUBJECT, strlen(SUBJECT), 1, 0, &result));
}

plc_status act_touch(void) {
    return AGAIN(scene, plc_touch(scene, SUBJECT, strlen(SUBJECT), scene_deadline_ms));
}

plc_status act_take_out(void) {
    return AGAIN(scene, plc_delete(scene, SUBJECT, strlen(SUBJECT)));
}

plc_status act_look(void) {
    plc_found found;
    return get(scene, SUBJECT, value, sizeof value, &found);
}

plc_status act_peek(void) {
    plc_found found;
    return AGAIN(scene, plc_peek(scene, SUBJECT, strlen(SUBJECT), value, sizeof value, &found));
}

plc_status act_was_read(void) {
    uint32_t answer;
    return AGAIN(scene, plc_was_read(scene, SUBJECT, strlen(SUBJECT), &answer));
}

plc_status act_flush(void) {
    return AGAIN(scene, plc_flush(scene, 0));
}

plc_status act_flush_later(void) {
    return AGAIN(scene, plc_flush(scene, scene_deadline_ms));
}

plc_status act_invalidate(void) {
    return AGAIN(scene, plc_name_invalidate(scene, act_name));
}

plc_status act_make_name(void) {
    uint16_t number;
    return AGAIN(scene, plc_name(scene, "another name", 12, &number));
}

/* Until it is had: a dead one's is taken over when that is proved. */
plc_status act_claim(void) {
    const plc_entry e = {.key = SUBJECT, .key_length = strlen(SUBJECT)};
    plc_status s = AGAIN(scene, plc_claim(scene, &e, 600000, &flight));
    for (unsigned i = 0; s == PLC_CLAIMED && i < 50; i++) {
        s = plc_wait(scene, SUBJECT, strlen(SUBJECT), 20);
        s = s == PLC_OK ? AGAIN(scene, plc_claim(scene, &e, 600000, &flight)) : s;
    }
    return s;
}

plc_status act_attach(void) {
    plc_report report;
    const plc_options options = {.path = check_path("r"), .protection = check_protection()};
    return plc_open(&options, &scene, &report);
}

plc_status act_detach(void) {
    plc_close(scene);
    return PLC_OK;
}

plc_status act_adopt(void) {
    return absent(scene, "nobody's") ? PLC_OK : PLC_EXISTS;
}

plc_status act_create(void) {
    plc_report report;
    plc_cache *c;
    const plc_options options = {
        .path = check_path("new"), .protection = check_protection(), .size_bytes = PLC_SIZE_MIN, .create = 1};
    return plc_open(&options, &c, &report);
}

/* What every allocation does to the few pages that it sweeps: whose owner is in the way is asked after, and the next
 * one mends what the dead one left. */
plc_status act_mend(void) {
    plc_status s = PLC_OK;
    for (unsigned i = 0; i < 2 && s == PLC_OK; i++) {
        struct call k;
        s = call_enter(&k, scene);
        if (s == PLC_OK) {
            sweep_mend(&k, act_page);
            s = call_leave(&k, PLC_OK);
        }
    }
    return s;
}
