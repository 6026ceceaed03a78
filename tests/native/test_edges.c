/* SPDX-License-Identifier: BSD-3-Clause */
/* test_edges.c: lengths of keys and values at their limits, batches, walks, statistics, and the handle's end. */
#include "fixture.h"
#include "domain.h"

#include "call.h"
#include "counters.h"
#include "index.h"

#define BUFFER (16u * MIB)

static plc_cache *c;
static uint8_t *buffer, *value;

static void begin(uint64_t size) {
    c = region_new(size);
    buffer = buffer != NULL ? buffer : malloc(BUFFER);
    value = value != NULL ? value : malloc(BUFFER);
    CHECK(buffer != NULL && value != NULL);
}

static void end(void) {
    region_end(c, false);
}

static plc_status set_bytes(const void *key, size_t key_length, const void *bytes, size_t n) {
    const plc_part part = {bytes, n};
    const plc_entry e = {.key = key, .key_length = key_length, .parts = &part, .part_count = 1};
    return AGAIN(c, plc_store(c, PLC_SET, &e, NULL));
}

/* ---- keys --------------------------------------------------------------------------------------- */

/* Pointers into the region, or to its very end, are refused: as key, as value, and as a place for results. */
static void own_memory(void) {
    static const uint64_t far[] = {0, 5000};
    plc_found found;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *inside = i < 2 ? c->base + far[i] : c->base + c->geo.size_bytes - (i == 2 ? 1 : 100);
        const void *const one[] = {inside};
        const size_t eight[] = {8};
        uint64_t n = 0;
        uint32_t answer = 0;
        size_t used = 0;
        CHECK_STATUS(set_bytes(inside, 8, "v", 1), PLC_INVALID);
        CHECK_STATUS(set_bytes("own", 3, inside, 8), PLC_INVALID);
        CHECK_STATUS(plc_get(c, inside, 8, 0, buffer, BUFFER, &found), PLC_INVALID);
        CHECK_STATUS(plc_get(c, "own", 3, 0, inside, 8, &found), PLC_INVALID);
        CHECK_STATUS(plc_get_touch(c, "own", 3, 0, inside, 8, &found), PLC_INVALID);
        CHECK_STATUS(plc_peek(c, "own", 3, inside, 8, &found), PLC_INVALID);
        CHECK_STATUS(plc_peek(c, inside, 8, buffer, BUFFER, &found), PLC_INVALID);
        CHECK_STATUS(plc_was_read(c, inside, 8, &answer), PLC_INVALID);
        CHECK_STATUS(plc_get_many(c, 1, one, eight, 0, buffer, BUFFER, &found), PLC_INVALID);
        CHECK_STATUS(plc_incr(c, inside, 8, 1, 0, &n), PLC_INVALID);
        CHECK_STATUS(plc_delete(c, inside, 8), PLC_INVALID);
        CHECK_STATUS(plc_scan(c, &(uint64_t){0}, 0, inside, 65536, &used), PLC_INVALID);
    }
    CHECK(absent(c, "own"));
}

