/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * process.h: who is attached.  A process has a slot and an incarnation; it is alive while the slot's word
 * has that (odd) number.  The proof of life is a record lock on the region's inode that the kernel drops at
 * death; the proof of death is stricter (it must never be wrong), see process.c.
 */
#ifndef PLC_PROCESS_H
#define PLC_PROCESS_H

#include "os_linux.h"
#include "registry.h"

/* Takes a free slot, the least used one first, dead tenants' too (after the full proof), and marks the region
 * as being in use.  pre: process mutex held, window closed, c->base mapped, c->owner 0; a region on disk: the
 * folder's lock held.  Sets c->owner.  0, or EAGAIN: all places are taken by the living; or another errno. */
int process_attach(struct plc_cache *c);

/* Gives the slot back: incarnation + 1, then the lock byte.  pre: as process_attach; no call under way. */
void process_detach(struct plc_cache *c);

/* Before a fork, by who holds something in place: makes a place for the child, with a copy of this process's pins.
 * The parent closes child->fd after the fork, in the child it stays open as long as c->inherited is not 0, which is to
 * be child->place there.  False: there is none, and what the child inherits is not protected.
 * pre: pins do not change meanwhile; window closed. */
struct process_child {
    uint64_t place; /* as an owner in a page word */
    int fd;         /* holds the byte on the folder that proves the child's life */
};
bool process_place_child(struct plc_cache *c, struct process_child *child);
/* The byte on the folder for a slot. */
static inline uint64_t process_folder_byte(const struct plc_cache *c, uint32_t slot) {
    return (c->region_id & ((1ull << 52) - 1)) << 10 | slot;
}

/* Looks whether the tenant of slot is dead and says so by raising its incarnation.  True: it is dead (now or
 * already).  Takes the process mutex; window closed.  Never true for a living process. */
bool process_reap(struct plc_cache *c, uint32_t slot);
/* The same with the process mutex held. */
bool process_reap_locked(struct plc_cache *c, uint32_t slot);

/* The same, or false when another thread is attaching, reaping or closing just now. */
bool process_reap_now(struct plc_cache *c, uint32_t slot);

/* May process_reap(slot) be called now?  (Not within every_ms of the last time, process-wide; then marks it.) */
#define REAP_EVERY_MS 100u /* for owners that were merely met */
bool process_reap_due(struct plc_cache *c, uint32_t slot, uint32_t every_ms);

/* Is the thread that a lock word names gone, though its process lives?  Same pid namespace only. */
bool process_thread_gone(struct plc_cache *c, uint64_t lock_word);

/* After a fork: forget the parent's identity and calls, take a slot.  Called by whoever finds *fork_mark 0.
 * 0; EAGAIN as process_attach, *fork_mark stays 0 and the next call tries again; EBADF: closed; EDEADLK: this very
 * thread is at it, and is interrupted. */
int process_adopt(struct plc_cache *c);

/* Is my own lock byte still there?  Takes it again if not: whoever in this process opens and closes the
 * region's file drops it, and whoever closes all descriptors takes even those away.  Slow paths only.
 * False: not asked, for this very thread holds the process mutex, and is interrupted. */
bool process_reassert(struct plc_cache *c);

/* Are c's descriptors still those of the region, and that of its folder?  pre: process mutex held. */
bool process_descriptors_ours(const struct plc_cache *c);
bool process_folder_ours(const struct plc_cache *c);
void process_descriptors_again(struct plc_cache *c); /* they are not: opens them anew, if that is possible */

/* Locks the folder of a region on disk against others who open, close or replace it.  0 and *lock, for
 * os_unlock_folder; EOPNOTSUPP: a region in memory needs none; EAGAIN, or another errno. */
int process_lock_folder(const struct plc_cache *c, uint32_t limit_ms, int *lock);

uint32_t process_count(struct plc_cache *c); /* slots with a live incarnation */

#endif
