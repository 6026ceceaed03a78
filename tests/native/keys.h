/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keys.h: what the tests of level pku share: the register, whether an address may be touched, and every exported
 * function called once.  Promises: a touch that faults is survived, by the thread that makes it.
 */
#ifndef PLC_TEST_KEYS_H
#define PLC_TEST_KEYS_H

#include "fixture.h"

#include "domain.h"

/* RDPKRU.  pre: keys_there. */
uint32_t register_now(void);
/* The register that a thread had which was halted by a signal, or by a tracer: in its XSAVE area. */
uint32_t register_in(const void *xsave);

/* Do this processor and this kernel have keys?  Where they have not, that is said once. */
bool keys_there(void);
/* How many keys this process could take now. */
unsigned keys_free(void);
/* A new region "r" at level pku. */
plc_cache *region_protected(uint64_t size);

enum touched { TOUCH_FINE, TOUCH_CLOSED, TOUCH_OTHER }; /* CLOSED: a fault because of the region's key */
enum touched touch(const plc_cache *c, const void *at, bool store);
/* Neither to be loaded from nor stored to, page by page, all but the page of wait words? */
bool all_closed(const plc_cache *c);

/* Every function of plc.h that takes an open cache, once at least; check is told what it answered. */
void call_every(plc_cache *c, void (*check)(const char *function, plc_status s));

#endif
