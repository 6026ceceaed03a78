/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.h: how an entry gets into the index, replaces another, or leaves it.  Everything that changes a
 * found entry is one swap of its slot from the pinned old value; only inserting an absent key takes the
 * shard lock, whose holder stores one slot and nothing else.
 */
#ifndef PLC_STORE_H
#define PLC_STORE_H

#include "call.h"

#define SWAPS_MOST 64u /* lost swaps before a writer answers PLC_BUSY: as many others have succeeded */

/* What an operation does, step by step; see store_run. */
struct store {
    struct call *k;
    struct spec spec; /* the new entry; key is k->key */
    const plc_part *parts;
    size_t part_count;
    uint64_t given; /* bytes of all parts together: counted once, the caller's lengths may change */
    struct fill fill;

    /* May this found entry be replaced (PLC_OK), or what is the answer?  hit NULL: the key is absent; PLC_OK
     * then means: insert. */
    plc_status (*admit)(struct store *, const struct hit *hit);
    /* NULL, or: builds the new entry from the pinned old one (PLC_OK), PLC_TOO_SMALL: more room is needed;
     * spec.length is what.  pre: admit has set spec from the old entry. */
    plc_status (*build)(struct store *, const struct hit *hit);
    uint64_t token; /* CAS, REMAKE, PUBLISH: what must be there */
    uint64_t own_token; /* the caller's for the new entry; 0: the core makes one */
    uint64_t delta, number; /* incr */
    uint8_t text[20];       /* the number's digits */
    bool down, front;
    bool ask_first;         /* likely to be refused: looked at before room is made */
    uint64_t deadline_ms;   /* touch, remake; for what is built from the old entry: */
    bool renews;            /* with that deadline, not the old one's */
    uint8_t type;           /* remake: the caller's; */
    uint8_t seen_type;      /* and that of the old one */
    uint32_t client_flags;  /* also */
    struct hit early;       /* what was admitted before room was made, if has_early */
    bool has_early;
    bool placed;            /* the value lies in `fill` already, which stays open until it is published */
    struct {                /* what gave way to the new entry; bytes 0: nothing */
        uint32_t head, gen;
        uint64_t bytes;
        enum entry_kind kind;
    } replaced;
};

/* An operation of k; the fields that only some have are 0. */
static inline void store_begin(struct store *st, struct call *k) {
    st->k = k;
    st->parts = NULL;
    st->part_count = 0;
    st->given = 0;
    st->fill.head = 0;
    st->build = NULL;
    st->token = st->own_token = st->delta = st->number = st->deadline_ms = 0;
    st->down = st->front = st->renews = st->ask_first = st->has_early = st->placed = false;
    st->replaced.bytes = 0;
}

/* The call's key and the caller's entry as a spec, all but the sum, if it is to be captured now: that is in the region,
 * and of the caller's memory only the parts are read once more (store_parts).  PLC_OK, PLC_INVALID. */
plc_status store_spec(struct store *st, const plc_entry *e);
void store_sum(struct store *st); /* captures it, before anything else is looked at */
/* The new entry's: the caller's own, or one that nothing else has ever had.  What is content-addressed has always such
 * a one: a rebuild counts on from them.  pre: spec says whether it is. */
uint64_t store_token(struct store *st);
/* Copies the caller's parts to where there is room for st->given bytes. */
void store_parts(const struct store *st, uint8_t *to);
/* Only opens a run for the value, st->fill, which stays open. */
plc_status store_room(struct store *st);
/* Runs the operation.  Nothing is changed unless PLC_OK. */
plc_status store_run(struct store *st);

/* Takes a found, pinned entry out: swap to 0, dead bytes, unpin.  False: the swap was lost (still pinned). */
bool store_unlink(struct call *k, const struct hit *hit);

#endif
