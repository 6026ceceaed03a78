/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holding.h: what this process holds in place: which runs its pin cells name and how often each is held, and the
 * mappings of single values that it has made.  All of it is the process's own memory and may be trusted; the cells in
 * the region say only which runs are held.  One lock guards it, which a fork takes from before until after it, so that
 * a child finds it whole and agreeing with the copy of the pins that it gets.
 */
#ifndef PLC_HOLDING_H
#define PLC_HOLDING_H

#include "domain.h"

#define HELD_MOST 100000u /* leases at once in one process */

/* A run that is held; its index is that of the pin cell.  Free ones are chained by `next`. */
struct held {
    uint32_t head, gen;
    uint32_t count; /* of leases; 0: the cell is free */
    uint32_t pages;
    uint32_t next;  /* of those with the same hash, or free: index + 1; 0 ends */
};

enum part_kind { PART_FILLED, PART_SEALED, PART_PRIVATE }; /* being filled; filled, read-only; copied on write */

/* A mapping of one value. */
struct part {
    uint8_t *at; /* NULL: none (a value of no bytes) */
    uint64_t bytes;
    enum part_kind kind;
    struct part *next;
    struct part **back; /* what points to it; NULL: it is in no list */
};

struct holding {
    word32 lock;     /* the thread that is at it; 0: nobody */
    bool forking;    /* between the handlers before and after a fork */
    bool inherited;  /* in a child's handlers: what is held is the child's too */
    uint32_t epoch;  /* changes when everything was lost at a fork: tickets of before mean nothing */
    uint32_t cells;
    uint32_t free;   /* index + 1 of the first free cell, 0: none */
    uint32_t used;   /* cells that are not free */
    uint32_t leases; /* sum of the counts */
    word alive; /* leases and reservations that were not given back: they keep the attachment beyond its closing */
    uint64_t child_place; /* for the child of the fork that is under way; 0: none */
    int child_fd, own_fd; /* that child's proof of life; this process's own, if its parent made its place (-1: none) */
    struct part *parts;
    uint32_t *first; /* by a hash of the head: index + 1 */
    struct held *held;
};

struct holding *holding_make(uint32_t cells); /* NULL: no memory */
void holding_free(struct holding *h);

/* False: this very thread is at it already, so this is a signal handler's call. */
bool holding_lock(struct holding *h);
void holding_unlock(struct holding *h);

/* ---- with the lock held ---- */

/* The cell of a run, or -1. */
int holding_find(const struct holding *h, uint32_t head);
/* A free cell for it, with count 0, or -1. */
int holding_add(struct holding *h, uint32_t head, uint32_t gen, uint32_t pages);
void holding_remove(struct holding *h, uint32_t cell);
/* Forgets all, in a child that has inherited nothing; parts stay in their list. */
void holding_lose(struct holding *h);

void holding_list(struct holding *h, struct part *part);
void holding_unlist(struct part *part);

/* A ticket says which cell, and in which epoch. */
static inline uint64_t ticket_make(const struct holding *h, uint32_t cell) {
    return (uint64_t)h->epoch << 32 | (cell + 1u);
}
/* The cell, or -1 for one that means nothing here. */
static inline int ticket_cell(const struct holding *h, uint64_t ticket) {
    uint32_t cell = (uint32_t)ticket;
    bool good = (uint32_t)(ticket >> 32) == h->epoch && cell != 0 && cell <= h->cells && h->held[cell - 1].count != 0;
    return good ? (int)cell - 1 : -1;
}

#endif
