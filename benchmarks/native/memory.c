/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c: what stays in the cache.  Hit ratios on traces beside those of an exact LRU of the same bytes, what
 * remains of a working set under overwriting, and how much of a full pool is payload, keys and headers.  Counts,
 * not times: the same seeds give the same rows on any machine.  One JSON object per line.
 *
 *   gcc -O2 -std=gnu11 -pthread -Inative/include -o memory benchmarks/native/memory.c native/src/[a-z]*.c -lm
 *   ./memory [--scale PERCENT] [ROW ...]        rows whose name contains one of the words; all without
 *
 * --scale makes traces shorter and the pools smaller (smoke tests); the figures are then not comparable.
 * With MORE set in the environment, a trace's counters are printed to standard error.
 * Regions are made in PLIB_CACHE_DIR, or /dev/shm, and removed.
 *
 * The LRU is simulated: it gets the bytes that the region's pool has, and pays for an entry what the region pays
 * (header, key and value, rounded to 16); it has no index, no fragments and no other overhead.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plc.h"
#include "simulated.h"

#define MIB (1024ull * 1024ull)
#define KEY_BYTES 16u
#define HEADER_BYTES 40u
#define VALUE_MOST (24u * MIB)

static unsigned scale = 100;
static uint8_t *block, *buffer;
static plc_cache *cache;
static char path[512];

static void fail(const char *what, plc_status s) {
    (void)fprintf(stderr, "memory: %s: %s\n", what, plc_status_text(s));
    if (path[0] != '\0') {
        (void)unlink(path);
    }
    exit(1);
}

static void must(plc_status s) {
    if (s != PLC_OK) {
        fail("the region", s);
    }
}

/* ---- the region ----------------------------------------------------------------------------- */

static uint64_t region_new(uint64_t size) {
    const char *folder = getenv("PLIB_CACHE_DIR");
    (void)snprintf(path, sizeof path, "%s/plc-memory-%d", folder != NULL ? folder : "/dev/shm", (int)getpid());
    const plc_options options = {.path = path, .size_bytes = size, .create = 1, .protection = PLC_PROTECT_NONE};
    plc_report report;
    plc_status s = plc_open(&options, &cache, &report);
    if (s != PLC_OK) {
        fail(path, s);
    }
    plc_info info;
    must(plc_info_read(cache, &info));
    return info.pool_bytes;
}

static void region_end(void) {
    plc_report report;
    plc_close(cache);
    must(plc_remove(path, &report));
    path[0] = '\0';
}

static uint64_t counter(const char *name) {
    plc_stats stats;
    must(plc_stats_read(cache, &stats));
    for (uint32_t i = 0; plc_counter_name(i) != NULL; i++) {
        if (strcmp(plc_counter_name(i), name) == 0) {
            return stats.counters[i];
        }
    }
    return 0;
}

static uint64_t entry_bytes(uint64_t value) {
    return (HEADER_BYTES + KEY_BYTES + value + 15) & ~15ull;
}

static void key_of(uint64_t id, char key[KEY_BYTES + 1]) {
    (void)snprintf(key, KEY_BYTES + 1, "key-%012" PRIu64, id);
}

static void cache_set(uint64_t id, uint64_t n) {
    char key[KEY_BYTES + 1];
    key_of(id, key);
    const plc_part part = {block, n};
    const plc_entry e = {.key = key, .key_length = KEY_BYTES, .parts = &part, .part_count = 1};
    plc_status s;
    while ((s = plc_store(cache, PLC_SET, &e, NULL)) == PLC_AGAIN) {
        must(plc_assist(cache, 50));
    }
    if (s != PLC_OK && s != PLC_FULL) {
        fail("set", s);
    }
}

static bool cache_get(uint64_t id, bool bytes) {
    char key[KEY_BYTES + 1];
    plc_found found;
    plc_status s;
    key_of(id, key);
    while ((s = plc_get(cache, key, KEY_BYTES, 0, buffer, bytes ? VALUE_MOST : 0, &found)) == PLC_AGAIN) {
        must(plc_assist(cache, 50));
    }
    return s == PLC_OK || s == PLC_TOO_SMALL;
}

