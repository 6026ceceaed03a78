/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_remake.c: PLC_REMAKE puts another value in the place of a certain entry and keeps what that one was, and brings
 * nothing back; tokens of the caller's own.
 */
#include "fixture.h"

#define LARGE 20000u /* has a run of its own */

static plc_cache *c;
static uint8_t block[LARGE], buffer[LARGE];

static uint64_t later_ms(void) {
    return now_ms() + 3600 * 1000;
}

/* An entry of one part, which is to be stored at once. */
static plc_entry entry_of(const char *key, const plc_part *part) {
    return (plc_entry){.key = key, .key_length = strlen(key), .parts = part, .part_count = 1};
}

static plc_status store_entry(plc_verb verb, const plc_entry *e, uint64_t *token) {
    return AGAIN(c, plc_store(c, verb, e, token));
}

static plc_status remake(const char *key, const char *text, uint64_t seen, uint64_t *token) {
    const plc_part part = {text, strlen(text)};
    plc_entry e = entry_of(key, &part);
    e.token = seen;
    return store_entry(PLC_REMAKE, &e, token);
}

static plc_status set_own(const char *key, const char *text, uint64_t own) {
    const plc_part part = {text, strlen(text)};
    plc_entry e = entry_of(key, &part);
    e.own_token = own;
    return store_entry(PLC_SET, &e, NULL);
}

static plc_found found_of(const char *key) {
    plc_found found;
    CHECK_STATUS(AGAIN(c, plc_peek(c, key, strlen(key), buffer, sizeof buffer, &found)), PLC_OK);
    return found;
}

static plc_status touch(const char *key, uint64_t deadline_ms) {
    return AGAIN(c, plc_touch(c, key, strlen(key), deadline_ms));
}

static plc_status delete(const char *key) {
    return AGAIN(c, plc_delete(c, key, strlen(key)));
}

/* A value of that length with a bit of everything that an entry can have. */
static uint64_t store_rich(const char *key, size_t length, uint64_t deadline_ms, uint16_t name, uint16_t tag) {
    const plc_part part = {block, length};
    plc_entry e = entry_of(key, &part);
    uint64_t token = 0;
    e.deadline_ms = deadline_ms;
    e.client_flags = 11;
    e.options = PLC_KEY_IS_TEXT;
    e.name = name;
    e.tags[1] = tag;
    e.type = 3;
    e.cost = 77;
    CHECK_STATUS(store_entry(PLC_SET, &e, &token), PLC_OK);
    return token;
}

/* ---- what it keeps and what it changes ------------------------------------------------------------ */

/* From a value of one length to one of another: all four combinations of small ones and those with runs of their own. */
static void keeps(size_t from, size_t to, bool renews) {
    uint16_t name = 0, tag = 0, other = 0;
    CHECK_STATUS(plc_name(c, "namespace", 9, &name), PLC_OK);
    CHECK_STATUS(plc_name(c, "tag", 3, &tag), PLC_OK);
    CHECK_STATUS(plc_name(c, "other", 5, &other), PLC_OK);
    uint64_t first = later_ms(), second = first + 12345, token = 0;
    uint64_t seen = store_rich("k", from, first, name, tag);
    plc_found before = found_of("k");
    memset(buffer, 'b', to);
    const plc_part parts[] = {{buffer, to / 2}, {buffer + to / 2, to - to / 2}};
    plc_entry e = {.key = "k",
                   .key_length = 1,
                   .parts = parts,
                   .part_count = 2,
                   .deadline_ms = second,
                   .token = seen,
                   .client_flags = 99,
                   .options = renews ? PLC_NEW_DEADLINE : 0,
                   .name = other,
                   .tags = {other},
                   .type = 5,
                   .seen_type = 3,
                   .cost = 1};
    CHECK_STATUS(store_entry(PLC_REMAKE, &e, &token), PLC_OK);
    plc_found after = found_of("k");
    CHECK(after.length == to && buffer[0] == 'b' && buffer[to - 1] == 'b');
    CHECK(after.token == token && token != seen && after.client_flags == 99 && after.type == 5);
    CHECK(after.deadline_ms == (renews ? second : first));
    CHECK(after.created_ms == before.created_ms && after.name == name && after.cost == 77);
    CHECK(after.key_is_text == 1 && after.immutable == 0);
    CHECK_STATUS(plc_name_invalidate(c, other), PLC_OK);
    CHECK(found_of("k").token == token);
    CHECK_STATUS(plc_name_invalidate(c, tag), PLC_OK); /* its tags are the old one's too */
    CHECK(absent(c, "k"));
}

static void test_keeps(void) {
    const size_t lengths[] = {5, LARGE};
    c = region_new(16 * MIB);
    for (unsigned i = 0; i < 8; i++) {
        keeps(lengths[i & 1u], lengths[i >> 1 & 1u], (i & 4u) != 0);
    }
    region_end(c, false);
}

