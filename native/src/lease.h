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

/* Leases a run of which somebody has told the head and the generation, and which he keeps meanwhile: there need be no
 * slot that names it.  PLC_OK and *ticket; PLC_COPY; PLC_MISS: it is free, or another; PLC_BUSY: somebody is evicting
 * it, and has perhaps looked at the cells already.  pre: the same, and a look that has found that generation. */
plc_status lease_take_at(struct call *k, uint32_t head, uint32_t gen, uint64_t *ticket);

/* Holds a run that this call owns.  PLC_OK; PLC_FULL: no cell is free.  pre: the same. */
plc_status lease_own(struct call *k, const struct fill *f, uint64_t *ticket);

/* Gives a lease back.  The last one of a run opens a window, and frees the run if it is in limbo; the run stays if
 * there is no place for a call (false).  A ticket that means nothing here is given back as well.  Window closed.
 * pre: the same. */
bool lease_drop(plc_cache *c, uint64_t ticket);

/* The head and the generation of the run that a lease keeps.  False: the ticket means nothing here. */
bool lease_run(const plc_cache *c, uint64_t ticket, uint32_t *head, uint32_t *gen);

/* May the run at head, of so many pages, be held as well, whoever else holds it?  head 0: it is counted already.
 * Bounded work.  False: k->suspect is a process that holds some, to be asked after. */
bool lease_room(struct call *k, uint32_t head, uint64_t pages);

#endif
