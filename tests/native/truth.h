/* SPDX-License-Identifier: BSD-3-Clause */
/* truth.h: see truth.c. */
#ifndef PLC_TEST_TRUTH_H
#define PLC_TEST_TRUTH_H

#include <stdint.h>

#include "plc.h"

/* Runs of a resting region of whose bytes more are counted dead than no slot names. */
uint32_t runs_overcounted(const plc_cache *c);

#endif
