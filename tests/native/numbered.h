/* SPDX-License-Identifier: BSD-3-Clause */
/* numbered.h: many entries of a kind and a number each, for tests of what stays and where it lies. */
#ifndef PLC_TEST_NUMBERED_H
#define PLC_TEST_NUMBERED_H

#include "fixture.h"

#define VALUE 1000u
#define ENTRY 1056u

__attribute__((unused)) static uint8_t block[2 * MIB], buffer[2 * MIB];

__attribute__((unused)) static void put(plc_cache *c, char kind, uint64_t number, size_t n) {
    char key[24];
    (void)snprintf(key, sizeof key, "%c%015" PRIu64, kind, number);
    MUST(c, store(c, PLC_SET, key, block, n), PLC_OK);
}

__attribute__((unused)) static bool read_one(plc_cache *c, char kind, uint64_t number) {
    char key[24];
    plc_found found;
    (void)snprintf(key, sizeof key, "%c%015" PRIu64, kind, number);
    plc_status s = get(c, key, buffer, sizeof buffer, &found);
    CHECK(s == PLC_OK || s == PLC_MISS);
    return s == PLC_OK;
}

__attribute__((unused)) static uint64_t entries_in(plc_cache *c) {
    return info_of(c).pool_bytes / ENTRY;
}

#endif
