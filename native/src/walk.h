/* SPDX-License-Identifier: BSD-3-Clause */
/* walk.h: walking the index or the pool in slices, without a lock: keys, len, usage, drain. */
#ifndef PLC_WALK_H
#define PLC_WALK_H

#include "call.h"

/* Reads what is in a slot, unpinned: true if it is a current entry; believed after index_still. */
bool walk_entry(struct call *k, const word *slot, struct entry *e);
uint64_t walk_buckets(const plc_cache *c);

plc_status walk_scan(struct call *k, uint64_t *cursor, uint16_t name, uint8_t *buffer, size_t capacity, size_t *used);
plc_status walk_count(struct call *k, uint64_t *cursor, uint16_t name, uint64_t *count_of);
plc_status walk_usage(struct call *k, uint64_t *cursor, plc_usage *usage);
plc_status walk_drain(struct call *k, uint64_t *cursor, uint64_t *free_pages, uint64_t *longest);

#endif
