/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.h: which queue a new entry belongs to, and what goes when room is wanted.  The only place that decides
 * it; everybody else asks for room.
 *
 * WHAT STAYS (S3-FIFO over runs).  All of it is hints that the page words prove: garbage in rings, marks, clock
 * or ghosts costs entries or work, never more.
 *   Two rings of sealed runs.  New entries come into runs of the small queue.  A run of it is due when the clock
 *   (pages ever sealed into the small queue) has gone on by a twentieth of the pool since it was queued; while one
 *   is due it is the victim, else the oldest run of the main queue.
 *     small:  used since it came -> copied into a run of the main queue, its mark cleared; else evicted, and
 *             remembered as a ghost.  A key set while its ghost is remembered comes into the main queue at once.
 *     main:   used since it came into this run -> copied into a fresh one, its mark cleared; else evicted.
 *     Where costs are told (worth.h), used or not is not all: what is unused and worth x times the going rate, in
 *     cost for each byte, stays with probability 1 - 1/x, and what is used and worth less than half of it may go.
 *     A segment of which nearly all was used, and a value with a run of its own that was used, are queued again
 *     in the main queue as they are.  Used is: read, or stored again while it was there.
 *   A ghost is remembered while the clock goes on by nine tenths of the pool; its epoch counts sixteenths.
 *   Before live entries are evicted, dead bytes are cleaned: of 32 sampled segments the one with the least live
 *   bytes, when below 80 %, is emptied by copying what is live into a run of the same queue, marks and all.
 *   A large run is placed by a hand that moves down the pool.  What it meets: a value with a run of its own that
 *   was used is stepped over, its mark cleared, until 32 were, else evicted; a small segment that is due is judged
 *   as above; any other is moved aside whole, and the queues give the room for that: small entries are not the
 *   price of where a large one happens to be put.
 *   Copies need room before their victim gives any: whole free segments are kept in reserve, and every freed
 *   segment goes there first.  Without room a run whose turn it is goes round once more; only when the effort of
 *   one allocation is nearly spent is anything dropped that was used, and counted (evicted_visited_dropped).
 *   One allocation empties at most 8 segments of dead bytes and evicts at most 16 runs, a large one 2 more for
 *   each segment's length; for each of them at most 32 go round.
 */
#ifndef PLC_POLICY_H
#define PLC_POLICY_H

#include "clean.h"

/* What one allocation may still do to the others. */
struct effort {
    unsigned cleanings; /* segments emptied for their dead bytes */
    unsigned victims;   /* runs evicted */
    unsigned skips;     /* runs of the main queue that go round before young ones are victims */
    bool hand_firm;     /* the hand has stepped over enough: it takes what was used as well */
};
struct effort policy_effort(void);

/* The queue that the entry with the key at hand comes into. */
enum queue_of policy_queue(struct call *k);

/* Frees one run, or tries to.  False: the effort is spent.  pre: no pin and no lock held. */
bool policy_make_room(struct call *k, struct effort *left);

#endif
