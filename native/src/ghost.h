/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ghost.h: fingerprints of keys that were evicted from the small queue unread: WHAT STAYS in policy.h.  Hints,
 * stored relaxed: a wrong one puts an entry into the other queue.
 */
#ifndef PLC_GHOST_H
#define PLC_GHOST_H

#include "index.h"

/* Remembers the key at hand of k. */
void ghost_remember(struct call *k);
/* Asks for the line in which the ghost of the key at hand would be. */
void ghost_ask(const struct call *k);
/* Is the key at hand of k remembered? */
bool ghost_knows(const struct call *k);

#endif
