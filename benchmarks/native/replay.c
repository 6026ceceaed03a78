/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.c: asks a region for what a trace names, and stores what is not there, as a cache is used: a get, and after a
 * miss the computation's result with what it cost.  No times: the same trace gives the same answers on any machine.
 *
 *   ./replay REGION SIZE_BYTES < TRACE > ANSWERS
 *
 * TRACE is one record after the other, `struct request`.  ANSWERS has a byte for each, 1 if it was a hit, and then
 * the pool's bytes in decimal and the counters, in one line of text each, on standard error.  The region is made and
 * removed.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plc.h"

#define KEY_BYTES 16u
#define VALUE_MOST (8u << 20)

struct request {
    uint32_t id;
    uint32_t value_bytes;
    uint32_t cost; /* its code, 0 to 255 */
};

static plc_cache *cache;
static uint8_t block[VALUE_MOST];

static void must(const char *what, plc_status s) {
    if (s != PLC_OK) {
        (void)fprintf(stderr, "replay: %s: %s\n", what, plc_status_text(s));
        exit(1);
    }
}

static uint64_t region_new(const char *path, uint64_t size) {
    const plc_options options = {.path = path, .size_bytes = size, .create = 1, .protection = PLC_PROTECT_NONE};
    plc_report report;
    plc_info info;
    must(path, plc_open(&options, &cache, &report));
    must(path, plc_info_read(cache, &info));
    return info.pool_bytes;
}

/* Is it there, and is all of it handed out? */
static bool ask(const char *key) {
    plc_found found;
    plc_status s;
    while ((s = plc_get(cache, key, KEY_BYTES, 0, block, sizeof block, &found)) == PLC_AGAIN) {
        must("assist", plc_assist(cache, 50));
    }
    if (s != PLC_MISS) {
        must("get", s);
    }
    return s == PLC_OK;
}

static void put(const char *key, const struct request *r) {
    const plc_part part = {block, r->value_bytes};
    const plc_entry e = {
        .key = key, .key_length = KEY_BYTES, .parts = &part, .part_count = 1, .cost = (uint8_t)r->cost};
    plc_status s;
    while ((s = plc_store(cache, PLC_SET, &e, NULL)) == PLC_AGAIN) {
        must("assist", plc_assist(cache, 50));
    }
    if (s != PLC_FULL) { /* counted by the region, and a miss from then on */
        must("set", s);
    }
}

static void replay(void) {
    struct request r;
    while (fread(&r, sizeof r, 1, stdin) == 1) {
        char key[KEY_BYTES + 1];
        if (r.value_bytes > VALUE_MOST || r.cost > UINT8_MAX) {
            must("a request", PLC_INVALID);
        }
        (void)snprintf(key, sizeof key, "key-%012" PRIu32, r.id);
        bool hit = ask(key);
        if (!hit) {
            put(key, &r);
        }
        (void)putchar(hit ? 1 : 0);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        (void)fprintf(stderr, "replay REGION SIZE_BYTES < TRACE > ANSWERS\n");
        return 2;
    }
    uint64_t pool = region_new(argv[1], strtoull(argv[2], NULL, 10));
    replay();
    plc_stats stats;
    plc_report report;
    must("counters", plc_stats_read(cache, &stats));
    (void)fprintf(stderr, "pool_bytes %" PRIu64 "\n", pool);
    for (uint32_t i = 0; plc_counter_name(i) != NULL; i++) {
        (void)fprintf(stderr, "%s %" PRIu64 "\n", plc_counter_name(i), stats.counters[i]);
    }
    plc_close(cache);
    must(argv[1], plc_remove(argv[1], &report));
    return 0;
}
