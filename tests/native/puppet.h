/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * puppet.h: another process that does with the subject what it is told, one task behind the other, and is stepped by
 * this one to just before and just behind each of its stores to the region.  Both are attached to it, and share a
 * processor: they never run at once.  Promises: an instruction is counted only once the act has begun.
 */
#ifndef PLC_TEST_PUPPET_H
#define PLC_TEST_PUPPET_H

#include "subject.h"
#include "trace.h"

/* A hang.  Under sanitizers the longest, which evict and clean in a full pool, were seen to take 300,000. */
#define PUPPET_STEPS_MOST 4000000u

/* The region; each of the two has its own handle in it. */
extern plc_cache *common;

/* What the puppet is told, and answers. */
extern struct task {
    plc_status (*volatile act)(void);
    volatile bool begun, done;
    volatile plc_status status;
    volatile uint64_t token; /* of what is there at first */
    volatile uint32_t run;   /* that it lies in */
    char text[64];           /* what it has read */
    char key[8];             /* arguments of its own, which somebody changes under it */
    plc_part parts[2];
} *task;

/* In a child that is to be stepped from its next trap on: a handle of its own in region "r" instead of its parent's, once
 * it is told to; the parent is told its slot. */
plc_cache *puppet_attach(struct peer_ends ends, plc_cache *inherited);

/* A new region, and the puppet, waiting for its first task; puppet_end: it is killed, and the region is whole. */
void puppet_start(void);
void puppet_end(void);

/* Its next task; nothing of it is done yet. */
void puppet_task(plc_status (*act)(void));

/* The same, with the subject as it is to be at first: "41", or a claim, in a run that is parked and not in the last
 * run of anybody.  With alone, few entries are in that run. */
void puppet_begin(plc_status (*act)(void), bool of_claim, bool alone, const struct call *k);

/* One instruction on; so many of its act.  False: the act has returned. */
void puppet_step(void);
bool puppet_go(unsigned n);

/* On until so many changes of what the subject rests on were seen, and so many instructions beyond; how many
 * instructions before the last of them.  False: the act has returned before. */
bool puppet_step_to(const struct call *k, unsigned changes, unsigned beyond, unsigned *steps_since);

/* On until the act has returned. */
void puppet_let_go(void);

/* The act of reading the subject: its value is the task's text. */
plc_status puppet_get(void);

/* Meanwhile the whole pool is stored anew. */
void puppet_recycle_pool(void);

#endif
