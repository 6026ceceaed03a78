/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hand.h: room for a run of many pages: a hand moves down the pool and evicts what it meets.  What is in its way
 * and was read is spared once: a value with a run of its own is stepped over, small entries are moved away.
 */
#ifndef PLC_HAND_H
#define PLC_HAND_H

#include "policy.h"

/* Makes an empty OPEN run of n pages where the hand is, and moves the hand on.  0: what was read, or others,
 * were in the way.  pre: no pin and no lock held. */
uint32_t hand_form(struct call *k, uint32_t n, bool own, struct effort *left);

#endif
