/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * process.c: attaching, and establishing death; see process.h.
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
#include "seat.h"

#define SPREAD 16u /* so many slots are used before old ones, so that incarnations last */

struct tenant {
    uint64_t inc, pid, start, namespace, child;
};

static struct tenant tenant_of(struct plc_cache *c, uint32_t slot) {
    struct shm_process *row = process_row(c, slot);
    domain_open(c);
    struct tenant t = {.inc = word_acq(&row->inc)};
    t.pid = word_rlx(&row->pid);
    t.start = word_rlx(&row->start_time);
    t.namespace = word_rlx(&row->ns_inode);
    t.child = word_rlx(&row->child);
    domain_close(c);
    return t;
}

static struct tenant myself(void) {
    struct tenant me = {.pid = os_pid()};
    uint64_t namespace = 0;
    if (os_pid_namespace(&namespace) == 0 && os_start_time(me.pid, &me.start) == 0) {
        me.namespace = namespace; /* else 0: to all others I am of another namespace */
    }
    return me;
}

static bool is_start(uint64_t pid, uint64_t start) {
    uint64_t now = 0;
    return os_start_time(pid, &now) == 0 && now == start;
}

bool process_descriptors_ours(const struct plc_cache *c) {
    struct os_file file;
    return os_stat(c->fd, &file) == 0 && file.device == c->device && file.inode == c->inode;
}

