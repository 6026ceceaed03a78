/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace.h: a child that is run instruction by instruction (ptrace).  Promises: it halts only at traps of its own and
 * behind the steps it is told to take; whoever ends instead, or is halted by anything else, fails the test.
 */
#ifndef PLC_TEST_TRACE_H
#define PLC_TEST_TRACE_H

#include <stdbool.h>
#include <sys/types.h>

/* May a process be traced here?  It may be forbidden, or this program be traced itself in a way that rules it out. */
bool trace_allowed(void);

/* The same, for a program that is nothing without it: where it is not allowed, that is said. */
bool trace_needed(void);

/* In the child: from here on its traps and signals halt it, for its parent to see. */
void trace_me(void);

/* Until it halts. */
void trace_wait(pid_t pid);

/* One instruction on. */
void trace_step(pid_t pid);

/* On until it halts by itself. */
void trace_run(pid_t pid);

/* Lets go of it, stopped (SIGSTOP): it is nobody's to trace any more, and goes on with SIGCONT. */
void trace_leave_stopped(pid_t pid);

#endif
