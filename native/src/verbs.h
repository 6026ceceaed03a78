/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs.h: what each writing verb admits and builds, with memcached's meaning.  An expired or invalidated
 * entry, and a claim, count as absent to the caller, but are found: they are replaced in place.
 */
#ifndef PLC_VERBS_H
#define PLC_VERBS_H

#include "store.h"

/* pre of all: the call's key is set. */

/* What the caller gives, as an operation of k: the window may be closed.  PLC_OK, PLC_INVALID. */
plc_status verb_given(struct store *st, struct call *k, plc_verb verb, const plc_entry *e);
/* Runs it.  PLC_OK: st->spec.token is the new entry's. */
plc_status verb_store(struct store *st, plc_verb verb);
/* Publishes what lies in st->fill already.  pre: st is begun, spec and fill are complete, st->placed. */
plc_status verb_seal(struct store *st);
plc_status verb_delete(struct call *k);
plc_status verb_incr(struct call *k, uint64_t delta, bool down, uint64_t *result);
plc_status verb_touch(struct call *k, uint64_t deadline_ms);

#endif
