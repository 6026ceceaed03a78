/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.h: hints about runs and pages: which run is the oldest, where free pages are, which runs have room,
 * which are kept in reserve.  Rings of hints: every entry is believed only if the page words prove it, and
 * what a death or an overwritten place loses is found again by the sweep (space.c).
 */
#ifndef PLC_QUEUE_H
#define PLC_QUEUE_H

#include "pages.h"

/* Puts a sealed run (or one in limbo) at the end of the main queue. */
void queue_put(struct call *k, uint32_t head, uint32_t gen);
/* Is the run named by the queue at the place that its side word says? */
bool queue_has(struct call *k, uint32_t head);
/* Takes the oldest hint.  0: none.  It may be anything by now. */
uint32_t queue_take(struct call *k);

/* Free pages [page, page + n): to the reserve if that wants it, else to the free ring. */
void queue_give(struct call *k, uint32_t page, uint32_t n);
/* Forms an empty OPEN run of at least min and at most want pages out of hinted free pages.  0: none. */
uint32_t queue_form(struct call *k, uint32_t min, uint32_t want, bool own);
/* The same out of the reserve (a whole segment). */
uint32_t queue_form_reserve(struct call *k);

/* Claims up to want consecutive free pages from page on; gives them back and returns 0 when under min. */
uint32_t queue_claim_from(struct call *k, uint32_t page, uint32_t min, uint32_t want);

/* The bounded list of runs that are parked, so that none is stranded.  A place, or -1: the list is full and
 * the run is to be sealed. */
int queue_park(struct call *k, uint32_t head);
uint32_t queue_parked(struct call *k, uint32_t place);

#endif