static void test_answers(void) {
    uint64_t first = 0, second = 0;
    c = region_new(16 * MIB);
    CHECK_STATUS(remake("k", "x", 1, NULL), PLC_MISS);
    CHECK_STATUS(store(c, PLC_SET, "k", "one", 3), PLC_OK);
    first = found_of("k").token;
    CHECK_STATUS(remake("k", "two", first + 1, &second), PLC_EXISTS);
    CHECK(holds(c, "k", "one") && second == 0);
    CHECK_STATUS(remake("k", "two", first, &second), PLC_OK);
    CHECK(holds(c, "k", "two") && found_of("k").token == second && second != first);
    CHECK_STATUS(remake("k", "three", first, NULL), PLC_EXISTS);
    CHECK_STATUS(remake("k", "", second, &first), PLC_OK);
    CHECK(holds(c, "k", ""));
    const plc_part part = {"text", 4};
    plc_entry e = entry_of("k", &part);
    e.token = first;
    e.seen_type = PLC_TYPE_TEXT; /* another type than it has */
    CHECK_STATUS(store_entry(PLC_REMAKE, &e, NULL), PLC_EXISTS);
    CHECK_STATUS(delete("k"), PLC_OK);
    CHECK_STATUS(remake("k", "x", first, NULL), PLC_MISS);
    region_end(c, false);
}

/* A claim is no entry, whatever token is given. */
static void test_of_a_claim(void) {
    const plc_entry claim = {.key = "k", .key_length = 1, .own_token = 5};
    plc_flight flight, other;
    c = region_new(16 * MIB);
    MUST(c, plc_claim(c, &claim, 60000, &flight), PLC_OK);
    CHECK(flight.token != 5); /* a claim's token is the core's */
    CHECK_STATUS(remake("k", "x", flight.token, NULL), PLC_MISS);
    MUST(c, plc_claim(c, &claim, 60000, &other), PLC_CLAIMED);
    CHECK(other.token == flight.token);
    MUST(c, plc_abandon(c, "k", 1, 5), PLC_MISS);
    MUST(c, plc_abandon(c, "k", 1, flight.token), PLC_OK);
    region_end(c, false);
}

static void test_content_addressed(void) {
    const plc_part part = {"fixed", 5};
    plc_entry e = entry_of("k", &part);
    uint64_t token = 0;
    c = region_new(16 * MIB);
    e.options = PLC_IMMUTABLE;
    e.own_token = 5;
    CHECK_STATUS(store_entry(PLC_SET, &e, &token), PLC_OK);
    CHECK(token != 5 && found_of("k").token == token); /* nor has it a token of the caller's */
    CHECK_STATUS(remake("k", "x", token + 1, NULL), PLC_EXISTS);
    CHECK_STATUS(remake("k", "x", token, NULL), PLC_WRONG_TYPE);
    CHECK(holds(c, "k", "fixed"));
    e.own_token = 6;
    CHECK_STATUS(store_entry(PLC_APPEND, &e, &token), PLC_OK);
    CHECK(token != 6 && found_of("k").immutable == 1);
    region_end(c, false);
}

/* ---- what ends meanwhile, and what was over ---------------------------------------------------------- */

static void expect_gone(const char *key, uint64_t seen, bool renews) {
    const plc_part part = {"new", 3};
    plc_entry e = entry_of(key, &part);
    e.token = seen;
    e.seen_type = 3;
    e.deadline_ms = later_ms();
    e.options = renews ? PLC_NEW_DEADLINE : 0;
    CHECK_STATUS(store_entry(PLC_REMAKE, &e, NULL), PLC_MISS);
    CHECK(absent(c, key));
}

static void test_brings_nothing_back(void) {
    uint16_t name = 0;
    c = region_new(16 * MIB);
    CHECK_STATUS(plc_name(c, "namespace", 9, &name), PLC_OK);
    for (unsigned i = 0; i < 4; i++) {
        size_t length = i & 1u ? LARGE : 5;
        bool renews = (i & 2u) != 0;
        uint64_t seen = store_rich("k", length, 0, name, 0);
        CHECK_STATUS(touch("k", 1), PLC_OK); /* long ago */
        expect_gone("k", seen, renews);
        seen = store_rich("k", length, 0, name, 0);
        CHECK_STATUS(plc_name_invalidate(c, name), PLC_OK);
        expect_gone("k", seen, renews);
        seen = store_rich("k", length, 0, name, 0);
        CHECK_STATUS(plc_flush(c, 0), PLC_OK);
        expect_gone("k", seen, renews);
        seen = store_rich("k", length, 0, name, 0);
        CHECK_STATUS(delete("k"), PLC_OK);
        expect_gone("k", seen, renews);
    }
    region_end(c, false);
}

