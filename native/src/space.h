/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.h: where room for an entry comes from.  Small ones share segments: a parked run with room, free
 * pages, pages never used, the next step of memory, and at last what the policy lets go.  A large one is
 * placed where a hand that moves through the pool finds or makes room.  Every search is bounded (G9).
 */
#ifndef PLC_SPACE_H
#define PLC_SPACE_H

#include "hand.h"
#include "sweep.h"

/* Longest value that this region can ever hold, bytes. */
uint64_t space_value_max(const plc_cache *c);

/* Opens a run with room for the entry s (f->own says whether for it alone).  s->options gets ENTRY_OWN and ENTRY_PAGED
 * where they apply; with ENTRY_PAGED given it is a value that is to be filled in place: always both.  PLC_OK; PLC_AGAIN
 * (memory is to be taken, or others were in the way); PLC_FULL.  pre: no pin and no lock held. */
plc_status space_prepare(struct call *k, struct spec *s, struct fill *f);

#endif
