/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evict.h: taking a run out of use: claim it, swap its live entries out of the index (or move the ones
 * worth keeping), fence, look at the pins, free its pages: `evict` in layout.h.
 */
#ifndef PLC_EVICT_H
#define PLC_EVICT_H

#include "ghost.h"

enum evict_mode {
    EVICT_ALL,     /* drain: nothing is kept; what is pinned goes into limbo */
    EVICT_FIRM,    /* nothing is kept, but a value that is read in place stays as it is */
    EVICT_VISITED, /* what is worth keeping (used, or dear) is moved; a run of which nearly all was used stays */
    EVICT_MOVE_VISITED, /* the same, but nothing stays: without room for a copy even what was used goes */
    EVICT_HAND,    /* the same for a large run that wants the place: without room for copies the run stays */
    EVICT_ASIDE,   /* everything current is moved, out of the way of a large run; without room the run stays */
    EVICT_MOVE,    /* everything current is moved (a run that is still being filled is in the way) */
    EVICT_CLEAN,   /* the same of a sealed segment, for its dead bytes; without room it stays */
    EVICT_DEAD     /* only if nothing in it is live */
};

enum evicted {
    EVICT_FREED,
    EVICT_KEPT,   /* used, dear, or live entries were met: sealed again */
    EVICT_NO_ROOM, /* the same, because there was no room for a copy */
    EVICT_PINNED, /* in limbo until the last pin goes */
    EVICT_LOST    /* not a run that can be taken (its owner lives: k->suspect), or somebody was faster */
};

/* pre: no pin and no lock held.  k's key and buckets are left as they are. */
enum evicted evict_run(struct call *k, uint32_t head, enum evict_mode mode);

/* Frees the runs that this call has emptied.  pre: as evict_run. */
void evict_emptied(struct call *k);

#endif
