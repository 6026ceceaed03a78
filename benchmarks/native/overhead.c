/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * overhead.c: what an entry costs beside its key and its value, in a region that is full.
 *
 *     overhead REGION_MIB VALUE_BYTES EXPECTED_ENTRY
 *
 * Keys of 16 bytes and values of so many are stored until twice what fits was stored; then the memory that the region's
 * file has is divided by the entries that are there.  EXPECTED_ENTRY is the option that the index is sized by, 0 for its
 * default.  Prints one JSON object: entries, and bytes of each part that the file consists of; the parts are all of it.
 * The region is made in PLIB_CACHE_DIR, or /dev/shm, and removed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plc.h"

#define MIB (1024ull * 1024ull)
#define KEY_BYTES 16u
#define VALUE_MOST 4096u
#define PAGE_BYTES 4096u
#define PAGE_WORDS 24u /* bytes of a page's three words */
#define BUCKET_SLOTS 7u
#define BUCKET_BYTES 64u

static plc_cache *cache;
static char path[512];

static void must(const char *what, plc_status s) {
    if (s != PLC_OK && s != PLC_DONE) {
        (void)fprintf(stderr, "overhead: %s: %s\n", what, plc_status_text(s));
        (void)unlink(path);
        exit(1);
    }
}

static void fill(uint64_t count, uint64_t length) {
    static const char block[VALUE_MOST];
    char key[KEY_BYTES + 1];
    for (uint64_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "key-%012" PRIu64, i % 1000000000000u);
        const plc_part part = {block, length};
        const plc_entry e = {.key = key, .key_length = KEY_BYTES, .parts = &part, .part_count = 1};
        plc_status s;
        while ((s = plc_store(cache, PLC_SET, &e, NULL)) == PLC_AGAIN) {
            must("assist", plc_assist(cache, 50));
        }
        must("set", s);
    }
}

/* Everything is walked in slices. */
static uint64_t entries(void) {
    uint64_t cursor = 0, n = 0;
    plc_status s;
    while ((s = plc_count(cache, &cursor, 0, &n)) == PLC_OK) {
    }
    must("count", s);
    return n;
}

static plc_usage usage(void) {
    plc_usage u = {0};
    uint64_t cursor = 0;
    plc_status s;
    while ((s = plc_usage_read(cache, &cursor, &u)) == PLC_OK) {
    }
    must("usage", s);
    return u;
}

static void tell(uint64_t length) {
    plc_info info;
    struct stat file;
    must("info", plc_info_read(cache, &info));
    if (stat(path, &file) != 0) {
        must(path, PLC_SYSTEM);
    }
    const plc_usage u = usage();
    const uint64_t n = entries(), memory = (uint64_t)file.st_blocks * 512;
    const uint64_t index = info.index_slots / BUCKET_SLOTS * BUCKET_BYTES;
    const uint64_t words = info.pool_bytes / PAGE_BYTES * PAGE_WORDS;
    const uint64_t segments = u.small_pages * PAGE_BYTES, lost = u.free_pages * PAGE_BYTES;
    const uint64_t payload = n * (KEY_BYTES + length), headers = n * 40;
    (void)printf("{\"entries\": %" PRIu64 ", \"memory\": %" PRIu64 ", \"payload\": %" PRIu64 ", \"header\": %" PRIu64
                 ", \"alignment\": %" PRIu64 ", \"index\": %" PRIu64 ", \"page words\": %" PRIu64 ", \"dead\": %" PRIu64
                 ", \"rest of segments\": %" PRIu64 ", \"free pages and reserve\": %" PRIu64 ", \"tables\": %" PRId64
                 "}\n",
                 n, memory, payload, headers, u.entry_bytes - payload - headers, index, words, u.dead_bytes,
                 segments - u.entry_bytes - u.dead_bytes, lost, (int64_t)(memory - index - words - segments - lost));
}

int main(int argc, char **argv) {
    if (argc != 4) {
        (void)fprintf(stderr, "overhead REGION_MIB VALUE_BYTES EXPECTED_ENTRY\n");
        return 2;
    }
    const uint64_t size = strtoull(argv[1], NULL, 10) * MIB, length = strtoull(argv[2], NULL, 10);
    const char *folder = getenv("PLIB_CACHE_DIR");
    (void)snprintf(path, sizeof path, "%s/plc-overhead-%d", folder != NULL ? folder : "/dev/shm", (int)getpid());
    const plc_options options = {.path = path,
                                 .size_bytes = size,
                                 .expected_entry = (uint32_t)strtoul(argv[3], NULL, 10),
                                 .create = 1,
                                 .protection = PLC_PROTECT_NONE};
    plc_report report;
    if (length > VALUE_MOST) {
        return 2;
    }
    must(path, plc_open(&options, &cache, &report));
    fill(2 * size / (KEY_BYTES + length + 40), length);
    tell(length);
    plc_close(cache);
    must("remove", plc_remove(path, &report));
    return 0;
}