/* ---- traces --------------------------------------------------------------------------------- */

struct trace {
    const char *name;
    double exponent;
    uint64_t size;      /* of the region */
    unsigned overwrite; /* percent of operations that set whatever is there */
    unsigned scan;      /* percent of operations that belong to a scan of keys never seen again */
    unsigned large;     /* per thousand of the keys whose values have 64 KiB to 1 MiB */
    uint64_t value;     /* bytes of the others */
    double goal;        /* points above the LRU */
};

static uint64_t length_of(const struct trace *t, uint64_t id) {
    uint64_t x = (id + 1) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 29) * 0x94d049bb133111ebull;
    x ^= x >> 32;
    if (x % 1000 < t->large) {
        return (uint64_t)(65536.0 * pow(16.0, (double)(x >> 32) / 4294967296.0));
    }
    return t->value;
}

struct tally {
    uint64_t reads, ours, lrus, bytes, our_bytes, lru_bytes;
};

static void trace_step(const struct trace *t, const struct zipf *z, struct lru *l, uint64_t *scanned,
                       struct tally *tally) {
    bool scan = t->scan != 0 && random64() % 100 < t->scan;
    uint32_t id = scan ? (uint32_t)(z->n + (*scanned)++) : zipf_next(z);
    uint64_t n = length_of(t, id);
    bool set = t->overwrite != 0 && !scan && random64() % 100 < t->overwrite;
    bool ours = !set && cache_get(id, true);
    bool theirs = !set && lru_get(l, id + 1);
    if (!ours) {
        cache_set(id, n);
    }
    if (!theirs) {
        lru_put(l, id + 1, (uint32_t)entry_bytes(n));
    }
    if (!set && !scan) {
        tally->reads++;
        tally->ours += ours ? 1 : 0;
        tally->lrus += theirs ? 1 : 0;
        tally->bytes += n;
        tally->our_bytes += ours ? n : 0;
        tally->lru_bytes += theirs ? n : 0;
    }
}

static double part(uint64_t a, uint64_t b) {
    return b == 0 ? 0 : (double)a / (double)b;
}

static double amplification(void) {
    uint64_t written = counter("bytes_written");
    return part(written + counter("bytes_reinserted"), written);
}

static void row_trace(const struct trace *t) {
    uint64_t size = t->size * (scale < 100 ? scale : 100) / 100;
    uint64_t pool = region_new(size < 8 * MIB ? 8 * MIB : size);
    double mean = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        mean += (double)entry_bytes(length_of(t, i)) / 100000;
    }
    uint64_t keys = (uint64_t)(10.0 * (double)pool / mean);
    uint64_t steps = keys *
                     (t->large != 0        ? 12
                      : t->size > 64 * MIB ? 3
                                           : 8) *
                     (scale < 100 ? scale : 100) / 100,
             scanned = 0;
    struct zipf z;
    struct lru l;
    struct tally tally = {0}, warm = {0};
    zipf_new(&z, keys, t->exponent);
    lru_new(&l, keys + 2 * steps * t->scan / 100 + 1000, pool);
    for (uint64_t i = 0; i < steps; i++) {
        trace_step(t, &z, &l, &scanned, i < steps / 2 ? &warm : &tally);
    }
    double ours = 100 * part(tally.ours, tally.reads), lru = 100 * part(tally.lrus, tally.reads);
    (void)printf("{\"row\": \"%s\", \"hits\": %.2f, \"lru\": %.2f, \"over\": %.2f, \"goal\": %.1f, \"met\": %s, "
                 "\"byte_hits\": %.2f, \"lru_byte_hits\": %.2f, \"amplification\": %.2f, \"dropped_visited\": %" PRIu64
                 ", \"refused\": %" PRIu64 "}\n",
                 t->name, ours, lru, ours - lru, t->goal, ours - lru >= t->goal ? "true" : "false",
                 100 * part(tally.our_bytes, tally.bytes), 100 * part(tally.lru_bytes, tally.bytes), amplification(),
                 counter("evicted_visited_dropped"), counter("stores_refused_full"));
    if (getenv("MORE") != NULL) {
        for (uint32_t i = 0; plc_counter_name(i) != NULL; i++) {
            (void)fprintf(stderr, "%s=%" PRIu64 " ", plc_counter_name(i), counter(plc_counter_name(i)));
        }
    }
    zipf_end(&z);
    lru_end(&l);
    region_end();
}

