/* SPDX-License-Identifier: BSD-3-Clause */
/* pinned.h: whether anybody works on a run, or reads it in place.  A pin is a cell in its process's own row, so it
 * counts for as long as that process lives. */
#ifndef PLC_PINNED_H
#define PLC_PINNED_H

#include "pages.h"

/* Is there a pin on the run in any process that is held to be alive?  Then that is asked after: a dead one's
 * pin would keep the run in limbo for ever.  pre: fence_full() behind the last slot swap. */
bool pinned(struct call *k, uint32_t head);

#endif
