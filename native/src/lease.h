/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lease.h: holding a run in place, in the region and in this process's own table: as a reader of its value, or as who
 * has filled it and may still look at it.  A lease is a pin in the reader's own row, never a count that processes
 * share: so a dead process's leases are gone with its incarnation.
 */
#ifndef PLC_LEASE_H
#define PLC_LEASE_H

#include "call.h"
#include "holding.h"

/* Leases the value that was found and is pinned by the call.  PLC_OK and *ticket; PLC_COPY: the limits are reached;
 * PLC_BUSY: the slot has changed, look again.  pre: holding's lock held. */
plc_status lease_take(struct call *k, const struct hit *hit, uint64_t *ticket);

/* Holds a run that this call owns.  PLC_OK; PLC_FULL: no cell is free.  pre: the same. */
plc_status lease_own(struct call *k, const struct fill *f, uint64_t *ticket);

/* Gives a lease back.  The last one of a run opens a window, and frees the run if it is in limbo; the run stays if
 * there is no place for a call (false).  A ticket that means nothing here is given back as well.  Window closed.
 * pre: the same. */
bool lease_drop(plc_cache *c, uint64_t ticket);

/* Pages that all processes hold in place, or fill: each run once. */
uint64_t lease_pages(const plc_cache *c);
/* May a run of so many pages be held as well?  At head, if it is a value, for others may hold it already; else 0.
 * Bounded work.  False: k->suspect is a process that holds something, to be asked after. */
bool lease_room(struct call *k, uint32_t head, uint64_t pages);

#endif
