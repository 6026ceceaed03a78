/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_was_read.c: whether an entry has been read since it was stored, whatever was built from it and wherever it was
 * moved to; and a look that is no reading.
 */
#include "fixture.h"

#include "call.h"
#include "evict.h"
#include "index.h"

#define LARGE 20000u /* has a run of its own */

static plc_cache *c;
static uint8_t block[LARGE], buffer[LARGE];

static plc_status store_as(plc_verb verb, const char *key, size_t length, uint64_t seen, uint64_t *token) {
    const plc_part part = {block, length};
    const plc_entry e = {.key = key,
                         .key_length = strlen(key),
                         .parts = &part,
                         .part_count = 1,
                         .token = seen,
                         .client_flags = 11,
                         .cost = 77};
    return AGAIN(c, plc_store(c, verb, &e, token));
}

static plc_found found_of(const char *key) {
    plc_found found;
    CHECK_STATUS(AGAIN(c, plc_peek(c, key, strlen(key), buffer, sizeof buffer, &found)), PLC_OK);
    return found;
}

static bool was_read(const char *key) {
    uint32_t answer = 7;
    CHECK_STATUS(AGAIN(c, plc_was_read(c, key, strlen(key), &answer)), PLC_OK);
    CHECK(answer <= 1);
    return answer == 1;
}

static void test_was_read(void) {
    uint32_t answer = 7;
    c = region_new(16 * MIB);
    CHECK_STATUS(AGAIN(c, plc_was_read(c, "k", 1, &answer)), PLC_MISS);
    CHECK_STATUS(plc_was_read(c, "k", 1, NULL), PLC_INVALID);
    CHECK(answer == 7);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_STATUS(store(c, PLC_SET, "k", block, i == 0 ? 5 : LARGE), PLC_OK);
        CHECK(!was_read("k") && !was_read("k")); /* asking is no reading */
        (void)found_of("k");
        CHECK(!was_read("k")); /* nor is a peek */
        plc_found found;
        CHECK_STATUS(get(c, "k", NULL, 0, &found), PLC_TOO_SMALL);
        CHECK(!was_read("k"));
        CHECK_STATUS(get(c, "k", buffer, sizeof buffer, &found), PLC_OK);
        CHECK(was_read("k"));
        CHECK_STATUS(store(c, PLC_SET, "k", block, 5), PLC_OK); /* stored again: used, but not read */
        CHECK(!was_read("k"));
    }
    CHECK_STATUS(plc_flush(c, 0), PLC_OK);
    CHECK_STATUS(AGAIN(c, plc_was_read(c, "k", 1, &answer)), PLC_MISS);
    region_end(c, false);
}

/* What is built from an entry has been read when that one has. */
static void test_was_read_of_what_is_built(void) {
    uint64_t number = 0;
    plc_found found;
    c = region_new(16 * MIB);
    for (unsigned i = 0; i < 2; i++) {
        bool read = i == 1;
        CHECK_STATUS(store(c, PLC_SET, "k", "1", 1), PLC_OK);
        CHECK_STATUS(get(c, "k", buffer, read ? 1 : 0, &found), read ? PLC_OK : PLC_TOO_SMALL);
        CHECK(was_read("k") == read);
        CHECK_STATUS(AGAIN(c, plc_touch(c, "k", 1, now_ms() + 3600 * 1000)), PLC_OK);
        CHECK(was_read("k") == read);
        MUST(c, plc_incr(c, "k", 1, 1, 0, &number), PLC_OK);
        CHECK(was_read("k") == read);
        CHECK_STATUS(store(c, PLC_APPEND, "k", "0", 1), PLC_OK);
        CHECK(was_read("k") == read);
        CHECK_STATUS(store_as(PLC_REMAKE, "k", 5, found_of("k").token, NULL), PLC_OK);
        CHECK(was_read("k") == read);
        CHECK_STATUS(AGAIN(c, plc_get_touch(c, "k", 1, 0, buffer, sizeof buffer, &found)), PLC_OK);
        CHECK(was_read("k"));
    }
    region_end(c, false);
}

/* The policy's mark is another one: who is spared loses it, and has been read all the same. */
static void test_was_read_of_what_moves(void) {
    struct call k;
    struct hit hit;
    c = region_new(16 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "read", "1", 1), PLC_OK);
    CHECK_STATUS(store(c, PLC_SET, "unread", "1", 1), PLC_OK);
    CHECK_STATUS(store(c, PLC_SET, "unread", "2", 1), PLC_OK); /* used: it stays too */
    CHECK(holds(c, "read", "1"));
    uint64_t token = found_of("read").token;
    for (unsigned i = 0; i < TICKETS; i++) { /* who has it parked is this thread, or was */
        CHECK_STATUS(call_enter(&k, c), PLC_OK);
        uint32_t head = (uint32_t)word_rlx(&c->last_run[i]);
        if (head != 0) {
            run_seal_parked(&k, head);
        }
        CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    }
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, "read", 4), PLC_OK);
    fence_full();
    CHECK_STATUS(index_look(&k, &hit), PLC_OK);
    uint32_t head = hit.e.head;
    index_unpin(&k);
    enum evicted e = evict_run(&k, head, EVICT_MOVE_VISITED);
    CHECK(e == EVICT_FREED || e == EVICT_KEPT);
    CHECK_STATUS(index_look(&k, &hit), PLC_OK);
    CHECK(e == EVICT_KEPT || hit.e.head != head);
    CHECK(!(index_marks(&k, hit.way) & VISITED_USED));
    index_unpin(&k);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    CHECK(found_of("read").token == token && was_read("read") && !was_read("unread"));
    CHECK(holds(c, "read", "1"));
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, "read", 4), PLC_OK);
    CHECK_STATUS(index_look(&k, &hit), PLC_OK);
    CHECK(index_marks(&k, hit.way) & VISITED_USED); /* read anew: it is spared once more */
    index_unpin(&k);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

static void test_peek(void) {
    plc_found found;
    c = region_new(16 * MIB);
    CHECK_STATUS(AGAIN(c, plc_peek(c, "k", 1, buffer, sizeof buffer, &found)), PLC_MISS);
    CHECK_STATUS(plc_peek(c, "k", 1, NULL, 1, &found), PLC_INVALID);
    CHECK_STATUS(plc_peek(c, "k", 1, buffer, 1, NULL), PLC_INVALID);
    uint64_t hits = counter_of(c, "hits"), misses = counter_of(c, "misses");
    for (unsigned i = 0; i < 2; i++) {
        size_t length = i == 0 ? 100 : LARGE;
        value_make(block, length, i, 5);
        uint64_t token = 0;
        CHECK_STATUS(store_as(PLC_SET, "k", length, 0, &token), PLC_OK);
        memset(buffer, 'x', 8);
        CHECK_STATUS(AGAIN(c, plc_peek(c, "k", 1, buffer, length - 1, &found)), PLC_TOO_SMALL);
        CHECK(found.length == length && memcmp(buffer, "xxxxxxxx", 8) == 0);
        CHECK_STATUS(AGAIN(c, plc_peek(c, "k", 1, buffer, length, &found)), PLC_OK);
        CHECK(value_serial(buffer, length, i) == 5);
        CHECK(found.token == token && found.client_flags == 11 && found.cost == 77);
    }
    CHECK(counter_of(c, "hits") == hits && counter_of(c, "misses") == misses);
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"was_read", test_was_read},
    {"was_read_of_what_is_built", test_was_read_of_what_is_built},
    {"was_read_of_what_moves", test_was_read_of_what_moves},
    {"peek", test_peek},
};

int main(void) {
    return RUN_TESTS(tests);
}
