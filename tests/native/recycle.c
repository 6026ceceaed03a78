/* SPDX-License-Identifier: BSD-3-Clause */
/* recycle.c: see recycle.h. */
#include "scene.h"
#include "recycle.h"

#define LONGEST (VALUE_MIN + 99999u)
#define KEYS 80u
#define MOST 2000u
#define BYTES (3u * 1024u * 1024u)
#define AGAIN_MOST 64u /* times that the same values are used */

/* What is stored, and what of it has been stored last under each key.  The values are made once for many times. */
static struct {
    unsigned key;
    size_t length;
    const uint8_t *bytes;
} *stored;
static unsigned stored_there, uses;
static struct {
    uint64_t serial;
    size_t length;
} last[KEYS];

static void key_of(char key[24], unsigned i) {
    (void)snprintf(key, 24, "recycle-%u", i);
}

/* Keys of other shards: whoever holds the subject's lock may be stopped. */
static bool beside(unsigned i) {
    static uint64_t region;
    static bool is[KEYS];
    if (region != scene->region_id) {
        char key[24];
        region = scene->region_id;
        for (unsigned j = 0; j < KEYS; j++) {
            key_of(key, j);
            is[j] = scene_shard_of(key) != scene_shard_of(SUBJECT);
        }
    }
    return is[i];
}

static void choose_values(void) {
    static const size_t most[] = {200, 2000, 7000, 12000, 40000, LONGEST - VALUE_MIN + 1};
    static uint8_t bytes[BYTES + LONGEST];
    size_t made = 0;
    stored = realloc(stored, MOST * sizeof *stored);
    CHECK(stored != NULL);
    for (stored_there = 0; stored_there < MOST && made < BYTES; stored_there++) {
        stored[stored_there].key = (unsigned)below(KEYS);
        stored[stored_there].length = VALUE_MIN + below(most[below(sizeof most / sizeof *most)]);
        stored[stored_there].bytes = bytes + made;
        value_make(bytes + made, stored[stored_there].length, 1000 + stored[stored_there].key, stored_there + 1);
        made += stored[stored_there].length;
    }
}

void recycle_pool(void) {
    uint64_t wanted = 3 * info_of(scene).pool_taken_bytes, bytes = 0;
    char key[24];
    if (uses++ % AGAIN_MOST == 0) {
        choose_values();
    }
    memset(last, 0, sizeof last);
    for (unsigned at = 0; bytes < wanted; at = (at + 1) % stored_there) {
        unsigned i = stored[at].key;
        if (beside(i)) {
            key_of(key, i);
            plc_status s = store(scene, PLC_SET, key, stored[at].bytes, stored[at].length);
            CHECK(s == PLC_OK || s == PLC_FULL); /* who is stopped may be in the way of a large one */
            last[i].serial = s == PLC_OK ? at + 1 : last[i].serial;
            last[i].length = s == PLC_OK ? stored[at].length : last[i].length;
            bytes += stored[at].length;
        }
    }
}

void recycle_is_right(void) {
    char key[24];
    plc_found found;
    static uint8_t buffer[LONGEST];
    for (unsigned i = 0; i < KEYS; i++) {
        key_of(key, i);
        plc_status s = get(scene, key, buffer, sizeof buffer, &found);
        if (s != PLC_MISS) {
            CHECK_STATUS(s, PLC_OK);
            CHECK(last[i].serial != 0);
            CHECK(found.length == last[i].length);
            CHECK(value_serial(buffer, found.length, 1000 + i) == last[i].serial);
        }
    }
}
