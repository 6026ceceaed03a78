/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clean.h: room out of dead bytes: a segment of which little is live is emptied by copying that, so that nothing
 * living is evicted while the pool is full of what was replaced.  Marks and queues stay as they are.
 */
#ifndef PLC_CLEAN_H
#define PLC_CLEAN_H

#include "evict.h"

/* Empties one segment of those sampled.  False: none is worth it, or there is no room for copies.
 * pre: no pin and no lock held. */
bool clean_one(struct call *k);

#endif