static const struct trace traces[] = {
    {"zipf-0.8", 0.8, 32 * MIB, 0, 0, 0, 1000, 5},
    {"zipf-1.0", 1.0, 32 * MIB, 0, 0, 0, 1000, 0},
    {"zipf-1.2", 1.2, 32 * MIB, 0, 0, 0, 1000, 0},
    {"zipf-0.8-large-region", 0.8, 256 * MIB, 0, 0, 0, 1000, 5},
    {"zipf-0.8-small-values", 0.8, 32 * MIB, 0, 0, 0, 200, 5},
    {"zipf-0.8-scans", 0.8, 32 * MIB, 0, 30, 0, 1000, 0},
    {"zipf-1.0-scans", 1.0, 32 * MIB, 0, 30, 0, 1000, 0},
    {"zipf-1.2-scans", 1.2, 32 * MIB, 0, 30, 0, 1000, 0},
    {"zipf-0.8-overwrites", 0.8, 32 * MIB, 30, 0, 0, 1000, 0},
    {"zipf-1.0-overwrites", 1.0, 32 * MIB, 30, 0, 0, 1000, 0},
    {"zipf-1.2-overwrites", 1.2, 32 * MIB, 30, 0, 0, 1000, 0},
    {"mixed-sizes-0.8", 0.8, 256 * MIB, 0, 0, 100, 1000, -1},
    {"mixed-sizes-1.0", 1.0, 256 * MIB, 0, 0, 100, 1000, -1},
    {"mixed-sizes-few-0.8", 0.8, 64 * MIB, 0, 0, 10, 1000, -1},
    {"mixed-sizes-few-1.0", 1.0, 64 * MIB, 0, 0, 10, 1000, -1},
};

/* ---- a working set that is overwritten ------------------------------------------------------ */

static uint64_t resident(uint64_t first, uint64_t n) {
    uint64_t there = 0;
    for (uint64_t i = 0; i < n; i++) {
        there += cache_get(first + i, false) ? 1 : 0;
    }
    return there;
}

static void row_overwrites(const char *name, unsigned percent) {
    uint64_t pool = region_new(scale < 100 ? 8 * MIB : 64 * MIB);
    uint64_t keys = pool * percent / 100 / entry_bytes(1000);
    for (uint64_t i = 0; i < keys; i++) {
        cache_set(i, 1000);
    }
    for (uint64_t i = 0; i < 8 * keys; i++) {
        cache_set(random64() % keys, 1000);
    }
    uint64_t there = resident(0, keys);
    bool wanted = percent <= 70;
    (void)printf("{\"row\": \"%s\", \"keys\": %" PRIu64 ", \"resident\": %.2f, \"goal\": %d, \"met\": %s, "
                 "\"amplification\": %.2f, \"evictions\": %" PRIu64 "}\n",
                 name, keys, 100 * part(there, keys), wanted ? 100 : 0, !wanted || there == keys ? "true" : "false",
                 amplification(), counter("evictions"));
    region_end();
}