/* Else a flush of what was there at a moment would miss it. */
static void test_is_as_old_as_it_was(void) {
    c = region_new(16 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "k", "one", 3), PLC_OK);
    plc_found before = found_of("k");
    CHECK_SOON(now_ms() > before.created_ms + 300); /* tenths are what is known */
    CHECK_STATUS(remake("k", "two", before.token, NULL), PLC_OK);
    CHECK(found_of("k").created_ms == before.created_ms);
    CHECK_STATUS(plc_flush(c, before.created_ms + 200), PLC_OK);
    CHECK(absent(c, "k"));
    region_end(c, false);
}

/* A deadline that was stored in place while the new value was being made is the one that stays. */
static void test_deadline_of_the_large(void) {
    c = region_new(16 * MIB);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t seen = store_rich("k", LARGE, 0, 0, 0), until = later_ms() + 7000;
        CHECK_STATUS(touch("k", until), PLC_OK);
        const plc_part part = {block, i == 0 ? 5 : LARGE};
        plc_entry e = entry_of("k", &part);
        e.token = seen;
        e.seen_type = 3;
        CHECK_STATUS(store_entry(PLC_REMAKE, &e, NULL), PLC_OK);
        CHECK(found_of("k").deadline_ms == until);
        CHECK_STATUS(delete("k"), PLC_OK);
    }
    region_end(c, false);
}

/* ---- tokens of the caller's own ------------------------------------------------------------------------ */

static void test_own_token(void) {
    const plc_part part = {"2", 1};
    plc_entry e = entry_of("k", &part);
    uint64_t token = 0;
    c = region_new(16 * MIB);
    e.own_token = 1234;
    CHECK_STATUS(store_entry(PLC_ADD, &e, &token), PLC_OK);
    CHECK(token == 1234 && found_of("k").token == 1234);
    e.token = 1234;
    e.own_token = UINT64_MAX;
    CHECK_STATUS(store_entry(PLC_CAS, &e, &token), PLC_OK);
    CHECK(token == UINT64_MAX && found_of("k").token == UINT64_MAX);
    e.own_token = 7;
    CHECK_STATUS(store_entry(PLC_APPEND, &e, &token), PLC_OK);
    CHECK(token == 7 && holds(c, "k", "22"));
    CHECK_STATUS(touch("k", later_ms()), PLC_OK);
    CHECK(found_of("k").token == 7);
    e.token = 7; /* the same once more: as the server says that somebody has the right to compute */
    CHECK_STATUS(store_entry(PLC_REMAKE, &e, &token), PLC_OK);
    CHECK(token == 7 && holds(c, "k", "2"));
    e.own_token = 8;
    CHECK_STATUS(store_entry(PLC_REPLACE, &e, &token), PLC_OK);
    CHECK_STATUS(store_entry(PLC_PREPEND, &e, NULL), PLC_OK);
    CHECK(found_of("k").token == 8);
    CHECK_STATUS(store(c, PLC_SET, "k", "1", 1), PLC_OK); /* without one: the core's again */
    CHECK(found_of("k").token > 1u << 24);
    region_end(c, false);
}

/* Whatever tokens entries have, PUBLISH and abandon find the claim and nothing else. */
static void test_own_token_of_a_claim(void) {
    const plc_part part = {"computed", 8};
    plc_entry e = entry_of("k", &part);
    plc_flight flight;
    c = region_new(16 * MIB);
    MUST(c, plc_claim(c, &e, 60000, &flight), PLC_OK);
    CHECK_STATUS(set_own("k", "theirs", flight.token), PLC_OK); /* voids the claim, and has its token */
    e.token = flight.token;
    e.sum = flight.sum;
    CHECK_STATUS(store_entry(PLC_PUBLISH, &e, NULL), PLC_MISS);
    MUST(c, plc_abandon(c, "k", 1, flight.token), PLC_MISS);
    CHECK(holds(c, "k", "theirs"));
    CHECK_STATUS(delete("k"), PLC_OK);
    MUST(c, plc_claim(c, &e, 60000, &flight), PLC_OK);
    e.token = flight.token;
    e.own_token = 77; /* what is published may have one */
    CHECK_STATUS(store_entry(PLC_PUBLISH, &e, NULL), PLC_OK);
    CHECK(holds(c, "k", "computed") && found_of("k").token == 77);
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"keeps", test_keeps},
    {"answers", test_answers},
    {"of_a_claim", test_of_a_claim},
    {"content_addressed", test_content_addressed},
    {"brings_nothing_back", test_brings_nothing_back},
    {"is_as_old_as_it_was", test_is_as_old_as_it_was},
    {"deadline_of_the_large", test_deadline_of_the_large},
    {"own_token", test_own_token},
    {"own_token_of_a_claim", test_own_token_of_a_claim},
};

int main(void) {
    return RUN_TESTS(tests);
}
