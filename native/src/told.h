/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * told.h: a value that another process has told of: by the run that it has for its own, the run's generation, and the
 * value's token.  Who tells keeps it, so it is there, though no slot may name it any more (it is in limbo then).
 * Nothing of what was told is believed before the region agrees.
 */
#ifndef PLC_TOLD_H
#define PLC_TOLD_H

#include "lease.h"

struct told {
    uint64_t run, token;
};

static inline uint64_t told_make(uint32_t head, uint32_t gen) {
    return (uint64_t)gen << 32 | head;
}

/* What was leased: where it lies in the region, and what it is. */
struct leased {
    uint64_t ticket;
    const uint8_t *value;
    plc_found found;
};

/* Leases it.  PLC_OK and *l; PLC_COPY: the limits are reached; PLC_MISS; PLC_BUSY: it was being evicted the whole time;
 * PLC_AGAIN.  pre: holding's lock held. */
plc_status told_lease(struct call *k, struct told t, struct leased *l);

/* Copies it.  PLC_OK; PLC_TOO_SMALL, with *found; PLC_MISS; PLC_AGAIN. */
plc_status told_read(struct call *k, struct told t, void *buffer, size_t capacity, plc_found *found);

#endif
