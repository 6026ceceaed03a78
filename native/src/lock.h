/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.h: the shard lock and the lock of large allocations.  A word names process, incarnation and thread;
 * a dead holder's word is taken over as it is.  Held for a handful of instructions, never across a wait, a
 * system call or a caller's memory.
 */
#ifndef PLC_LOCK_H
#define PLC_LOCK_H

#include "domain.h"

struct lock_held {
    word *at;
    uint64_t mine;
    bool wake; /* unlock found waiters: they are to be woken after the window */
};

/* PLC_OK: held.  PLC_AGAIN: somebody alive holds it after a bounded spin (*seen is its word): wait outside.
 * PLC_BUSY: this thread holds it (a signal handler's call). tid: os_thread() taken before the window. */
plc_status lock_try(plc_cache *c, word *at, uint32_t tid, struct lock_held *held, uint64_t *seen);
void lock_release(struct lock_held *held);

/* Outside the window: waits until the word at `at` has changed from `seen` or ms have passed; reaps a dead
 * holder (and hands the word over when only its thread is gone). */
void lock_wait(plc_cache *c, word *at, uint64_t seen, word32 *wait_word, uint32_t ms);

#endif
