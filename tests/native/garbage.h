/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * garbage.h: words and bits of every section of a region in use are overwritten with random, extreme and plausible
 * values.  Spared: the superblock's fixed part, which is read at creation and attachment only, and this process's own
 * incarnation: whoever writes that says that this process is dead.
 */
#ifndef PLC_TEST_GARBAGE_H
#define PLC_TEST_GARBAGE_H

#include "fixture.h"

extern plc_cache *garbage_region;
extern uint8_t *garbage_donor; /* another region of the same size, as it is in memory: pages are taken from it */

void garbage_mutate(void);

#endif
