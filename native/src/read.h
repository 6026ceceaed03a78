/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * read.h: get.  No lock, no store into pool or index but the visited hint beside the slot.  What was copied
 * counts only if the run's generation is still the same afterwards; a large value is pinned meanwhile, so
 * that its copy need not be taken again.
 */
#ifndef PLC_READ_H
#define PLC_READ_H

#include "lease.h"

/* pre: the call's key is set.  As plc_get. */
plc_status read_value(struct call *k, uint16_t name, void *buffer, size_t capacity, plc_found *found);

/* Has it been read since it was stored?  *read counts only if PLC_OK; PLC_MISS; PLC_AGAIN.  Nothing is marked or
 * counted.  pre: the call knows the time. */
plc_status read_was_read(struct call *k, bool *read);

/* As plc_peek.  pre: the call knows the time. */
plc_status read_peek(struct call *k, void *buffer, size_t capacity, plc_found *found);

/* Leases the value instead.  PLC_OK: *ticket, *value (in the region) and *found are set; PLC_COPY: to be read by
 * read_value instead, nothing is counted; PLC_MISS; PLC_AGAIN.  pre: holding's lock held. */
plc_status read_lease(struct call *k, uint16_t name, uint64_t *ticket, const uint8_t **value, plc_found *found);

/* The same for many keys, one call's worth of plc_get_many. */
struct read_batch {
    const void *const *keys;
    const size_t *key_lengths;
    size_t count;
    uint8_t *buffer;
    size_t capacity;
    plc_found *found; /* status, offset and description of each */
    uint16_t name;
};

/* PLC_OK; PLC_INVALID: a key's length; PLC_AGAIN. */
plc_status read_many(struct call *k, const struct read_batch *batch);

#endif
