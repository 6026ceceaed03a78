/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * registry.h: all attachments of this process, one for each region (device and inode), and the mutex that
 * attaching, reaping and closing go through.  It must be asked before a region's file is opened: opening and
 * closing it once more would drop the record lock that proves this process's life.
 * A handle is never freed, so that a stale one is recognised; whoever opens its region once more gets it again, or a
 * process that opens and closes a region each time it needs it would grow for ever.
 */
#ifndef PLC_REGISTRY_H
#define PLC_REGISTRY_H

#include "domain.h"

/* Sets up what must be there before the first attachment: the handlers of pthread_atfork too.  0, or an errno;
 * EDEADLK: a signal handler's call amid another one that holds the mutex. */
int registry_begin(void (*before)(void), void (*parent)(void), void (*child)(void));

/* False: this very thread holds it, so this is a signal handler's call. */
bool registry_enter(void);
/* The same for who cannot be one: what has been in and out already. */
void registry_lock(void);
bool registry_try_lock(void);
void registry_unlock(void);

/* The attachment of that inode, or NULL.  It may be one that was closed while calls in it did not end.
 * pre: locked. */
plc_cache *registry_find(uint64_t device, uint64_t inode);
/* The newest attachment; the others follow by `next`. */
plc_cache *registry_first(void);
/* The attachment whose mapping the address lies in, or NULL.  Takes no lock: for a signal handler. */
const plc_cache *registry_holding(uintptr_t address);
/* pre: locked; c is completely filled. */
void registry_add(plc_cache *c);
/* Takes a handle that is closed and detached from the list, and remembers it for:  pre: locked, for both. */
void registry_retire(plc_cache *c);
/* The handle that a region had in this process before, taken out of what is remembered; NULL: none, or it is among
 * those of very many regions, or the parent's. */
plc_cache *registry_reclaim(uint64_t device, uint64_t inode, uint64_t region_id);

/* In a fork child, before anything else: every attachment forgets who the parent was in the region and what
 * calls were under way, and the mutex is made anew.  Does nothing the second time, and in the parent.  The
 * fork handler calls it, last; who may live in the child of a raw clone, where handlers do not run, calls it too: there
 * nothing that the parent held in place is held any more, so the views of it are closed. */
void registry_forget(void);

#endif
