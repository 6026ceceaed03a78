/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * place.c: a process's place in a region: taking one, giving it back, and what becomes of it at a fork; see process.h.
 *
 * A fork child takes a place lazily, at its first call.  What its parent holds in place when it forks (leases) is the
 * child's too: so such a parent makes a place for the child beforehand, with a copy of its pins.  No record lock can
 * prove the life of a process that does not exist yet; this place is proved by a lock that belongs to an open file,
 * which the child inherits (`fork` in layout.h).
 */
#include <errno.h>

#include "counters.h"
#include "holding.h"
#include "process.h"
#include "seat.h"

#define SPREAD 16u      /* so many slots are used before old ones, so that incarnations last */
#define INHERIT_MS 100u /* for whoever looks, just now, whether the inherited place is free */

/* Who moves in. */
struct newcomer {
    uint64_t pid, start, namespace;
    struct process_child *child; /* NULL: this process itself */
};

static struct newcomer myself(void) {
    struct newcomer me = {.pid = os_pid()};
    uint64_t namespace = 0;
    if (os_pid_namespace(&namespace) == 0 && os_start_time(me.pid, &me.start) == 0) {
        me.namespace = namespace; /* else 0: to all others I am of another namespace */
    }
    return me;
}

/* pre: the window is open. */
static uint32_t slots_used(struct plc_cache *c) {
    uint64_t used = word_acq(&c->super->slots_used.value);
    return used > c->geo.slots + 1u ? c->geo.slots + 1u : (uint32_t)used;
}

static bool usable(uint64_t inc) {
    return (inc & 1u) == 0 && inc < INC_LAST;
}

/* The pins of a new tenant: none, or a child's: what its parent holds in place. */
static void set_pins(struct plc_cache *c, struct shm_process *row, const struct shm_process *parent) {
    for (uint32_t i = 0; i < TICKETS; i++) {
        word_put_rlx(&row->transient[i], 0);
    }
    for (uint32_t i = 0; i < c->geo.counted_pins; i++) {
        word_put_rlx(&row->counted[i], parent != NULL ? word_rlx(&parent->counted[i]) : 0);
    }
    word_put_rlx(&row->pins_high, parent != NULL ? word_rlx(&parent->pins_high) : 0);
    word_put_rlx(&row->leased, parent != NULL ? word_rlx(&parent->leased) : 0);
    word_put_rlx(&row->reserved, 0);
}

/* From here on the row is nobody's and this process holds its byte. */
static bool move_in(struct plc_cache *c, uint32_t slot, uint64_t inc, const struct newcomer *who) {
    struct shm_process *row = process_row(c, slot);
    word *used = &c->super->slots_used.value;
    set_pins(c, row, who->child != NULL ? process_row(c, my_slot(c)) : NULL);
    word_put_rlx(&row->pid, who->pid);
    word_put_rlx(&row->start_time, who->start);
    word_put_rlx(&row->ns_inode, who->namespace);
    word_put_rlx(&row->child, who->child != NULL);
    for (uint64_t seen = word_acq(used); seen <= slot && !word_swap(used, seen, slot + 1u);) {
        seen = word_acq(used);
    }
    return word_swap(&row->inc, inc, inc + 1);
}

/* pre: this process holds the slot's byte.  The child's own is taken before it is said to be alive, and afterwards the
 * process's is given back, for the child. */
static bool move_child_in(struct plc_cache *c, uint32_t slot, uint64_t inc, const struct newcomer *who) {
    struct process_child *child = who->child;
    if (os_folder_byte_take(c->folder, process_folder_byte(c, slot), &child->fd) != 0) {
        return false;
    }
    domain_open(c);
    bool in = word_acq(&process_row(c, slot)->inc) == inc && move_in(c, slot, inc, who);
    if (in) { /* pins have changed hands: whoever has looked at some rows already looks at all of them again */
        fence_release();
        word_add_rlx(&c->super->handovers, 1);
    }
    domain_close(c);
    if (in) {
        child->place = owner_make(slot, (uint32_t)inc + 1u);
    } else {
        os_close(child->fd);
    }
    return in;
}

static bool move_me_in(struct plc_cache *c, uint32_t slot, uint64_t inc, const struct newcomer *who) {
    domain_open(c);
    bool in = word_acq(&process_row(c, slot)->inc) == inc && move_in(c, slot, inc, who);
    domain_close(c);
    if (in) {
        seat_settle(c, slot);
        word_put_rel(&c->owner, owner_make(slot, (uint32_t)inc + 1u));
    }
    return in;
}

