/* SPDX-License-Identifier: BSD-3-Clause */
/* paired.h: random operations, each on the cache and on the slow model (slow.h), whose answers must be the same. */
#ifndef PLC_TEST_PAIRED_H
#define PLC_TEST_PAIRED_H

#include "fixture.h"

struct load {
    const char *what;
    uint64_t region;
    unsigned keys;
    size_t small, large;  /* longest value of each kind */
    unsigned large_in_1000;
    unsigned every;       /* check() after so many operations */
};

/* From now on with this cache, empty as the model is; and the end of it, before the cache is closed or after. */
void paired_begin(plc_cache *cache, const struct load *l);
void paired_end(void);

/* Any operation, on any key. */
void paired_step(void);
/* A get of that key. */
void paired_look(unsigned i);

#endif
