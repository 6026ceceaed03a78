/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spare.h: hints about room: where free pages are, which whole segments are kept in reserve for the copies of
 * an eviction, which runs are parked with room at their end.  Every hint is believed only if the page words
 * prove it, and what a death or an overwritten place loses is found again by the sweep (space.c).
 */
#ifndef PLC_SPARE_H
#define PLC_SPARE_H

#include "pages.h"

/* Free pages [page, page + n), with those that are free beside them: to the reserve if that wants whole
 * segments, the rest to the free ring. */
void spare_give(struct call *k, uint32_t page, uint32_t n);
/* Forms an empty OPEN run of at least min and at most want pages out of hinted free pages.  0: none. */
uint32_t spare_form(struct call *k, uint32_t min, uint32_t want, bool own);
/* The same out of the reserve (a whole segment). */
uint32_t spare_form_reserve(struct call *k);
/* Is this page one of a reserved segment? */
bool spare_reserved(const plc_cache *c, uint32_t page);
/* Is it free, and none of a reserved segment? */
bool spare_joins(const plc_cache *c, uint32_t page);
/* Whoever passes the first page of a reserved segment looks whether it is one: if pages of it are not free, or in two
 * of them (givers of neighbouring pages do not see each other), the reserve has less than it counts. */
void spare_mend(plc_cache *c, uint32_t page);
/* Are there more segments in reserve than this? */
bool spare_more_than(const struct call *k, unsigned least);
/* How many of them are for copies; what is beyond may be taken by anybody. */
unsigned spare_kept(const struct call *k);

/* Claims up to want consecutive free pages from page on; gives them back and returns 0 when under min. */
uint32_t spare_claim_from(struct call *k, uint32_t page, uint32_t min, uint32_t want);

/* The bounded list of runs that are parked, so that none is stranded.  A place, or -1: the list is full and
 * the run is to be sealed. */
int spare_park(struct call *k, uint32_t head);
uint32_t spare_parked(struct call *k, uint32_t place);

#endif
