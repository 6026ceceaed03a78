/* SPDX-License-Identifier: BSD-3-Clause */
/* recycle.h: what others do while somebody is halted in the midst of an operation: all pages become other runs'. */
#ifndef PLC_TEST_RECYCLE_H
#define PLC_TEST_RECYCLE_H

/* Stores three times as many bytes as the pool has, beside the subject's shard; and then: all of it is read, and what
 * is there is what was stored last. */
void recycle_pool(void);
void recycle_is_right(void);

#endif
