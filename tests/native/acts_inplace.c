/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acts_inplace.c: what a victim does with values in place: it reads them, lets them go, takes them from others who read
 * them, fills them, forks while it reads.
 */
#include "acts.h"

#include "evict.h"
#include "forks.h"
#include "inplace.h"

#include <sys/mman.h>

plc_view *act_view;

static plc_view second;
static plc_reservation *reservation;
static uint8_t *filled;
static uint32_t head; /* of the subject's run */
static uint64_t told_run, told_token;

void act_view_make(void) {
    act_view = mmap(NULL, sizeof *act_view, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(act_view != MAP_FAILED);
}

/* ---- ready ------------------------------------------------------------------------------------------- */

uint32_t ready_leased(void) {
    CHECK_STATUS(lease(scene, SUBJECT, act_view), PLC_OK);
    return my_slot(scene);
}

uint32_t ready_leased_twice(void) {
    CHECK_STATUS(lease(scene, SUBJECT, &second), PLC_OK);
    return ready_leased();
}

uint32_t ready_leased_large(void) {
    (void)ready_leased();
    return ready_large();
}

uint32_t ready_limbo(void) {
    (void)ready_leased();
    (void)act_take_out();
    return my_slot(scene);
}

/* Others read it still. */
uint32_t ready_limbo_shared(void) {
    uint32_t slot = ready_placed();
    *act_view = scene_held;
    (void)act_take_out();
    return slot;
}

uint32_t ready_leased_closed(void) {
    uint32_t slot = ready_leased();
    plc_close(scene);
    return slot;
}

/* Others read it, this one does not. */
uint32_t ready_let_go(void) {
    uint32_t page = (uint32_t)((uint64_t)((const uint8_t *)scene_held.bytes - scene->view) >> PAGE_SHIFT);
    uint64_t w = word_acq(page_word(scene, page));
    head = page_state(w) == PAGE_CONT ? page_cont_head(w) : page;
    plc_release(scene, &scene_held);
    return my_slot(scene);
}

/* The same, and it was told where the value lies. */
uint32_t ready_told(void) {
    plc_found found;
    CHECK_STATUS(AGAIN(scene, plc_lease(scene, SUBJECT, strlen(SUBJECT), 0, &second, &found)), PLC_OK);
    CHECK_STATUS(plc_view_run(scene, &second, &told_run), PLC_OK);
    told_token = found.token;
    plc_release(scene, &second);
    return ready_let_go();
}

uint32_t ready_told_limbo(void) {
    uint32_t slot = ready_told();
    (void)act_take_out();
    return slot;
}

uint32_t ready_let_go_large(void) {
    (void)ready_let_go();
    return ready_large();
}

uint32_t ready_reserved(void) {
    CHECK_STATUS(reserve(scene, SUBJECT, LARGE_BYTES, &reservation, &filled), PLC_OK);
    value_make(filled, LARGE_BYTES, 0, SERIAL_NEW);
    return my_slot(scene);
}

uint32_t ready_let_go_reserved(void) {
    (void)ready_let_go();
    return ready_reserved();
}

uint32_t ready_sealed(void) {
    (void)ready_reserved();
    CHECK_STATUS(seal(scene, reservation), PLC_OK);
    return my_slot(scene);
}

/* ---- acts -------------------------------------------------------------------------------------------- */

plc_status act_lease(void) {
    return lease(scene, SUBJECT, act_view);
}

plc_status act_lease_told(void) {
    plc_found found;
    return AGAIN(scene, plc_lease_at(scene, told_run, told_token, act_view, &found));
}

plc_status act_release(void) {
    plc_release(scene, act_view);
    return PLC_OK;
}

/* What a drain does to each run, to this one alone. */
plc_status act_evict_subject(void) {
    struct call k;
    plc_status s = call_enter(&k, scene);
    if (s == PLC_OK) {
        (void)evict_run(&k, head, EVICT_ALL);
        s = call_leave(&k, PLC_OK);
    }
    return s;
}

plc_status act_reserve(void) {
    return reserve(scene, SUBJECT, LARGE_BYTES, &reservation, &filled);
}

plc_status act_reserve_long(void) {
    return reserve(scene, SUBJECT, LONG_BYTES, &reservation, &filled);
}

plc_status act_seal(void) {
    return seal(scene, reservation);
}

plc_status act_abort(void) {
    plc_abort(scene, reservation);
    return PLC_OK;
}

plc_status act_end(void) {
    plc_reservation_end(scene, reservation);
    return PLC_OK;
}

/* All of it, with a word here and there filled in by steps. */
plc_status act_fill(void) {
    plc_status s = reserve(scene, SUBJECT, SMALL_BYTES, &reservation, &filled);
    if (s == PLC_OK) {
        value_make(filled, SMALL_BYTES, 0, SERIAL_NEW);
        s = seal(scene, reservation);
        plc_reservation_end(scene, reservation);
    }
    return s;
}

/* What a fork does in the process that forks, without its child: it is as one that dies at once. */
plc_status act_fork(void) {
    forks_before();
    forks_parent();
    return PLC_OK;
}

/* A fork child's, with a place that its parent has made for it: what it has inherited it keeps. */
plc_status act_first_call(void) {
    plc_status s = act_adopt();
    *act_view = scene_held;
    return s;
}
