/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.h: where room for an entry comes from.  Small ones share segments: a parked run with room, free
 * pages, pages never used, the next step of memory, and at last the oldest run of the queue, evicted.  A
 * large one is placed where a hand that moves through the pool finds or makes room.  Every search is
 * bounded (G9); a sweep of a few pages per allocation finds again what deaths have lost.
 */
#ifndef PLC_SPACE_H
#define PLC_SPACE_H

#include "evict.h"

/* Longest value that this region can ever hold, bytes. */
uint64_t space_value_max(const plc_cache *c);

/* Opens a run with room for the entry s (f->own says whether for it alone).  s->options gets ENTRY_OWN where
 * it applies.  PLC_OK; PLC_AGAIN (memory is to be taken, or others were in the way); PLC_FULL.
 * pre: no pin and no lock held. */
plc_status space_prepare(struct call *k, struct spec *s, struct fill *f);

/* Looks at the next few pages: frees what the dead left, queues runs that no queue names. */
void space_sweep(struct call *k, uint32_t pages);

/* One page of the sweep: takes over what the dead left in it. */
void space_mend(struct call *k, uint32_t page);

#endif
