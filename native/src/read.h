/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * read.h: get.  No lock, no store into pool or index but the visited hint beside the slot.  What was copied
 * counts only if the run's generation is still the same afterwards; a large value is pinned meanwhile, so
 * that its copy need not be taken again.
 */
#ifndef PLC_READ_H
#define PLC_READ_H

#include "call.h"

/* pre: the call's key is set.  As plc_get. */
plc_status read_value(struct call *k, uint16_t name, void *buffer, size_t capacity, plc_found *found);

#endif
