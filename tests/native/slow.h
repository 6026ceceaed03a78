/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slow.h: a slow, obvious model of a cache: an array of keys with their bytes.  What the cache answers is compared with
 * it; a key that the model has and the cache has not was evicted: it is counted, and forgotten.
 */
#ifndef PLC_TEST_SLOW_H
#define PLC_TEST_SLOW_H

#include "fixture.h"

#define SLOW_KEYS_MOST 6000u

struct slow_row { /* of the model */
    bool there;
    uint8_t *bytes;
    size_t length;
    uint64_t token, deadline_ms;
    uint32_t flags;
    uint16_t name;
    uint8_t type;
    bool read; /* since it was stored */
};

extern struct slow_row slow_rows[SLOW_KEYS_MOST];
extern uint64_t slow_lost, slow_seen;        /* keys that were forgotten, values that were compared */
extern const char *slow_what, *slow_doing; /* for the message of a failure */

/* Keys of many lengths, one of 4096 among them; the number is in it.  The key's length. */
size_t slow_key(unsigned i, char key[PLC_KEY_MAX]);
void slow_fail(unsigned i, const char *what, plc_status s);

/* The model's own: the key is gone; it has this value now. */
void slow_forget(unsigned i);
void slow_put(unsigned i, const plc_entry *e, const uint8_t *bytes, size_t n, uint64_t token);

/* The cache says that the key is absent; that it is there, which the model must know; that this is its value. */
void slow_absent(unsigned i);
void slow_there(unsigned i, plc_status s);
void slow_same(unsigned i, const uint8_t *bytes, const plc_found *found);

#endif
