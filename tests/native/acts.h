/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acts.h: what a victim does: how it makes itself ready, which is not stepped and returns its slot, and the act, which
 * is.  An act repeats itself while it is told PLC_AGAIN: what plc_assist does is part of it.
 */
#ifndef PLC_TEST_ACTS_H
#define PLC_TEST_ACTS_H

#include "scene.h"

#define FILL_BYTES 6000u /* nine of them in a segment */
#define LONG_BYTES 60000u

extern uint32_t act_page; /* a page that an earlier victim owned, to be mended */
extern uint16_t act_name; /* a namespace, to be invalidated */

/* In memory that survivor and victim have both: what the victim holds in place (ticket 0: nothing). */
extern plc_view *act_view;
void act_view_make(void);

uint32_t ready_placed(void);
uint32_t ready_not(void);
uint32_t ready_closed(void);
uint32_t ready_claimed(void);
uint32_t ready_token(void);
uint32_t ready_small(void);
uint32_t ready_filling(void);
uint32_t ready_large(void);
uint32_t ready_long(void);
uint32_t ready_swap(void);
uint32_t ready_swap_large(void);
uint32_t ready_publish(void);

plc_status act_set_small(void);
plc_status act_set_filling(void);
plc_status act_set_large(void);
plc_status act_set_long(void);
plc_status act_add(void);
plc_status act_replace(void);
plc_status act_swap(void);
plc_status act_remake(void);
plc_status act_remake_large(void);
plc_status act_set_own(void);
plc_status act_append(void);
plc_status act_prepend(void);
plc_status act_publish(void);
plc_status act_abandon(void);
plc_status act_incr(void);
plc_status act_touch(void);
plc_status act_take_out(void);
plc_status act_look(void);
plc_status act_peek(void);
plc_status act_was_read(void);
plc_status act_flush(void);
plc_status act_flush_later(void);
plc_status act_invalidate(void);
plc_status act_make_name(void);
plc_status act_claim(void);
plc_status act_attach(void);
plc_status act_detach(void);
plc_status act_adopt(void);
plc_status act_create(void);
plc_status act_mend(void);

/* Values in place: acts_inplace.c. */
uint32_t ready_leased(void);
uint32_t ready_leased_twice(void);
uint32_t ready_limbo(void);
uint32_t ready_limbo_shared(void);
uint32_t ready_leased_closed(void);
uint32_t ready_told(void);
uint32_t ready_told_limbo(void);
uint32_t ready_let_go(void);
uint32_t ready_let_go_large(void);
uint32_t ready_leased_large(void);
uint32_t ready_reserved(void);
uint32_t ready_sealed(void);
uint32_t ready_let_go_reserved(void);

plc_status act_lease(void);
plc_status act_lease_told(void);
plc_status act_release(void);
plc_status act_evict_subject(void);
plc_status act_reserve(void);
plc_status act_reserve_long(void);
plc_status act_seal(void);
plc_status act_abort(void);
plc_status act_end(void);
plc_status act_fill(void);
plc_status act_fork(void);
plc_status act_first_call(void);

#endif
