/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * domain.h: the process-local view of one attached region, and the window through which its memory is
 * open.  What is in struct plc_cache is this process's own and may be trusted; what its pointers point to
 * is shared and may not.
 */
#ifndef PLC_DOMAIN_H
#define PLC_DOMAIN_H

#include <pthread.h>

#include "../include/plc.h"
#include "hash.h"
#include "words.h"

struct given_up { /* a lock word that a call of this process waited for in vain */
    word value;
    word since_ms; /* real time */
};

/* A ticket and a lane of counters that one thread keeps; see seat.h. */
struct seat {
    _Alignas(64) plc_cache *c;
    word32 tid;      /* of the thread, and a count above it (seat.c); 0: nobody's */
    word32 busy;     /* 1: a call is under way */
    word next_token; /* of a block of its own */
    struct shm_process *row;
    word *lane;      /* counters, in the row */
    word *pin;       /* transient pin cell, in the row */
    uint32_t ticket;
    atomic_bool waited; /* its last call ended with PLC_AGAIN */
};
static_assert(sizeof(struct seat) == 64, "threads share no line");

#define VERIFIED_PLACES 8192u /* of plc_cache.verified */
#define LASTING_WORDS 1024u   /* of plc_cache.lasting: a bit for every name that there can be */

struct holding; /* holding.h */

struct plc_cache {
    /* fixed while attached */
    uint8_t *base; /* the whole region at its largest is mapped */
    struct geometry geo;
    struct shm_superblock *super;
    word32 *wait_words;
    word *locks;
    struct shm_name *names;
    uint8_t *processes;
    word *ring[2];
    word *free_ring;
    word32 *ghosts;
    struct shm_page *pages; /* page words and side words A: indexed by page - geo.first_page, as is */
    word *side_b;
    struct shm_bucket *buckets;
    struct sip hash; /* with which the hash of every key begins */
    uint64_t region_id;
    uint64_t created_ms;
    bool in_memory;  /* the file system is tmpfs: nothing survives a boot */
    bool persistent; /* the region is to survive a boot: its entries carry checksums */
    word *verified;  /* persistent: values with runs of their own that this process has verified (entry.c), */
    word *lasting;   /* and, behind them, bits of names that are known to be on the disk (region_sync.c) */
    uint32_t key_bits; /* of the register, those of the region's key; 0: level none */
    word guard, guard_end; /* what an argument must lie outside of is within these (domain.c) */
    uint32_t keys;     /* PLC_KEYS_*: why there are none */

    /* values read in place */
    _Atomic(uint8_t *) view; /* the whole region once more, to be read only; NULL until something is leased */
    struct holding *holding; /* NULL: nothing can be held in place */
    uint64_t held_most;      /* pages that all processes together may hold in place */

    /* the file; both descriptors live as long as the attachment (closing one drops the lock byte) */
    int fd, fd_read, folder;
    uint64_t device, inode;
    uint64_t folder_device, folder_inode; /* is `folder` still ours, or was the number given to others? */
    char *path;

    /* who this process is in the region; changes at fork (process.c) */
    word *fork_mark;     /* 1; reads 0 in a fork child: identity must be taken anew */
    word owner;          /* owner_make(slot, inc) */
    uint64_t inherited; /* the place that the parent has made for this child, as an owner, until it is taken; 0: none */

    word32 limit_page; /* pages below it are proved to be in the file (fstat) */
    word tickets; /* bit i: ticket i is free, and nobody's seat */
    word seat_epoch; /* changes at a fork: then no thread has a seat */
    word seats_asked_ms; /* when it was last asked in vain whose threads are gone (monotonic ms) */
    _Alignas(64) struct seat seats[LANES];
    word32 outside; /* calls that wait or ask the kernel with no window open */
    word next_token;
    word last_run[TICKETS]; /* head of the run that this ticket filled last (parked, or 0) */
    word last_main[TICKETS]; /* the same of those that went into the main queue at once */
    word copy_run[2]; /* head of the run that evictions copy to, by its queue (parked, or 0) */
    word samples; /* where the next samples are taken */
    word rate; /* worth.c: the going rate; 0: none yet */
    word32 lock_sequence;
    struct given_up given_up[SHARDS_MAX];
    word reaped_ms[SLOTS_MAX + 1]; /* when that slot's owner was last asked for (monotonic ms) */
    word suspect; /* slot of a foreign owner that an operation met, 0 none */
    word hint_distrusted; /* a taken_pages hint that was found false */
    uint64_t collapsed; /* bytes before the pool for which huge pages were asked; under the process mutex, as is */
    uint64_t collapse_from, collapse_to; /* what of the pool this process has taken and they are not asked for yet */
    word growth_retry_ms; /* growth is not tried before it (real time, ms) */
    word32 closed;
    uint32_t references; /* under the process mutex, and: */
    uint64_t closings; /* how often there was none left */
    bool lingers; /* closed, but what is held in place keeps it attached; under the process mutex */
    _Atomic(struct plc_cache *) next; /* registry: of those that are attached, and: */
    struct plc_cache *next_closed; /* of those that are not any more; under the process mutex */
    _Atomic(struct plc_cache *) next_open; /* of those that the key opens (domain.c) */
};

/* One exported call while it works on the region (call.c makes it, on its stack). */
struct call {
    plc_cache *c;
    struct shm_process *row; /* my process's, for pins and counters */
    struct seat *seat; /* my thread's; NULL: the ticket is a shared one */
    word *lane; /* the seat's counters, or NULL */
    word *pin; /* my transient pin cell */
    uint64_t owner; /* my process, as in a page word */
    uint64_t now_ms; /* read before the window opened */
    uint32_t ticket, tid; /* tid: its lowest 22 bits */