static void keys(void) {
    uint8_t key[4097];
    plc_found found;
    uint64_t n = 0;
    begin(16 * MIB);
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)(i * 7); /* zeros among them */
    }
    static const size_t good[] = {1, 2, 7, 8, 9, 250, 4095, 4096};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK_STATUS(set_bytes(key, good[i], &good[i], sizeof good[i]), PLC_OK);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        MUST(c, plc_get(c, key, good[i], 0, buffer, BUFFER, &found), PLC_OK);
        CHECK(found.length == sizeof good[i] && memcmp(buffer, &good[i], sizeof good[i]) == 0);
    }
    MUST(c, plc_get(c, key, 3, 0, buffer, BUFFER, &found), PLC_MISS); /* a prefix is another key */
    static const size_t bad[] = {0, 4097};
    for (size_t i = 0; i < 2; i++) {
        const plc_entry e = {.key = key, .key_length = bad[i]};
        plc_flight flight;
        const void *const one[] = {key};
        uint32_t answer = 0;
        CHECK_STATUS(plc_get(c, key, bad[i], 0, buffer, BUFFER, &found), PLC_INVALID);
        CHECK_STATUS(plc_get_touch(c, key, bad[i], 0, buffer, BUFFER, &found), PLC_INVALID);
        CHECK_STATUS(plc_peek(c, key, bad[i], buffer, BUFFER, &found), PLC_INVALID);
        CHECK_STATUS(plc_was_read(c, key, bad[i], &answer), PLC_INVALID);
        CHECK_STATUS(plc_store(c, PLC_REMAKE, &e, NULL), PLC_INVALID);
        CHECK_STATUS(plc_store(c, PLC_SET, &e, NULL), PLC_INVALID);
        CHECK_STATUS(plc_delete(c, key, bad[i]), PLC_INVALID);
        CHECK_STATUS(plc_delete_many(c, 1, one, &bad[i], &n), PLC_INVALID);
        CHECK_STATUS(plc_get_many(c, 1, one, &bad[i], 0, buffer, BUFFER, &found), PLC_INVALID);
        CHECK_STATUS(plc_incr(c, key, bad[i], 1, 0, &n), PLC_INVALID);
        CHECK_STATUS(plc_touch(c, key, bad[i], 0), PLC_INVALID);
        CHECK_STATUS(plc_claim(c, &e, 1000, &flight), PLC_INVALID);
        CHECK_STATUS(plc_abandon(c, key, bad[i], 1), PLC_INVALID);
        CHECK_STATUS(plc_wait(c, key, bad[i], 1), PLC_INVALID);
        CHECK_STATUS(plc_name(c, key, bad[i], &found.name), PLC_INVALID);
    }
    CHECK_STATUS(plc_get(c, NULL, 1, 0, buffer, BUFFER, &found), PLC_INVALID);
    CHECK_STATUS(plc_get(c, key, 1, 0, NULL, 1, &found), PLC_INVALID);
    CHECK_STATUS(plc_get(NULL, key, 1, 0, buffer, BUFFER, &found), PLC_INVALID);
    own_memory();
    CHECK(count_of(c, 0) == sizeof good / sizeof good[0]);
    end();
}

/* ---- values ------------------------------------------------------------------------------------- */

static void round_trip(const char *key, size_t key_length, size_t n) {
    plc_found found;
    for (size_t i = 0; i < n; i++) {
        value[i] = (uint8_t)(i * 31 + n);
    }
    CHECK_STATUS(set_bytes(key, key_length, value, n), PLC_OK);
    memset(buffer, 0xee, n + 1);
    MUST(c, plc_get(c, key, key_length, 0, buffer, n + 1, &found), PLC_OK);
    CHECK(found.length == n && memcmp(buffer, value, n) == 0 && buffer[n] == 0xee);
    MUST(c, plc_get(c, key, key_length, 0, buffer, n, &found), PLC_OK);
    if (n > 0) {
        MUST(c, plc_get(c, key, key_length, 0, buffer, n - 1, &found), PLC_TOO_SMALL);
    }
}

static void values_in(uint64_t size) {
    char key[64];
    begin(size);
    plc_info info = info_of(c);
    static const size_t few[] = {0, 1, 7, 8, 15, 16, 17, 255, 4000, 4096, 65535, 65536, 65537, MIB - 1, MIB, MIB + 1};
    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++) {
        (void)snprintf(key, sizeof key, "few-%zu", i);
        round_trip(key, strlen(key), few[i]);
    }
    for (size_t n = info.own_run_bytes - 130; n <= info.own_run_bytes + 130; n++) { /* around the threshold */
        (void)snprintf(key, sizeof key, "own-%zu", n % 16);
        round_trip(key, strlen(key), n);
    }
    for (size_t n = 3 * 4096 - 200; n <= 3 * 4096 + 200; n++) { /* around whole pages */
        (void)snprintf(key, sizeof key, "page-%zu", n % 16);
        round_trip(key, strlen(key), n);
    }
    memset(value, 'k', PLC_KEY_MAX); /* the longest key and the longest value that share a run */
    char *longest = strndup((char *)value, PLC_KEY_MAX);
    CHECK(longest != NULL);
    round_trip(longest, PLC_KEY_MAX, info.own_run_bytes - 1);
    round_trip(longest, PLC_KEY_MAX, info.own_run_bytes);
    free(longest);
    round_trip("most", 4, info.value_max);
    const plc_part parts[] = {{value, info.value_max}, {value, 1}};
    const plc_entry e = {.key = "more", .key_length = 4, .parts = parts, .part_count = 2};
    CHECK_STATUS(plc_store(c, PLC_SET, &e, NULL), PLC_TOO_LARGE);
    CHECK_STATUS(plc_store(c, PLC_ADD, &e, NULL), PLC_TOO_LARGE);
    CHECK(absent(c, "more"));
    CHECK(AGAIN(c, plc_store(c, PLC_SET, &(plc_entry){.key = "most", .key_length = 4}, NULL)) == PLC_OK);
    CHECK(holds(c, "most", ""));
    const plc_part huge[] = {{value, SIZE_MAX / 2}, {value, SIZE_MAX / 2}, {value, 4}};
    const plc_entry wraps = {.key = "more", .key_length = 4, .parts = huge, .part_count = 3};
    CHECK_STATUS(plc_store(c, PLC_SET, &wraps, NULL), PLC_INVALID);
    CHECK_STATUS(plc_store(c, PLC_SET, &(plc_entry){.key = "a", .key_length = 1, .part_count = 1}, NULL), PLC_INVALID);
    CHECK_STATUS(plc_get(c, "most", 4, 0, NULL, 0, &(plc_found){0}), PLC_OK); /* of no bytes */
    const plc_part nothing = {NULL, 1};
    const plc_entry from_nowhere = {.key = "a", .key_length = 1, .parts = &nothing, .part_count = 1};
    CHECK_STATUS(plc_store(c, PLC_SET, &from_nowhere, NULL), PLC_INVALID);
    end();
}