static bool take(struct plc_cache *c, uint32_t slot, const struct newcomer *who) {
    domain_open(c);
    uint64_t inc = word_acq(&process_row(c, slot)->inc);
    domain_close(c);
    if (!usable(inc) || os_byte_take(c->fd, slot) != 0) {
        return false;
    }
    bool in = who->child != NULL ? move_child_in(c, slot, inc, who) : move_me_in(c, slot, inc, who);
    if (!in || who->child != NULL) {
        os_byte_drop(c->fd, slot); /* no other attachment of this process can hold it: there is only one */
    }
    return in;
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

static bool take_free(struct plc_cache *c, uint32_t end, const struct newcomer *who) {
    struct tried tried = {{0}};
    for (uint32_t slot = least_used(c, end, &tried); slot != 0; slot = least_used(c, end, &tried)) {
        if (take(c, slot, who)) {
            return true;
        }
        tried.bits[slot / 64] |= 1ull << slot % 64;
    }
    return false;
}

/* All of them are reaped before one is taken, or the first would be worn by every tenant that is killed.
 * thorough: also those whose byte is still held, because their memory is being torn down. */
static bool take_dead(struct plc_cache *c, uint32_t end, bool thorough, const struct newcomer *who) {
    bool any = false;
    for (uint32_t slot = 1; slot < end; slot++) {
        bool held = true;
        if (thorough || (os_byte_held(c->fd, slot, &held) == 0 && !held)) {
            any = process_reap_locked(c, slot) || any;
        }
    }
    return any && take_free(c, end, who);
}

/* How far it is looked for a place at first. */
static uint32_t usual_end(struct plc_cache *c) {
    domain_open(c);
    uint32_t all = c->geo.slots + 1u, used = slots_used(c);
    domain_close(c);
    uint32_t end = used > SPREAD + 1u ? used : SPREAD + 1u;
    return end < all ? end : all;
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
    struct newcomer me = myself();
    uint32_t all = c->geo.slots + 1u, end = usual_end(c);
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

/* ---- at a fork ------------------------------------------------------------------------------ */

bool process_place_child(struct plc_cache *c, struct process_child *child) {
    struct newcomer who = {.child = child};
    uint32_t all = c->geo.slots + 1u;
    if (my_slot(c) == 0 || !process_descriptors_ours(c) || !process_folder_ours(c)) {
        return false;
    }
    if (take_free(c, usual_end(c), &who) || take_free(c, all, &who)) {
        return true;
    }
    bool taken = false;
    if (registry_try_lock()) { /* not waited for: a fork must not stand still behind who asks the kernel for memory */
        taken = take_dead(c, all, false, &who);
        registry_unlock();
    }
    return taken;
}

/* The place that the parent has made becomes that of any process: its byte, who it is, and at last that it is no
 * child's any more, from when on the byte on the folder is not asked for. */
static int move_into_inherited(struct plc_cache *c) {
    uint32_t slot = owner_slot(c->inherited);
    struct newcomer me = myself();
    int error = os_byte_take(c->fd, slot);
    for (uint32_t ms = 0; error == EAGAIN && ms < INHERIT_MS; ms++) {
        os_sleep_ms(1);
        error = os_byte_take(c->fd, slot);
    }
    if (error != 0) {
        return error;
    }
    struct shm_process *row = process_row(c, slot);
    domain_open(c);
    word_put_rlx(&row->pid, me.pid);
    word_put_rlx(&row->start_time, me.start);
    word_put_rlx(&row->ns_inode, me.namespace);
    word_put_rel(&row->child, 0);
    domain_close(c);
    seat_settle(c, slot);
    word_put_rel(&c->owner, c->inherited);
    c->inherited = 0;
    os_close(c->holding->own_fd);
    c->holding->own_fd = -1;
    return 0;
}

static int adopt(struct plc_cache *c) {
    int lock = -1;
    if (!process_descriptors_ours(c)) {
        process_descriptors_again(c);
    }
    if (c->inherited != 0) {
        return process_descriptors_ours(c) ? move_into_inherited(c) : EBADF;
    }
    bool locked = process_lock_folder(c, 0, &lock) == 0; /* not waited for: see mark_used */
    int error = process_attach(c);
    if (locked) {
        os_unlock_folder(lock);
    }
    return error;
}

/* Never in the midst of call_begin, which would pay for its stack, its canary and its registers each time. */
__attribute__((noinline)) int process_adopt(struct plc_cache *c) {
    int error = 0;
    registry_forget();
    if (!registry_enter()) {
        return EDEADLK; /* a signal handler's call amid its own thread's first one: it would wait for itself */
    }
    if (c->base == NULL) {
        error = EBADF;
    } else if (word_acq(c->fork_mark) == 0) {
        error = adopt(c);
        if (error == 0) {
            word_put_rel(c->fork_mark, 1);
        }
    }
    registry_unlock();
    return error;
}

uint32_t process_count(struct plc_cache *c) {
    uint32_t n = 0, end = slots_used(c);
    for (uint32_t slot = 1; slot < end; slot++) {
        n += (uint32_t)(word_acq(&process_row(c, slot)->inc) & 1u);
    }
    return n;
}
