/* SPDX-License-Identifier: BSD-3-Clause */
/* test_notes.c: what callers note for themselves is no entry to walks, its number is no name's, and a look tells tags. */
#include "fixture.h"

#include "call.h"
#include "names.h"

static plc_cache *c;
static uint8_t buffer[65536];

static void put(const char *key, uint16_t name, uint16_t tag) {
    const plc_part part = {key, strlen(key)};
    const plc_entry e = {
        .key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .name = name, .tags = {0, tag, 0, 7}};
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
}

static size_t scanned(uint16_t name) {
    uint64_t cursor = 0;
    size_t used = 0, all = 0;
    plc_status s = PLC_OK;
    while (s != PLC_DONE) {
        s = AGAIN(c, plc_scan(c, &cursor, name, buffer, sizeof buffer, &used));
        CHECK(s == PLC_OK || s == PLC_DONE);
        all += used;
    }
    return all;
}

/* A walk over all passes notes over; one that asks for them finds them alone. */
static void walks_pass_over(void) {
    c = region_new(8 * MIB);
    put("entry", 5, 6);
    put("note", PLC_NOTES, 0);
    CHECK(count_of(c, 0) == 1 && count_of(c, PLC_NOTES) == 1 && count_of(c, 5) == 1);
    CHECK(scanned(0) == 4 + 5 && scanned(PLC_NOTES) == 4 + 4);
    CHECK_STATUS(AGAIN(c, plc_delete(c, "note", 4)), PLC_OK);
    CHECK(count_of(c, PLC_NOTES) == 0);
    region_end(c, false);
}

/* plc_peek tells the tags of an entry, also when there is no room for its value. */
static void tags_are_told(void) {
    c = region_new(8 * MIB);
    put("entry", 5, 6);
    put("plain", 0, 0);
    for (size_t room = 0; room < 10; room += 9) {
        plc_found found;
        CHECK_STATUS(AGAIN(c, plc_peek(c, "entry", 5, buffer, room, &found)), room == 0 ? PLC_TOO_SMALL : PLC_OK);
        CHECK(found.length == 5 && found.name == 5);
        CHECK(found.tags[0] == 0 && found.tags[1] == 6 && found.tags[2] == 0 && found.tags[3] == 7);
    }
    region_end(c, false);
}

/* In a region with as many names as there are numbers, the one of notes is given to no name. */
static void nobody_has_its_number(void) {
    struct call k;
    plc_info info;
    c = region_new(1024 * MIB);
    MUST(c, plc_info_read(c, &info), PLC_OK);
    CHECK(info.names == PLC_NOTES + 1u);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK(name_find(&k, (uint64_t)PLC_NOTES << 32 | 1u) == 1);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"walks_pass_over", walks_pass_over},
    {"tags_are_told", tags_are_told},
    {"nobody_has_its_number", nobody_has_its_number},
};

int main(void) {
    return RUN_TESTS(tests);
}