static void values(void) {
    values_in(4 * MIB);
    values_in(20 * MIB);
}

/* An append that would make the value too large changes nothing. */
static void too_large_by_append(void) {
    plc_found found;
    begin(4 * MIB);
    size_t most = info_of(c).value_max;
    memset(value, 'a', most);
    CHECK_STATUS(set_bytes("a", 1, value, most), PLC_OK);
    CHECK_STATUS(store(c, PLC_APPEND, "a", "b", 1), PLC_TOO_LARGE);
    CHECK_STATUS(get(c, "a", buffer, BUFFER, &found), PLC_OK);
    CHECK(found.length == most && memcmp(buffer, value, most) == 0);
    end();
}

/* ---- batches ------------------------------------------------------------------------------------ */

#define MANY 300u

static char names[MANY + 1][16];
static const void *key_at[MANY + 1];
static size_t key_lengths[MANY + 1];

static void batches(void) {
    static plc_found found[MANY + 1];
    static plc_entry entries[MANY];
    static plc_part parts[MANY];
    static uint32_t statuses[MANY];
    uint64_t removed = 0;
    begin(16 * MIB);
    for (uint32_t i = 0; i <= MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "key-%u", i);
        key_at[i] = names[i];
        key_lengths[i] = strlen(names[i]);
    }
    memset(value, 'b', 100000);
    for (uint32_t i = 0; i < MANY; i++) {
        parts[i] = (plc_part){value, i * 37 % 11000};
        entries[i] = (plc_entry){.key = names[i], .key_length = key_lengths[i], .parts = &parts[i], .part_count = 1};
    }
    entries[7].key_length = 0;
    while (plc_store_many(c, MANY, entries, statuses) == PLC_AGAIN) {
        CHECK(plc_assist(c, 50) == PLC_OK);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        CHECK(statuses[i] == (i == 7 ? PLC_INVALID : PLC_OK));
    }
    MUST(c, plc_get_many(c, MANY + 1, key_at, key_lengths, 0, buffer, BUFFER, found), PLC_OK);
    for (uint32_t i = 0; i <= MANY; i++) {
        bool there = i != 7 && i != MANY;
        CHECK(found[i].status == (there ? PLC_OK : PLC_MISS));
        CHECK(!there || (found[i].length == parts[i].length && found[i].offset % 16 == 0));
        CHECK(!there || memcmp(buffer + found[i].offset, value, parts[i].length) == 0);
        CHECK(i < 2 || !there || found[i].offset >= found[i - 2].offset);
    }
    /* what does not fit in what is left says how long it is; what comes behind it may still fit */
    MUST(c, plc_get_many(c, 4, key_at, key_lengths, 0, buffer, 100, found), PLC_OK);
    CHECK(found[0].status == PLC_OK && found[1].status == PLC_OK && found[2].status == PLC_TOO_SMALL);
    CHECK(found[2].length == 74 && found[3].status == PLC_TOO_SMALL && found[3].length == 111);
    MUST(c, plc_get_many(c, 0, key_at, key_lengths, 0, NULL, 0, found), PLC_OK);
    MUST(c, plc_delete_many(c, 100, key_at, key_lengths, &removed), PLC_OK);
    CHECK(removed == 99);
    MUST(c, plc_delete_many(c, MANY, key_at, key_lengths, &removed), PLC_OK);
    CHECK(removed == 99 + MANY - 100); /* it is counted on */
    CHECK(count_of(c, 0) == 0);
    end();
}

