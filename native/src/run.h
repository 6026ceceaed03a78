/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.h: filling a run that one owns.  A writer fills behind the mark, without any lock, so that a slow,
 * stopped or dead writer leaves no hole and holds up nobody; the mark is raised immediately before the slot
 * is swapped (commit), and the run is parked or sealed strictly after (finish): sealing first would let an
 * evictor free it under a writer that was stopped in between.
 */
#ifndef PLC_RUN_H
#define PLC_RUN_H

#include "entry.h"
#include "queue.h"
#include "spare.h"

/* Where this ticket's last run of a queue is remembered. */
static inline word *run_last(const struct call *k, enum queue_of queue) {
    return queue == QUEUE_MAIN ? &k->c->last_main[k->ticket] : &k->c->last_run[k->ticket];
}

/* An OPEN run that this call owns, and the entry that it is filling at its end. */
struct fill {
    uint32_t head;   /* 0: none */
    uint32_t gen;
    uint32_t pages;
    uint32_t mark;   /* where the entry begins */
    uint64_t bytes;  /* of the entry */
    bool own;        /* a run for this entry alone */
    bool committed;  /* the mark is beyond it: if no slot names it, it is dead */
    bool published;
    word *last;      /* of this process: where the run is remembered when it is parked */
};

/* Describes the run that pages_form has just made for me. */
void run_begin(struct call *k, uint32_t head, bool own, struct fill *f);

/* Continues a parked run, or the open one of a dead owner, if it has room for `need` bytes. */
bool run_resume(struct call *k, uint32_t head, uint64_t need, struct fill *f);

/* Continues the parked run of that queue that a hint names: *last (of this process, 0 none), else one of the
 * parked list.  When none has room, the run of *last is sealed: who parks and forgets fills the list. */
bool run_again(struct call *k, word *last, enum queue_of queue, uint64_t need, struct fill *f);

/* Writes header and key of the entry; the value goes to what is returned.  pre: there is room. */
uint8_t *run_write(struct call *k, struct fill *f, const struct spec *s);
/* The entry's checksums, when its value is complete and before it is committed; nothing where entries have none. */
static inline void run_sign(const struct call *k, const struct fill *f) {
    if (k->c->persistent) {
        entry_sign(k->c, page_bytes(k->c, f->head) + f->mark, (struct entry_place){f->head, f->gen, f->mark});
    }
}
/* The slot value that names the entry. */
uint64_t run_place(const struct call *k, const struct fill *f);
/* Raises the mark over the entry.  Immediately before each swap of a slot. */
void run_commit(struct call *k, struct fill *f);
/* Ready for one more entry in the same run (copies of an eviction). */
void run_next(struct fill *f);
uint64_t run_room(const struct fill *f);

/* Parks or seals the run; always, also after failure.  pre: pins and locks that the call may hold are
 * released or do not matter; published says whether a slot was swapped to the last entry. */
void run_finish(struct call *k, struct fill *f);

/* A parked run that is too full for what comes: sealed, so that it can be evicted in its turn. */
void run_seal_parked(struct call *k, uint32_t head);

/* Adds to the dead bytes of the run in which the entry lies that a swap of mine has unlinked, before unpin;
 * a sealed run with nothing live is put on the call's list. */
void run_dead(struct call *k, uint32_t head, uint32_t gen, uint64_t bytes);
/* Nothing live in the run of these side words? */
bool run_empty(uint64_t side_a, uint64_t side_b);

#endif
