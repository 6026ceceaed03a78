/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * process.c: establishing death, and keeping the proof of life; see process.h.  (place.c: attaching.)
 *
 * A process that lives must never be held to be dead: what it owns would be given to others while it writes.
 * Its lock byte alone does not prove that: any part of the process that opens and closes the region's file
 * drops it.  So, for a tenant of the same pid namespace, dead means one of
 *   - every thread of it is exiting (the byte may still be held while its memory is torn down);
 *   - the byte is free, and there is no process with its pid and start time;
 *   - the byte is free, and its memory map can be read and has not the region in it: it has exec'd.
 * What cannot be told is alive.  For a tenant of another namespace the byte alone decides.
 * The incarnation is read first, then the proof is made, then the incarnation is raised by compare-and-swap:
 * so a proof about an earlier tenant never touches a later one, and no reaper holds anything meanwhile.
 */
#include "process.h"

#include <errno.h>

#include "counters.h"

struct tenant {
    uint64_t inc, pid, start, namespace, child;
};

static struct tenant tenant_of(struct plc_cache *c, uint32_t slot) {
    struct shm_process *row = process_row(c, slot);
    domain_open(c);
    struct tenant t = {.inc = word_acq(&row->inc)};
    t.child = word_acq(&row->child); /* first: who finds that it is no child's any more finds who it is */
    t.pid = word_rlx(&row->pid);
    t.start = word_rlx(&row->start_time);
    t.namespace = word_rlx(&row->ns_inode);
    domain_close(c);
    return t;
}

static bool is_start(uint64_t pid, uint64_t start) {
    uint64_t now = 0;
    return os_start_time(pid, &now) == 0 && now == start;
}

bool process_descriptors_ours(const struct plc_cache *c) {
    struct os_file file;
    return os_stat(c->fd, &file) == 0 && file.device == c->device && file.inode == c->inode;
}

bool process_folder_ours(const struct plc_cache *c) {
    struct os_file file;
    return os_stat(c->folder, &file) == 0 && file.device == c->folder_device && file.inode == c->folder_inode;
}

/* The descriptors were closed by somebody who closes all: opens the file anew.  Opening drops nothing. */
void process_descriptors_again(struct plc_cache *c) {
    struct os_file file;
    int fd = -1;
    if (os_open_at(c->folder, c->path, true, &fd) != 0) {
        return;
    }
    if (os_stat(fd, &file) != 0 || file.device != c->device || file.inode != c->inode) {
        if (registry_find(file.device, file.inode) == NULL) { /* else closing it would drop that one's byte */
            os_close(fd);
        }
        return;
    }
    c->fd = fd;
    if (os_reopen(fd, false, &fd) == 0) {
        c->fd_read = fd;
    }
}

int process_lock_folder(const struct plc_cache *c, uint32_t limit_ms, int *lock) {
    if (!c->persistent) {
        return EOPNOTSUPP;
    }
    return process_folder_ours(c) ? os_lock_folder(c->folder, limit_ms, lock) : EBADF;
}

/* ---- the proof ------------------------------------------------------------------------------ */

/* Where the map of this very process does not show the region as expected (the file system shows other
 * numbers there), the maps of others tell nothing. */
static bool has_execd(const struct plc_cache *c, const struct tenant *t) {
    bool mine = false, theirs = true;
    return os_maps_inode(os_pid(), c->device, c->inode, &mine) == 0 && mine &&
           os_maps_inode(t->pid, c->device, c->inode, &theirs) == 0 && !theirs && is_start(t->pid, t->start);
}

static bool dead_here(const struct plc_cache *c, const struct tenant *t, bool held) {
    uint64_t start = 0;
    bool exiting = false;
    int error = os_start_time(t->pid, &start);
    if (error == ESRCH || (error == 0 && start != t->start)) {
        return !held;
    }
    if (error != 0) {
        return false;
    }
    if (os_all_exiting(t->pid, &exiting) == 0 && exiting && is_start(t->pid, t->start)) {
        os_settle();
        return true;
    }
    return !held && has_execd(c, t);
}