static void row_increments(void) {
    uint64_t pool = region_new(scale < 100 ? 8 * MIB : 64 * MIB);
    uint64_t keys = pool * 9 / 10 / entry_bytes(1000), result = 0, times = 10000000ull * scale / 100;
    for (uint64_t i = 0; i < keys; i++) {
        cache_set(i, 1000);
    }
    const plc_part part_of = {"0", 1};
    const plc_entry e = {.key = "number", .key_length = 6, .parts = &part_of, .part_count = 1};
    while (plc_store(cache, PLC_SET, &e, NULL) == PLC_AGAIN) {
        must(plc_assist(cache, 50));
    }
    for (uint64_t i = 0; i < times; i++) {
        plc_status s;
        while ((s = plc_incr(cache, "number", 6, 1, 0, &result)) == PLC_AGAIN) {
            must(plc_assist(cache, 50));
        }
        if (s != PLC_OK) {
            fail("incr", s);
        }
    }
    uint64_t there = resident(0, keys);
    (void)printf("{\"row\": \"increments\", \"times\": %" PRIu64 ", \"keys\": %" PRIu64
                 ", \"resident\": %.2f, \"goal\": 100, \"met\": %s, \"evictions\": %" PRIu64 "}\n",
                 times, keys, 100 * part(there, keys), there == keys && result == times ? "true" : "false",
                 counter("evictions"));
    region_end();
}

/* ---- share of a full pool ------------------------------------------------------------------- */

static void row_share(const char *name, uint64_t bytes, uint64_t pool) {
    double share = part(bytes, pool);
    (void)printf("{\"row\": \"%s\", \"share\": %.3f, \"goal\": 0.9, \"met\": %s}\n", name, share,
                 share >= 0.9 ? "true" : "false");
}

static uint64_t fill(uint64_t first, uint64_t n, uint64_t pool) {
    uint64_t keys = pool * 2 / entry_bytes(n) + 1;
    for (uint64_t i = 0; i < keys; i++) {
        cache_set(first + i, n);
    }
    return resident(first, keys) * entry_bytes(n);
}

static void row_shares(void) {
    uint64_t size = 256 * MIB, pool = region_new(size), sixteenth = pool / 16 - 8192, first = 0;
    row_share("share-1-KB", fill(first, 1000, pool), pool);
    row_share("share-sixteenths-after-1-KB", fill(first += 1u << 24, sixteenth, pool), pool);
    row_share("share-1-KB-after-sixteenths", fill(first += 1u << 24, 1000, pool), pool);
    region_end();
    pool = region_new(size);
    row_share("share-sixteenths", fill(0, sixteenth, pool), pool);
    region_end();
    pool = region_new(size);
    enum { COUNT = 1200 };
    static uint64_t lengths[COUNT];
    uint64_t there = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        lengths[i] = (uint64_t)(262144.0 * pow(16.0, random_part()));
        cache_set(i, lengths[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        there += cache_get(i, false) ? entry_bytes(lengths[i]) : 0;
    }
    row_share("share-log-uniform", there, pool);
    region_end();
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool wanted(const char *name, int words, char **word) {
    for (int i = 0; i < words; i++) {
        if (strstr(name, word[i]) != NULL) {
            return true;
        }
    }
    return words == 0;
}

int main(int argc, char **argv) {
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--scale") == 0) {
        scale = (unsigned)strtoul(argv[2], NULL, 10);
        scale = scale == 0 ? 1 : scale;
        first = 3;
    }
    int words = argc - first;
    block = room(1, VALUE_MOST);
    buffer = room(1, VALUE_MOST);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        if (wanted(traces[i].name, words, argv + first)) {
            state = 1000 + i;
            row_trace(&traces[i]);
        }
    }
    for (unsigned percent = 50; percent <= 90; percent += 10) {
        char name[40];
        (void)snprintf(name, sizeof name, "working-set-%u", percent);
        if (wanted(name, words, argv + first)) {
            state = percent;
            row_overwrites(name, percent);
        }
    }
    if (wanted("increments", words, argv + first)) {
        row_increments();
    }
    if (wanted("shares", words, argv + first)) {
        state = 7;
        row_shares();
    }
    free(block);
    free(buffer);
    return 0;
}
