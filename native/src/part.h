/* SPDX-License-Identifier: BSD-3-Clause */
/* part.h: mappings of single values, beside those of the whole region: what is filled in place, and private copies.
 * Window closed for all of these. */
#ifndef PLC_PART_H
#define PLC_PART_H

#include "holding.h"
#include "process.h"

/* Maps bytes [from, from + bytes) of the region's file (from: a page).  0, or an errno: EBADF when the descriptors are
 * not ours any more. */
int part_map(plc_cache *c, struct part *part, enum part_kind kind, uint64_t from, uint64_t bytes);
/* Takes a filled part's stores away. */
int part_seal(plc_cache *c, struct part *part);
/* Puts other memory in its place. */
void part_disown(plc_cache *c, struct part *part);
void part_unmap(plc_cache *c, struct part *part);

/* The mapping of the whole region that can only be read, made at its first use: until then no address of the process
 * shows the region but to calls.  NULL: it cannot be had. */
const uint8_t *part_view(plc_cache *c);

/* inplace.c: gives back a lease, and what kept the attachment. */
void part_release(plc_cache *c, uint64_t ticket);

#endif
