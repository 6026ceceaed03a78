/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * core.c: runs each operation of the core on warm keys, between marks; run.py runs it under callgrind.
 *
 *     core FOLDER
 *
 * 1,000 keys of 16 bytes, values of 128 bytes, the region's file in FOLDER.  A mark's name is "ROW OPERATIONS".
 * What is counted is the call as a C program makes it, and the loop around it, a handful of instructions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plc.h"

#define KEYS 1000u
#define KEY_LENGTH 16u
#define BATCH 100u
#define VALUE 128u
#define PASSES 4u

void mark_instrument(void);
void mark_begin(void);
void mark_end(const char *name);

#define CHECK(expr)                                                                  \
    do {                                                                             \
        if (!(expr)) {                                                               \
            (void)fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #expr); \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

/* The status of a call that is repeated as plc.h says: the first passes meet memory that is not there yet. */
#define AGAIN(c, call)                            \
    ({                                            \
        plc_status again_;                        \
        while ((again_ = (call)) == PLC_AGAIN) {  \
            CHECK(plc_assist((c), 50) == PLC_OK); \
        }                                         \
        again_;                                   \
    })

typedef void operation(plc_cache *c, uint64_t pass);

static char keys[KEYS][KEY_LENGTH + 1], absent[KEYS][KEY_LENGTH + 1], numbers[KEYS][KEY_LENGTH + 1];
static char value[VALUE], buffer[BATCH * VALUE];

static plc_cache *region(const char *folder, uint64_t size) {
    char path[300];
    plc_cache *c = NULL;
    plc_report report;
    const plc_options options = {.path = path, .size_bytes = size, .create = 1};
    (void)snprintf(path, sizeof path, "%s/%llu", folder, (unsigned long long)size);
    CHECK(plc_open(&options, &c, &report) == PLC_OK);
    return c;
}

static void store(plc_cache *c, plc_verb verb, const char *key, const char *bytes, size_t n) {
    const plc_part part = {bytes, n};
    const plc_entry entry = {.key = key, .key_length = KEY_LENGTH, .parts = &part, .part_count = 1};
    CHECK(AGAIN(c, plc_store(c, verb, &entry, NULL)) == PLC_OK);
}

/* ---- the rows: each does KEYS operations a pass ------------------------------------------------- */

static void get_hit(plc_cache *c, uint64_t pass) {
    plc_found found;
    (void)pass;
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK(plc_get(c, keys[i], KEY_LENGTH, 0, buffer, VALUE, &found) == PLC_OK);
    }
}

static void get_miss(plc_cache *c, uint64_t pass) {
    plc_found found;
    (void)pass;
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK(plc_get(c, absent[i], KEY_LENGTH, 0, buffer, VALUE, &found) == PLC_MISS);
    }
}

static void get_many(plc_cache *c, uint64_t pass) {
    const void *batch[BATCH];
    size_t lengths[BATCH];
    plc_found found[BATCH];
    (void)pass;
    for (unsigned i = 0; i < KEYS; i += BATCH) {
        for (unsigned j = 0; j < BATCH; j++) {
            batch[j] = keys[i + j];
            lengths[j] = KEY_LENGTH;
        }
        CHECK(plc_get_many(c, BATCH, batch, lengths, 0, buffer, sizeof buffer, found) == PLC_OK);
        CHECK(found[BATCH - 1].status == PLC_OK);
    }
}

static void set_replace(plc_cache *c, uint64_t pass) {
    (void)pass;
    for (unsigned i = 0; i < KEYS; i++) {
        store(c, PLC_SET, keys[i], value, VALUE);
    }
}

static void set_new(plc_cache *c, uint64_t pass) {
    (void)pass;
    for (unsigned i = 0; i < KEYS; i++) {
        store(c, PLC_SET, absent[i], value, VALUE);
    }
}

static void delete_hit(plc_cache *c, uint64_t pass) {
    (void)pass;
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK(AGAIN(c, plc_delete(c, absent[i], KEY_LENGTH)) == PLC_OK);
    }
}

static void incr(plc_cache *c, uint64_t pass) {
    uint64_t now;
    (void)pass;
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK(AGAIN(c, plc_incr(c, numbers[i], KEY_LENGTH, 1, 0, &now)) == PLC_OK);
    }
}

static void set_full(plc_cache *c, uint64_t pass) {
    char key[KEY_LENGTH + 1] = "full-00000000000";
    for (uint64_t i = pass * KEYS; i < (pass + 1) * KEYS; i++) {
        memcpy(key + 8, &i, sizeof i);
        store(c, PLC_SET, key, value, VALUE);
    }
}

/* ---- the program -------------------------------------------------------------------------------- */

/* `before` makes what `run` takes away; it is not counted. */
static void count(plc_cache *c, const char *name, operation *run, operation *before, operation *after) {
    char mark[60];
    for (unsigned pass = 0; pass <= PASSES; pass++) { /* the first one warms up */
        if (before != NULL) {
            before(c, pass);
        }
        (void)snprintf(mark, sizeof mark, "%s %u", name, KEYS);
        mark_begin();
        run(c, pass);
        mark_end(pass == 0 ? "warm 1" : mark);
        if (after != NULL) {
            after(c, pass);
        }
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key-%012u", i);
        (void)snprintf(absent[i], sizeof absent[i], "absent-%09u", i);
        (void)snprintf(numbers[i], sizeof numbers[i], "number-%09u", i);
    }
    memset(value, 'v', sizeof value);
    plc_cache *c = region(argv[1], 16ull << 20), *full = region(argv[1], 4ull << 20);
    set_replace(c, 0);
    for (unsigned i = 0; i < KEYS; i++) {
        store(c, PLC_SET, numbers[i], "1000000", 7);
    }
    for (uint64_t pass = 10; pass < 60; pass++) { /* twice what fits */
        set_full(full, pass);
    }
    mark_instrument();
    count(c, "get_hit", get_hit, NULL, NULL);
    count(c, "get_miss", get_miss, NULL, NULL);
    count(c, "get_many", get_many, NULL, NULL);
    count(c, "set_replace", set_replace, NULL, NULL);
    count(c, "set_new", set_new, NULL, delete_hit);
    count(c, "delete", delete_hit, set_new, NULL);
    count(c, "incr", incr, NULL, NULL);
    count(full, "set_full", set_full, NULL, NULL);
    plc_close(full);
    plc_close(c);
    return 0;
}
