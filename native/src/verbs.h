/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs.h: what each writing verb admits and builds, with memcached's meaning.  An expired or invalidated
 * entry, and a claim, count as absent to the caller, but are found: they are replaced in place.
 */
#ifndef PLC_VERBS_H
#define PLC_VERBS_H

#include "store.h"

/* pre of all: the call's key is set. */
plc_status verb_store(struct call *k, plc_verb verb, const plc_entry *e, uint64_t *token);
plc_status verb_delete(struct call *k);
plc_status verb_incr(struct call *k, uint64_t delta, bool down, uint64_t *result);
plc_status verb_touch(struct call *k, uint64_t deadline_ms);

#endif
