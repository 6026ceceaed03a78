/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flight.h: single flight.  A claim to compute a key IS an index entry under that key: publishing is the
 * swap that replaces it, so a set, a delete, an eviction or another's claim voids it by replacing or
 * removing it, and what was computed before is never stored over them.  Invalidation voids it by its
 * generation sum.  A claim of a dead owner, an overdue one and an invalidated one are taken over in place.
 */
#ifndef PLC_FLIGHT_H
#define PLC_FLIGHT_H

#include "store.h"

/* PLC_OK: mine; PLC_EXISTS: a value; PLC_CLAIMED: another's, flight->token is its; PLC_FULL, PLC_BUSY,
 * PLC_AGAIN.  pre: the call's key is set. */
plc_status flight_claim(struct call *k, const plc_entry *e, uint64_t limit_ms, plc_flight *flight);
plc_status flight_abandon(struct call *k, uint64_t token);
/* Is the key claimed by somebody?  Then k->suspect is its process, to be asked after. */
bool flight_claimed(struct call *k);

#endif