    /* the key, copied in (the last field) before it is hashed; where in the index it may be */
    uint32_t key_length;
    uint32_t tag, shard;
    uint64_t hash;
    struct shm_bucket *buckets[2];
    uint64_t likely; /* the first slot with its tag, a hint (index_ask_entry); 0: none, or not looked at */

    /* What the end of the call has to do; side by side, so that clearing them is a store or two. */
    uint32_t dead_count; /* runs whose last live byte went: freed at the end, after unpin and unlock */
    uint32_t wake_count; /* wait words whose waiters are to be woken; more than fit are woken by their slices */
    uint32_t want_pages; /* wanted outside the window when the call ends with PLC_AGAIN: the file to have so many, */
    uint32_t suspect; /* an answer whether the owner in this slot lives, which was in the way, */
    word *want_lock; /* a wait for this lock, whose holder is alive, */
    bool want_refresh; /* a look whether the file has grown, */
    bool want_pause; /* a pause, because others were in the way of a large run */
    uint64_t lock_seen;
    uint32_t dead[4];
    uint32_t wakes[8];
    uint8_t key[PLC_KEY_MAX];
};

static inline void wake_later(struct call *k, uint32_t wait_word) {
    if (k->wake_count < sizeof k->wakes / sizeof k->wakes[0]) {
        k->wakes[k->wake_count++] = wait_word;
    }
}

static inline void count(struct call *k, unsigned counter, uint64_t n) {
    if (counter < LANE_COUNTERS && k->lane != NULL) {
        word_put_rlx(&k->lane[counter], word_rlx(&k->lane[counter]) + n);
    } else {
        word_add_rlx(&k->row->counters[counter], n);
    }
}

/* The window.  At level pku the region's memory, all but the page of wait words, which the kernel reads, is tagged with
 * a protection key that all regions of the process share and that is closed in every thread but for the time between
 * these two.  A system call, a wait, a callback or a new thread in between would take the open register along.  They do
 * not nest.  At level none there is nothing to do, but every exported call goes through here exactly once. */
void domain_key_open(const struct plc_cache *c);
void domain_key_close(const struct plc_cache *c);
static inline void domain_open(const struct plc_cache *c) {
    if (__builtin_expect(c->key_bits != 0, 0)) {
        domain_key_open(c);
    }
}
static inline void domain_close(const struct plc_cache *c) {
    if (__builtin_expect(c->key_bits != 0, 0)) {
        domain_key_close(c);
    }
}

/* The process's key, taken at its first use and given back at its last.  PLC_KEYS_USED: *key is to be given back;
 * else why there is none.  pre: process mutex held, as for all of these.  (A child that is forked between the two
 * counts one user too many, and keeps the key.) */
uint32_t domain_key_take(uint32_t *key);
void domain_key_give(void);
/* Tags the mapping, which is closed to all so far.  0, or an errno. */
int domain_protect(struct plc_cache *c, uint32_t key);
/* From the one to the other it is an attachment, at whichever level, and one user of the key if it has that. */
void domain_join(struct plc_cache *c);
void domain_leave(struct plc_cache *c); /* pre: nothing is mapped any more */

/* Does [bytes, bytes + n) touch memory of the region, or of another one that its key opens?  Such arguments are
 * refused. */
bool domain_touches(const struct plc_cache *c, uintptr_t at, size_t n);
struct guard {
    uintptr_t from, bytes;
};
static inline struct guard domain_guard(const struct plc_cache *c) {
    uintptr_t from = word_rlx(&c->guard);
    return (struct guard){from, word_rlx(&c->guard_end) - from};
}
/* Only with these: it begins within the guard, or the guard begins in it. */
static inline bool guard_meets(struct guard g, const void *bytes, size_t n) {
    uintptr_t at = (uintptr_t)bytes;
    return __builtin_expect(at - g.from < g.bytes || g.from - at < n, 0);
}
static inline bool domain_refuses(const struct plc_cache *c, struct guard g, const void *bytes, size_t n) {
    return guard_meets(g, bytes, n) && n != 0 && domain_touches(c, (uintptr_t)bytes, n);
}
static inline bool domain_overlaps(const struct plc_cache *c, const void *bytes, size_t n) {
    return domain_refuses(c, domain_guard(c), bytes, n);
}

/* What the caller's memory says, loaded once: another thread of his may change it between check and use. */
static inline const void *once_pointer(const void *const *at) {
    return *(const void *const volatile *)at;
}
static inline size_t once_size(const size_t *at) {
    return *(const volatile size_t *)at;
}

static inline uint32_t my_slot(struct plc_cache *c) {
    return owner_slot(word_rlx(&c->owner));
}

static inline struct shm_process *process_row(const struct plc_cache *c, uint32_t slot) {
    return (struct shm_process *)(void *)(c->processes + (size_t)(slot - 1) * c->geo.process_bytes);
}

/* Is the owner named by this page word alive?  (Owner words of foreign regions and garbage are not.) */
static inline bool owner_alive(const struct plc_cache *c, uint64_t page_word) {
    uint32_t slot = owner_slot(page_word), inc = owner_inc(page_word);
    if (slot == 0 || slot > c->geo.slots || (inc & 1u) == 0) {
        return false;
    }
    return word_acq(&process_row(c, slot)->inc) == inc;
}

#endif
