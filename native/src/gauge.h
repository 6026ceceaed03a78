/* SPDX-License-Identifier: BSD-3-Clause */
/* gauge.h: what the pool holds, in bytes, by a bounded look. */
#ifndef PLC_GAUGE_H
#define PLC_GAUGE_H

#include "call.h"

/* Fills the byte counts of *stats.  At most GAUGE_PAGES page words are looked at, all of them in a pool of up to
 * 256 MiB: there the counts are exact if nobody changes anything meanwhile.  In a larger one used and free are what
 * every n-th page says, and the longest free stretch is the longest of what was never used and of what the ring of
 * free stretches names: there may be a longer one. */
#define GAUGE_PAGES 65536u
void gauge_read(struct call *k, plc_stats *stats);

#endif
