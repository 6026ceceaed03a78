/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rebuild.h: what is left of a persistent region after the machine went down while it was in use (G10).
 *
 * The kernel writes a file's pages back in any order, so of each page any age may be found: page words, side words,
 * rings, locks and process rows contradict each other and are thrown away.  What is kept is what proves itself: a slot
 * whose entry lies where it says it lies, belongs to the slot's bucket and tag, and whose head's checksum holds.  But a
 * page of the index and an entry may both be old, and prove each other: of what may change under one key an older value
 * would come back.  So only entries marked as content-addressed are kept, which are right whenever they were written.
 *
 * Values are not looked at: a torn one is found when it is first read.
 *
 * A rebuild may end anywhere, by a kill or by the next power loss: it builds on nothing that it has written itself, and
 * the superblock says that the region is ready last, when everything else is on the disk.
 */
#ifndef PLC_REBUILD_H
#define PLC_REBUILD_H

#include "walk.h"

/* pre: the folder's lock is held, nobody alive is attached, limit_page is what the kernel says.  0, or an errno. */
int rebuild_region(plc_cache *c, uint64_t now_ms);

#endif
