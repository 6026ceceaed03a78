/* SPDX-License-Identifier: BSD-3-Clause */
/* ours.c: the core, called as plc.h says; at level none, whatever the machine has, or in `ours-pku` at level pku. */
#include "store.h"

#include "plc.h"

#ifndef OURS_LEVEL
#define OURS_LEVEL PLC_PROTECT_NONE
#endif
#ifndef OURS_EXPECTED /* bytes of an entry; 0: the core's own */
#define OURS_EXPECTED 0
#endif

static plc_cache *cache;

static plc_status again(void) {
    return plc_assist(cache, 50);
}

static void expect(const char *what, plc_status got) {
    if (got != PLC_OK) {
        fail(what, plc_status_text(got));
    }
}

void store_open(const char *path, uint64_t bytes) {
    plc_report report;
    const plc_options options = {
        .path = path, .size_bytes = bytes, .create = 1, .protection = OURS_LEVEL, .expected_entry = OURS_EXPECTED};
    expect("plc_open", plc_open(&options, &cache, &report));
}

void store_close(void) {
    plc_close(cache);
}

void store_fill(uint32_t count, const void *value, size_t length) {
    char key[KEY_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        key_make(key, RECORDS, i);
        store_set(key, value, length);
    }
}

void store_counter(const char *key) {
    store_set(key, "0", 1);
}

long store_get(const char *key, void *buffer, size_t capacity) {
    plc_found found;
    plc_status s;
    while ((s = plc_get(cache, key, KEY_BYTES, 0, buffer, capacity, &found)) == PLC_AGAIN) {
        expect("plc_assist", again());
    }
    if (s == PLC_MISS) {
        return -1;
    }
    expect("plc_get", s);
    return (long)found.length;
}

void store_set(const char *key, const void *value, size_t length) {
    const plc_part part = {.bytes = value, .length = length};
    const plc_entry entry = {.key = key, .key_length = KEY_BYTES, .parts = &part, .part_count = 1};
    plc_status s;
    while ((s = plc_store(cache, PLC_SET, &entry, NULL)) == PLC_AGAIN) {
        expect("plc_assist", again());
    }
    expect("plc_store", s);
}

void store_delete(const char *key) {
    plc_status s;
    while ((s = plc_delete(cache, key, KEY_BYTES)) == PLC_AGAIN) {
        expect("plc_assist", again());
    }
    expect("plc_delete", s);
}

void store_remove(const char *key) {
    plc_status s;
    while ((s = plc_delete(cache, key, KEY_BYTES)) == PLC_AGAIN) {
        expect("plc_assist", again());
    }
    if (s != PLC_MISS) {
        expect("plc_delete", s);
    }
}

void store_incr(const char *key) {
    uint64_t result;
    plc_status s;
    while ((s = plc_incr(cache, key, KEY_BYTES, 1, 0, &result)) == PLC_AGAIN) {
        expect("plc_assist", again());
    }
    expect("plc_incr", s);
}

uint64_t store_used(void) {
    plc_info info;
    plc_usage usage = {0};
    uint64_t cursor = 0;
    plc_status s = PLC_OK;
    while (s != PLC_DONE) {
        s = plc_usage_read(cache, &cursor, &usage);
    }
    expect("plc_info_read", plc_info_read(cache, &info));
    return (usage.small_pages + usage.large_pages) * 4096 + info.index_slots * 8;
}

int store_has_threads(void) {
    return 1;
}

int store_server(void) {
    return 0;
}