/* The descriptors were closed by somebody who closes all: opens the file anew.  Opening drops nothing. */
static void open_again(struct plc_cache *c) {
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
    struct os_file file;
    if (!c->persistent) {
        return EOPNOTSUPP;
    }
    int error = os_stat(c->folder, &file);
    if (error == 0 && (file.device != c->folder_device || file.inode != c->folder_inode)) {
        error = EBADF;
    }
    return error != 0 ? error : os_lock_folder(c->folder, limit_ms, lock);
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

static bool proved_dead(const struct plc_cache *c, uint32_t slot, const struct tenant *t) {
    bool held = true;
    uint64_t namespace = 0;
    if (t->child != 0 || !process_descriptors_ours(c) || os_byte_held(c->fd, slot, &held) != 0) {
        return false; /* child: a fork child's place that a later version keeps alive by other means */
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

/* ---- attaching ------------------------------------------------------------------------------ */

/* pre: the window is open. */
static uint32_t slots_used(struct plc_cache *c) {
    uint64_t used = word_acq(&c->super->slots_used.value);
    return used > c->geo.slots + 1u ? c->geo.slots + 1u : (uint32_t)used;
}

static bool usable(uint64_t inc) {
    return (inc & 1u) == 0 && inc < INC_LAST;
}

/* From here on the row is nobody's and this process holds its byte. */
static bool move_in(struct plc_cache *c, uint32_t slot, uint64_t inc, const struct tenant *me) {
    struct shm_process *row = process_row(c, slot);
    word *used = &c->super->slots_used.value;
    for (uint32_t i = 0; i < TICKETS; i++) {
        word_put_rlx(&row->transient[i], 0);
    }
    for (uint32_t i = 0; i < c->geo.counted_pins; i++) {
        word_put_rlx(&row->counted[i], 0);
    }
    word_put_rlx(&row->pins_high, 0);
    word_put_rlx(&row->leased, 0);
    word_put_rlx(&row->pid, me->pid);
    word_put_rlx(&row->start_time, me->start);
    word_put_rlx(&row->ns_inode, me->namespace);
    word_put_rlx(&row->child, 0);
    for (uint64_t seen = word_acq(used); seen <= slot && !word_swap(used, seen, slot + 1u);) {
        seen = word_acq(used);
    }
    return word_swap(&row->inc, inc, inc + 1);
}

static bool take(struct plc_cache *c, uint32_t slot, const struct tenant *me) {
    struct shm_process *row = process_row(c, slot);
    domain_open(c);
    uint64_t inc = word_acq(&row->inc);
    domain_close(c);
    if (!usable(inc) || os_byte_take(c->fd, slot) != 0) {
        return false;
    }
    domain_open(c);
    bool mine = word_acq(&row->inc) == inc && move_in(c, slot, inc, me);
    domain_close(c);
    if (!mine) {
        os_byte_drop(c->fd, slot); /* no other attachment of this process can hold it: there is only one */
        return false;
    }
    seat_settle(c, slot);
    word_put_rel(&c->owner, owner_make(slot, (uint32_t)inc + 1u));
    return true;
}

struct tried {
    uint64_t bits[(SLOTS_MAX + 64) / 64];
};

/* The free slot below end that had the fewest tenants, so that no incarnation comes to its end early; 0: none. */
static uint32_t least_used(struct plc_cache *c, uint32_t end, const struct tried *tried) {
    uint32_t best = 0;
    uint64_t fewest = UINT64_MAX;
    domain_open(c);
    for (uint32_t slot = 1; slot < end; slot++) {
        uint64_t inc = word_acq(&process_row(c, slot)->inc);
        if (usable(inc) && inc < fewest && (tried->bits[slot / 64] >> slot % 64 & 1u) == 0) {
            best = slot;
            fewest = inc;
        }
    }
    domain_close(c);
    return best;
}

static bool take_free(struct plc_cache *c, uint32_t end, const struct tenant *me) {
    struct tried tried = {{0}};
    for (uint32_t slot = least_used(c, end, &tried); slot != 0; slot = least_used(c, end, &tried)) {
        if (take(c, slot, me)) {
            return true;
        }
        tried.bits[slot / 64] |= 1ull << slot % 64;
    }
    return false;
}

/* All of them are reaped before one is taken, or the first would be worn by every tenant that is killed.
 * thorough: also those whose byte is still held, because their memory is being torn down. */
static bool take_dead(struct plc_cache *c, uint32_t end, bool thorough, const struct tenant *me) {
    bool any = false;
    for (uint32_t slot = 1; slot < end; slot++) {
        bool held = true;
        if (thorough || (os_byte_held(c->fd, slot, &held) == 0 && !held)) {
            any = process_reap_locked(c, slot) || any;
        }
    }
    return any && take_free(c, end, me);
}

static void mark_used(struct plc_cache *c) {
    domain_open(c);
    fence_full(); /* incarnation, then clean; whoever closes last: clean, then incarnations (region_open.c) */
    uint64_t clean = word_acq(&c->super->clean);
    word_put_rel(&c->super->clean, 0);
    domain_close(c);
    if (clean != 0 && c->persistent) {
        (void)os_sync(c->base, PAGE_BYTES);
    }
}

int process_attach(struct plc_cache *c) {
    if (!process_descriptors_ours(c)) {
        return EBADF;
    }
    struct tenant me = myself();
    domain_open(c);
    uint32_t all = c->geo.slots + 1u, used = slots_used(c);
    domain_close(c);
    uint32_t end = used > SPREAD + 1u ? used : SPREAD + 1u;
    end = end < all ? end : all;
    if (take_free(c, end, &me) || take_dead(c, end, false, &me) || take_free(c, all, &me) ||
        take_dead(c, all, true, &me)) {
        mark_used(c);
        return 0;
    }
    return EAGAIN;
}

void process_detach(struct plc_cache *c) {
    uint64_t owner = word_rlx(&c->owner);
    uint32_t slot = owner_slot(owner);
    uint64_t inc = owner_inc(owner);
    if (slot == 0) {
        return;
    }
    word_put_rel(&c->owner, 0);
    domain_open(c);
    (void)word_swap(&process_row(c, slot)->inc, inc, inc + 1);
    domain_close(c);
    if (process_descriptors_ours(c)) {
        os_byte_drop(c->fd, slot);
    }
}

/* Never in the midst of call_begin, which would pay for its stack, its canary and its registers each time. */
__attribute__((noinline)) int process_adopt(struct plc_cache *c) {
    int error = 0, lock = -1;
    registry_forget();
    registry_lock();
    if (c->base == NULL) {
        error = EBADF;
    } else if (word_acq(c->fork_mark) == 0) {
        if (!process_descriptors_ours(c)) {
            open_again(c);
        }
        bool locked = process_lock_folder(c, 0, &lock) == 0; /* not waited for: see mark_used */
        error = process_attach(c);
        if (error == 0) {
            word_put_rel(c->fork_mark, 1);
        }
        if (locked) {
            os_unlock_folder(lock);
        }
    }
    registry_unlock();
    return error;
}

/* ---- keeping the byte ----------------------------------------------------------------------- */

void process_reassert(struct plc_cache *c) {
    registry_forget();
    registry_lock();
    if (c->base != NULL && my_slot(c) != 0) {
        if (!process_descriptors_ours(c)) {
            open_again(c);
        }
        if (process_descriptors_ours(c)) {
            (void)os_byte_take(c->fd, my_slot(c));
        }
    }
    registry_unlock();
}

uint32_t process_count(struct plc_cache *c) {
    uint32_t n = 0, end = slots_used(c);
    for (uint32_t slot = 1; slot < end; slot++) {
        n += (uint32_t)(word_acq(&process_row(c, slot)->inc) & 1u);
    }
    return n;
}