/* ---- walks and statistics ----------------------------------------------------------------------- */

static void scan(void) {
    static uint8_t seen[2][20000];
    uint16_t name = 0;
    char key[32];
    begin(16 * MIB);
    CHECK_STATUS(plc_name(c, "f", 1, &name), PLC_OK);
    for (unsigned i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof key, "scan-%u", i);
        const plc_entry e = {.key = key,
                             .key_length = strlen(key),
                             .name = i % 4 == 0 ? name : 0,
                             .options = i % 2 == 0 ? PLC_KEY_IS_TEXT : 0};
        MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    }
    CHECK(count_of(c, 0) == 20000 && count_of(c, name) == 5000);
    memset(seen, 0, sizeof seen);
    for (unsigned pass = 0; pass < 2; pass++) {
        uint64_t cursor = 0;
        size_t used = 0;
        plc_status s = PLC_OK;
        while (s != PLC_DONE) {
            s = AGAIN(c, plc_scan(c, &cursor, pass == 0 ? 0 : name, buffer, 65536, &used));
            CHECK((s == PLC_OK || s == PLC_DONE) && used <= 65536);
            for (size_t at = 0; at < used; at += 4u + (buffer[at] | (unsigned)buffer[at + 1] << 8)) {
                unsigned n = buffer[at] | (unsigned)buffer[at + 1] << 8, number = 0;
                (void)snprintf(key, sizeof key, "%.*s", (int)n, (char *)buffer + at + 4);
                CHECK(sscanf(key, "scan-%u", &number) == 1 && number < 20000);
                CHECK(seen[pass][number]++ == 0 && buffer[at + 2] == (number % 2 == 0));
            }
        }
    }
    for (unsigned i = 0; i < 20000; i++) {
        CHECK(seen[0][i] == 1 && seen[1][i] == (i % 4 == 0));
    }
    uint64_t cursor = UINT64_MAX;
    size_t used = 0;
    CHECK_STATUS(plc_scan(c, &cursor, 0, buffer, 65536, &used), PLC_DONE);
    CHECK_STATUS(plc_scan(c, &cursor, 0, buffer, 65535, &used), PLC_INVALID);
    end();
}

static void statistics(void) {
    plc_found found;
    uint64_t n = 0;
    begin(16 * MIB);
    plc_usage empty = usage_of(c);
    CHECK(empty.small_pages == 0 && empty.large_pages == 0 && empty.entry_bytes == 0);
    CHECK_STATUS(store(c, PLC_SET, "a", "1", 1), PLC_OK);
    CHECK_STATUS(store(c, PLC_ADD, "b", "1", 1), PLC_OK);
    CHECK_STATUS(store(c, PLC_ADD, "b", "1", 1), PLC_EXISTS);
    CHECK_STATUS(store(c, PLC_APPEND, "b", "1", 1), PLC_OK);
    MUST(c, plc_incr(c, "a", 1, 1, 0, &n), PLC_OK);
    CHECK_STATUS(get(c, "a", buffer, BUFFER, &found), PLC_OK);
    CHECK_STATUS(get(c, "x", buffer, BUFFER, &found), PLC_MISS);
    MUST(c, plc_touch(c, "a", 1, 0), PLC_OK);
    MUST(c, plc_delete(c, "b", 1), PLC_OK);
    CHECK(counter_of(c, "sets") == 1 && counter_of(c, "adds") == 1 && counter_of(c, "appends") == 1);
    CHECK(counter_of(c, "incrs") == 1 && counter_of(c, "hits") == 1 && counter_of(c, "misses") == 1);
    CHECK(counter_of(c, "touches") == 1 && counter_of(c, "deletes") == 1);
    CHECK_STATUS(plc_stats_reset(c), PLC_OK);
    CHECK(counter_of(c, "sets") == 0 && counter_of(c, "hits") == 0);
    CHECK_STATUS(store(c, PLC_SET, "a", "1", 1), PLC_OK);
    CHECK(counter_of(c, "sets") == 1);
    memset(value, 'v', 50000);
    CHECK_STATUS(set_bytes("large", 5, value, 50000), PLC_OK);
    plc_usage u = usage_of(c);
    CHECK(u.large_pages == 13 && u.small_pages == 16 && u.limbo_pages == 0);
    CHECK(u.entry_bytes > 50000 && u.dead_bytes > 0 && u.parked_runs == 1);
    CHECK((u.free_pages + u.large_pages + u.small_pages) * 4096 == info_of(c).pool_taken_bytes);
    CHECK(plc_counter_name(COUNT_END) == NULL && plc_counter_name(UINT32_MAX) == NULL);
    end();
}

