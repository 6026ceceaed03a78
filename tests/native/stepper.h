/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stepper.h: a process that does one thing and can be halted behind any of its instructions (trace.h).  It is forked
 * from this one, makes itself ready, and is stepped, or let run to a place on a path that was recorded before, which
 * costs two stops instead of one for each instruction.  Promises: nothing of what it does before or behind the act is
 * counted; whoever hangs, or ends otherwise than by being killed, fails the test.
 * An instruction that repeats itself (rep) counts as one each time it does.
 */
#ifndef PLC_TEST_STEPPER_H
#define PLC_TEST_STEPPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plc.h"

struct victim {
    pid_t pid;
    uint32_t slot; /* its place in the region, when it had made itself ready */
};

/* What one run of an act passed: pc[i] is where it was behind its i-th instruction. */
struct path {
    uint64_t *pc;
    uint32_t *passed;   /* how often it had been at pc[i] by then */
    uint32_t *landmark; /* the place at or before i to which it is run, rather than stepped: that is quickest */
    uint32_t n, room;   /* behind the n-th instruction the act has returned */
};

/* May a process be traced here, and do we know how to? */
bool stepper_allowed(void);

/* Forks; there ready() is called, which returns the process's slot, and it is halted before act(). */
struct victim stepper_start(uint32_t (*ready)(void), plc_status (*act)(void));

/* One instruction on.  False: the act has returned. */
bool stepper_step(struct victim *v);

/* Steps through all of it, from its beginning on; each(i) is called behind the i-th instruction. */
void stepper_walk(struct victim *v, struct path *p, void (*each)(uint32_t i));

/* From its beginning behind the n-th instruction, n <= p->n.  False: the act has returned before. */
bool stepper_go(struct victim *v, const struct path *p, uint32_t n);

/* Lets it run until the act has returned, and leaves it halted there; what the act has returned. */
plc_status stepper_finish(struct victim *v);

/* Kills it, wherever it is, and waits until it is gone. */
void stepper_kill(struct victim *v);

/* Places at which stepper_go found another instruction than the path has: killed there all the same. */
uint64_t stepper_diverged(void);

#endif
