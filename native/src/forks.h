/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forks.h: what happens before and after a fork of a process that has regions attached.  The child forgets who its
 * parent was in them and takes a place of its own at its first call.  What the parent holds in place when it forks is
 * held for the child too, by a place that is made beforehand; where none can be had, the child's views are closed to
 * it: they fault, rather than show what came there later.  What the parent fills in place is memory of no meaning in
 * the child.
 */
#ifndef PLC_FORKS_H
#define PLC_FORKS_H

/* For pthread_atfork. */
void forks_before(void);
void forks_parent(void);
void forks_child(void);

#endif
