/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sweep.h: finds again what deaths and lost hints have left behind: a few pages per allocation, so that the
 * whole pool is gone through as it turns over.
 */
#ifndef PLC_SWEEP_H
#define PLC_SWEEP_H

#include "evict.h"

/* Looks at the next few pages: frees what the dead left, queues runs that no queue names. */
void sweep_some(struct call *k, uint32_t pages);
/* One page of the sweep: takes over what the dead left in it. */
void sweep_mend(struct call *k, uint32_t page);
/* A tail whose word was w: frees it if its run is gone. */
void sweep_tail(struct call *k, uint32_t page, uint64_t w);

#endif
