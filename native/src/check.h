/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.h: the invariants of layout.h as code, one function each, over a region that may be in use: what
 * looks wrong is looked at a second time, and is reported only if it is still the same.
 */
#ifndef PLC_CHECK_H
#define PLC_CHECK_H

#include "walk.h"

/* As plc_check. */
plc_status check_slice(struct call *k, uint64_t *cursor, plc_finding *findings, size_t capacity, size_t *count_of);

#endif