/* One that has not called yet, or its parent, which is about to fork.  A child gives its byte on the folder back behind
 * becoming a process as any: who finds that byte free asks again whether it has. */
static bool child_dead(const struct plc_cache *c, uint32_t slot) {
    bool held = true;
    if (!process_folder_ours(c) || os_folder_byte_held(c->folder, process_folder_byte(c, slot), &held) != 0 || held) {
        return false;
    }
    domain_open(c);
    bool still = word_acq(&process_row(c, slot)->child) != 0;
    domain_close(c);
    return still;
}

static bool proved_dead(const struct plc_cache *c, uint32_t slot, const struct tenant *t) {
    bool held = true;
    uint64_t namespace = 0;
    if (!process_descriptors_ours(c) || os_byte_held(c->fd, slot, &held) != 0) {
        return false;
    }
    if (t->child != 0) {
        return !held && child_dead(c, slot);
    }
    if (t->namespace != 0 && os_pid_namespace(&namespace) == 0 && namespace == t->namespace) {
        return dead_here(c, t, held);
    }
    return !held;
}

bool process_reap_locked(struct plc_cache *c, uint32_t slot) {
    if (slot == 0 || slot > c->geo.slots || slot == my_slot(c)) {
        return false;
    }
    struct tenant t = tenant_of(c, slot);
    if ((t.inc & 1u) == 0) {
        return true;
    }
    if (!proved_dead(c, slot, &t)) {
        return false;
    }
    domain_open(c);
    struct shm_process *row = process_row(c, slot);
    bool raised = word_swap(&row->inc, t.inc, t.inc + 1);
    if (raised && my_slot(c) != 0) {
        word_add_rlx(&process_row(c, my_slot(c))->counters[COUNT_REAPS], 1);
    }
    domain_close(c);
    return true; /* not raised: somebody else did, and the tenant that was asked for is gone */
}

bool process_reap(struct plc_cache *c, uint32_t slot) {
    registry_lock();
    bool dead = c->base != NULL && process_reap_locked(c, slot);
    registry_unlock();
    return dead;
}

bool process_reap_now(struct plc_cache *c, uint32_t slot) {
    if (!registry_try_lock()) {
        return false;
    }
    bool dead = c->base != NULL && process_reap_locked(c, slot);
    registry_unlock();
    return dead;
}

bool process_reap_due(struct plc_cache *c, uint32_t slot, uint32_t every_ms) {
    if (slot == 0 || slot > c->geo.slots) {
        return false;
    }
    uint64_t now = os_monotonic_ms(), last = word_rlx(&c->reaped_ms[slot]);
    return (last == 0 || now - last >= every_ms) && word_swap(&c->reaped_ms[slot], last, now);
}

bool process_thread_gone(struct plc_cache *c, uint64_t lock_word) {
    uint32_t slot = lock_slot(lock_word);
    uint64_t namespace = 0;
    bool gone = false;
    if (slot == 0 || slot > c->geo.slots) {
        return false;
    }
    struct tenant t = tenant_of(c, slot);
    if (t.inc != lock_inc(lock_word) || t.namespace == 0 || os_pid_namespace(&namespace) != 0 ||
        namespace != t.namespace) {
        return false;
    }
    if (os_thread_exiting(t.pid, lock_tid(lock_word), &gone) != 0 || !gone) {
        return false;
    }
    os_settle();
    return true;
}

/* ---- keeping the byte ----------------------------------------------------------------------- */

bool process_reassert(struct plc_cache *c) {
    registry_forget();
    if (!registry_enter()) {
        return false;
    }
    if (c->base != NULL && my_slot(c) != 0) {
        if (!process_descriptors_ours(c)) {
            process_descriptors_again(c);
        }
        if (process_descriptors_ours(c)) {
            (void)os_byte_take(c->fd, my_slot(c));
        }
    }
    registry_unlock();
    return true;
}
