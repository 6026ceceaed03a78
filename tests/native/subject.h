/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subject.h: the one key that a test is about, looked at with the core's own functions: which slot names it, and so
 * which run it lies in; and an eviction of that run, now.
 */
#ifndef PLC_TEST_SUBJECT_H
#define PLC_TEST_SUBJECT_H

#include "fixture.h"
#include "call.h"
#include "evict.h"

#define SUBJECT "K"

/* From here on k is good for asking where the subject is, and no call is under way. */
__attribute__((unused)) static void subject_look(plc_cache *c, struct call *k) {
    CHECK_STATUS(call_enter(k, c), PLC_OK);
    CHECK_STATUS(index_key(k, SUBJECT, strlen(SUBJECT)), PLC_OK);
    CHECK_STATUS(call_leave(k, PLC_OK), PLC_OK);
}

/* 0: it is in none. */
__attribute__((unused)) static uint64_t subject_slot(const struct call *k) {
    for (unsigned way = 0; way < INDEX_WAYS; way++) {
        uint64_t v = word_acq(index_slot(k, way));
        if (v != 0 && slot_tag(v) == k->tag) {
            return v;
        }
    }
    return 0;
}

__attribute__((unused)) static plc_status evict_now(plc_cache *c, uint32_t run, enum evict_mode mode) {
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    (void)evict_run(&k, run, mode);
    return call_leave(&k, PLC_OK);
}

#endif