/* ---- the handle --------------------------------------------------------------------------------- */

static void handles(void) {
    plc_found found;
    plc_info info;
    plc_report report;
    plc_cache *second = NULL, *third = NULL;
    begin(16 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "a", "1", 1), PLC_OK);
    const plc_options attach = {.path = check_path("r"), .protection = check_protection()};
    CHECK_STATUS(plc_open(&attach, &second, &report), PLC_OK);
    CHECK(second == c && info_of(c).processes == 1 && info_of(c).retired == 0);
    plc_close(second);
    CHECK(holds(c, "a", "1"));
    plc_close(c);
    CHECK_STATUS(plc_get(c, "a", 1, 0, buffer, BUFFER, &found), PLC_CLOSED);
    CHECK_STATUS(plc_delete(c, "a", 1), PLC_CLOSED);
    CHECK_STATUS(plc_assist(c, 1), PLC_CLOSED);
    CHECK_STATUS(plc_wait(c, "a", 1, 1), PLC_CLOSED);
    CHECK_STATUS(plc_info_read(c, &info), PLC_CLOSED);
    plc_close(c); /* once too often: nothing happens */
    CHECK_STATUS(plc_open(&attach, &third, &report), PLC_OK);
    c = third;
    CHECK(holds(c, "a", "1"));
    CHECK_STATUS(plc_remove(check_path("r"), &report), PLC_OK);
    CHECK(holds(c, "a", "1") && info_of(c).retired == 1);
    CHECK_STATUS(plc_open(&attach, &second, &report), PLC_NOT_FOUND);
    end();
}

/* A slot of this key's tag, in its last way, that names a part of the file that this process has not seen yet. */
static word *plant_unseen(const char *key, uint32_t beyond) {
    struct call k;
    uint32_t page = pages_limit(c) + beyond;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, key, strlen(key)), PLC_OK);
    word *slot = index_slot(&k, INDEX_WAYS - 1);
    CHECK(page < c->geo.end_page && word_swap(slot, 0, slot_make(k.tag, page, 0)));
    word_put_rlx(&c->super->taken_pages, page + 1); /* the hint that there is such a part; it is found false */
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    return slot;
}

/* What was removed or read before a call had to answer PLC_AGAIN is told, and counted once. */
static void done_before_again(void) {
    const void *keys[] = {"a", "b"};
    const size_t lengths[] = {1, 1};
    uint64_t removed = 0;
    plc_found found[2];
    begin(16 * MIB);
    CHECK_STATUS(set_bytes("a", 1, "1", 1), PLC_OK);
    word *planted = plant_unseen("a", 0);
    MUST(c, plc_delete(c, "a", 1), PLC_OK);
    CHECK(counter_of(c, "deletes") == 1);
    word_put_rlx(planted, 0);
    MUST(c, plc_delete(c, "a", 1), PLC_MISS);
    CHECK_STATUS(set_bytes("a", 1, "1", 1), PLC_OK);
    planted = plant_unseen("b", 1);
    CHECK_STATUS(plc_delete_many(c, 2, keys, lengths, &removed), PLC_AGAIN);
    MUST(c, plc_delete_many(c, 2, keys, lengths, &removed), PLC_OK);
    CHECK(removed == 1 && counter_of(c, "deletes") == 2);
    CHECK_STATUS(set_bytes("a", 1, "1", 1), PLC_OK);
    word_put_rlx(planted, 0);
    planted = plant_unseen("b", 2);
    CHECK_STATUS(plc_get_many(c, 2, keys, lengths, 0, buffer, BUFFER, found), PLC_AGAIN);
    MUST(c, plc_get_many(c, 2, keys, lengths, 0, buffer, BUFFER, found), PLC_OK);
    CHECK(found[0].status == PLC_OK && found[1].status == PLC_MISS);
    CHECK(counter_of(c, "hits") == 1 && counter_of(c, "misses") == 1);
    word_put_rlx(planted, 0);
    word_put_rlx(&c->super->taken_pages, pages_limit(c));
    end();
}

static const struct check_test tests[] = {
    {"keys", keys},
    {"values", values},
    {"too_large_by_append", too_large_by_append},
    {"batches", batches},
    {"scan", scan},
    {"statistics", statistics},
    {"handles", handles},
    {"done_before_again", done_before_again},
};

int main(void) {
    return RUN_TESTS(tests);
}
