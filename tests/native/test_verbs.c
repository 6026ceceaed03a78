/* SPDX-License-Identifier: BSD-3-Clause */
/* test_verbs.c: every operation means what memcached means by it, at the edges of every argument. */
#include "fixture.h"

#define BUFFER (8u * MIB)

static plc_cache *c;
static uint8_t *buffer;

static void begin(void) {
    c = region_new(16 * MIB);
    buffer = buffer != NULL ? buffer : malloc(BUFFER);
    CHECK(buffer != NULL);
}

static void end(void) {
    region_end(c, false);
}

static plc_status set(const char *key, const char *text) {
    return store(c, PLC_SET, key, text, strlen(text));
}

static plc_found found_of(const char *key) {
    plc_found found;
    CHECK_STATUS(get(c, key, buffer, BUFFER, &found), PLC_OK);
    return found;
}

static plc_status delete(const char *key) {
    return AGAIN(c, plc_delete(c, key, strlen(key)));
}

static plc_status touch(const char *key, uint64_t deadline_ms) {
    return AGAIN(c, plc_touch(c, key, strlen(key), deadline_ms));
}

static plc_status set_until(const char *key, const char *text, uint64_t deadline_ms) {
    const plc_part part = {text, strlen(text)};
    const plc_entry e = {
        .key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .deadline_ms = deadline_ms};
    return AGAIN(c, plc_store(c, PLC_SET, &e, NULL));
}

/* ---- get, set, add, replace, cas, delete ------------------------------------------------------ */

static void set_and_get(void) {
    plc_found found;
    begin();
    CHECK(absent(c, "a"));
    CHECK_STATUS(set("a", "one"), PLC_OK);
    CHECK(holds(c, "a", "one"));
    CHECK_STATUS(set("a", "two"), PLC_OK);
    CHECK(holds(c, "a", "two") && absent(c, "b"));
    CHECK_STATUS(set("a", ""), PLC_OK);
    CHECK(holds(c, "a", ""));

    const plc_part parts[] = {{"12", 2}, {NULL, 0}, {"345", 3}};
    const plc_entry e = {.key = "p",
                         .key_length = 1,
                         .parts = parts,
                         .part_count = 3,
                         .client_flags = 0xdeadbeef,
                         .options = PLC_KEY_IS_TEXT | PLC_IMMUTABLE,
                         .type = 7,
                         .cost = 200};
    uint64_t token = 0, before = now_ms();
    MUST(c, plc_store(c, PLC_SET, &e, &token), PLC_OK);
    CHECK(holds(c, "p", "12345"));
    found = found_of("p");
    CHECK(found.length == 5 && found.token == token && token != 0 && found.deadline_ms == 0);
    CHECK(found.client_flags == 0xdeadbeef && found.type == 7 && found.cost == 200);
    CHECK(found.key_is_text == 1 && found.immutable == 1 && found.name == 0);
    CHECK(found.created_ms + 200 > before && found.created_ms <= now_ms());
    CHECK_STATUS(set("p", "x"), PLC_OK);
    found = found_of("p");
    CHECK(found.token != token && found.client_flags == 0 && found.key_is_text == 0 && found.immutable == 0);

    memset(buffer, 'x', 8); /* too small a buffer: nothing is copied */
    CHECK_STATUS(set("long", "0123456789"), PLC_OK);
    CHECK_STATUS(get(c, "long", buffer, 9, &found), PLC_TOO_SMALL);
    CHECK(found.length == 10 && memcmp(buffer, "xxxxxxxx", 8) == 0);
    CHECK_STATUS(get(c, "long", NULL, 0, &found), PLC_TOO_SMALL);
    CHECK_STATUS(get(c, "long", buffer, 10, &found), PLC_OK);
    end();
}

static void add_and_replace(void) {
    begin();
    CHECK_STATUS(store(c, PLC_REPLACE, "a", "x", 1), PLC_MISS);
    CHECK(absent(c, "a"));
    CHECK_STATUS(store(c, PLC_ADD, "a", "1", 1), PLC_OK);
    CHECK_STATUS(store(c, PLC_ADD, "a", "2", 1), PLC_EXISTS);
    CHECK(holds(c, "a", "1"));
    CHECK_STATUS(store(c, PLC_REPLACE, "a", "3", 1), PLC_OK);
    CHECK(holds(c, "a", "3"));
    CHECK_STATUS(delete("a"), PLC_OK);
    CHECK_STATUS(delete("a"), PLC_MISS);
    CHECK_STATUS(store(c, PLC_REPLACE, "a", "x", 1), PLC_MISS);
    CHECK_STATUS(set_until("a", "old", 1), PLC_OK); /* expired counts as absent */
    CHECK_STATUS(store(c, PLC_REPLACE, "a", "x", 1), PLC_MISS);
    CHECK_STATUS(store(c, PLC_ADD, "a", "new", 3), PLC_OK);
    CHECK(holds(c, "a", "new"));
    CHECK_STATUS(set_until("a", "old", 1), PLC_OK);
    CHECK_STATUS(delete("a"), PLC_MISS);
    CHECK_STATUS(store(c, (plc_verb)8, "a", "x", 1), PLC_INVALID);
    end();
}

static plc_status cas(const char *key, const char *text, uint64_t token, uint64_t *got) {
    const plc_part part = {text, strlen(text)};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .token = token};
    return AGAIN(c, plc_store(c, PLC_CAS, &e, got));
}

static void compare_and_swap(void) {
    uint64_t token = 0;
    begin();
    CHECK_STATUS(cas("a", "x", 1, NULL), PLC_MISS);
    CHECK_STATUS(set("a", "1"), PLC_OK);
    uint64_t first = found_of("a").token;
    CHECK_STATUS(cas("a", "2", first + 1, &token), PLC_EXISTS);
    CHECK(holds(c, "a", "1") && token == 0);
    CHECK_STATUS(cas("a", "2", first, &token), PLC_OK);
    CHECK(holds(c, "a", "2") && token == found_of("a").token && token != first);
    CHECK_STATUS(cas("a", "3", first, NULL), PLC_EXISTS);
    CHECK_STATUS(delete("a"), PLC_OK);
    CHECK_STATUS(cas("a", "3", token, NULL), PLC_MISS);
    CHECK_STATUS(set_until("a", "4", 1), PLC_OK);
    CHECK_STATUS(cas("a", "5", 0, NULL), PLC_MISS);
    end();
}

/* ---- append, prepend, incr, decr --------------------------------------------------------------- */

static void extend(void) {
    uint16_t name = 0;
    plc_found before, after;
    begin();
    CHECK_STATUS(store(c, PLC_APPEND, "a", "x", 1), PLC_MISS);
    CHECK_STATUS(store(c, PLC_PREPEND, "a", "x", 1), PLC_MISS);
    CHECK_STATUS(plc_name(c, "ns", 2, &name), PLC_OK);
    uint64_t later = now_ms() + 3600 * 1000;
    const plc_part part = {"mid", 3};
    plc_entry e = {.key = "a",
                   .key_length = 1,
                   .parts = &part,
                   .part_count = 1,
                   .deadline_ms = later,
                   .client_flags = 9,
                   .name = name};
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    before = found_of("a");
    CHECK_STATUS(store(c, PLC_APPEND, "a", "-end", 4), PLC_OK);
    CHECK_STATUS(store(c, PLC_PREPEND, "a", "start-", 6), PLC_OK);
    CHECK_STATUS(store(c, PLC_APPEND, "a", "", 0), PLC_OK);
    CHECK(holds(c, "a", "start-mid-end"));
    after = found_of("a"); /* all but the token is inherited */
    CHECK(after.client_flags == 9 && after.deadline_ms == later && after.name == name && after.token != before.token);
    e.type = 3;
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    CHECK_STATUS(store(c, PLC_APPEND, "a", "x", 1), PLC_WRONG_TYPE);
    CHECK_STATUS(store(c, PLC_PREPEND, "a", "x", 1), PLC_WRONG_TYPE);
    CHECK(holds(c, "a", "mid"));

    /* from a shared run over the threshold into a run of its own, and on */
    uint8_t piece[1000];
    memset(piece, 'z', sizeof piece);
    CHECK_STATUS(set("grow", ""), PLC_OK);
    for (size_t n = 1000; n <= 40000; n += 1000) {
        CHECK_STATUS(store(c, n % 2000 == 0 ? PLC_APPEND : PLC_PREPEND, "grow", piece, sizeof piece), PLC_OK);
        CHECK(found_of("grow").length == n);
    }
    for (size_t i = 0; i < 40000; i++) {
        CHECK(buffer[i] == 'z');
    }
    end();
}

static plc_status count_up(const char *key, uint64_t delta, uint32_t down, uint64_t *result) {
    return AGAIN(c, plc_incr(c, key, strlen(key), delta, down, result));
}

static void numbers(void) {
    uint64_t n = 77;
    static const char *const wrong[] = {
        "",    "x", "1x", "-1", " 1", "1 x", "18446744073709551616", "99999999999999999999", "000000000000000000000001",
        "1.5", "+1"};
    begin();
    CHECK_STATUS(count_up("n", 1, 0, &n), PLC_MISS);
    CHECK(n == 77);
    CHECK_STATUS(set("n", "9"), PLC_OK);
    CHECK_STATUS(count_up("n", 1, 0, &n), PLC_OK);
    CHECK(n == 10 && holds(c, "n", "10"));
    CHECK_STATUS(count_up("n", 3, 1, &n), PLC_OK);
    CHECK(n == 7 && holds(c, "n", "7"));
    CHECK_STATUS(count_up("n", 8, 1, &n), PLC_OK); /* decr stops at 0 */
    CHECK(n == 0 && holds(c, "n", "0"));
    CHECK_STATUS(count_up("n", UINT64_MAX, 0, &n), PLC_OK);
    CHECK(n == UINT64_MAX && holds(c, "n", "18446744073709551615"));
    CHECK_STATUS(count_up("n", 5, 0, &n), PLC_OK); /* incr wraps at 2^64 */
    CHECK(n == 4 && holds(c, "n", "4"));
    CHECK_STATUS(set("n", "00042   "), PLC_OK);
    CHECK_STATUS(count_up("n", 0, 0, &n), PLC_OK);
    CHECK(n == 42 && holds(c, "n", "42"));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        n = 5;
        CHECK_STATUS(set("n", wrong[i]), PLC_OK);
        CHECK_STATUS(count_up("n", 1, 0, &n), PLC_NOT_A_NUMBER);
        CHECK_STATUS(count_up("n", 1, 1, &n), PLC_NOT_A_NUMBER);
        CHECK(n == 5 && holds(c, "n", wrong[i]));
    }
    memset(buffer, '1', 20000); /* in a run of its own, and no number */
    CHECK_STATUS(store(c, PLC_SET, "n", buffer, 20000), PLC_OK);
    CHECK_STATUS(count_up("n", 1, 0, &n), PLC_NOT_A_NUMBER);
    uint64_t later = now_ms() + 3600 * 1000;
    CHECK_STATUS(set_until("n", "1", later), PLC_OK);
    CHECK_STATUS(count_up("n", 1, 0, &n), PLC_OK);
    CHECK(found_of("n").deadline_ms == later);
    CHECK_STATUS(set_until("n", "1", 1), PLC_OK);
    CHECK_STATUS(count_up("n", 1, 0, &n), PLC_MISS);
    end();
}

/* ---- expiry and touch --------------------------------------------------------------------------- */

static void expiry(void) {
    plc_found found;
    begin();
    uint64_t later = now_ms() + 3600 * 1000;
    CHECK_STATUS(set_until("a", "x", 0), PLC_OK);
    CHECK(found_of("a").deadline_ms == 0);
    CHECK_STATUS(set_until("a", "x", later), PLC_OK);
    CHECK(found_of("a").deadline_ms == later);
    CHECK_STATUS(set_until("a", "y", now_ms() - 1), PLC_OK); /* gone at once, with what was there before */
    CHECK(absent(c, "a"));
    CHECK_STATUS(set_until("a", "y", 1), PLC_OK);
    CHECK(absent(c, "a"));
    CHECK_STATUS(set("a", "z"), PLC_OK);
    CHECK(holds(c, "a", "z"));

    for (unsigned large = 0; large < 2; large++) { /* in a shared run; in a run of its own */
        size_t n = large ? 50000 : 10;
        memset(buffer, 't', n);
        CHECK_STATUS(touch("t", later), large ? PLC_MISS : PLC_MISS);
        CHECK_STATUS(store(c, PLC_SET, "t", buffer, n), PLC_OK);
        uint64_t token = found_of("t").token;
        CHECK_STATUS(touch("t", later), PLC_OK);
        CHECK(found_of("t").deadline_ms == later && found_of("t").length == n && found_of("t").token == token);
        CHECK_STATUS(touch("t", 0), PLC_OK);
        CHECK(found_of("t").deadline_ms == 0);
        MUST(c, plc_get_touch(c, "t", 1, later + 1, buffer, BUFFER, &found), PLC_OK);
        CHECK(found.deadline_ms == later + 1 && found.length == n && buffer[0] == 't' && buffer[n - 1] == 't');
        CHECK_STATUS(touch("t", 5), PLC_OK);
        CHECK(absent(c, "t"));
        CHECK_STATUS(touch("t", later), PLC_MISS);
        MUST(c, plc_get_touch(c, "t", 1, later, buffer, BUFFER, &found), PLC_MISS);
        CHECK_STATUS(delete("t"), PLC_MISS);
    }
    memset(buffer, 'u', 50000); /* a deadline that was touched in place is inherited */
    CHECK_STATUS(store(c, PLC_SET, "u", buffer, 50000), PLC_OK);
    CHECK_STATUS(touch("u", later), PLC_OK);
    CHECK_STATUS(store(c, PLC_APPEND, "u", "!", 1), PLC_OK);
    CHECK(found_of("u").deadline_ms == later && found_of("u").length == 50001 && buffer[50000] == '!');
    end();
}

/* ---- flush -------------------------------------------------------------------------------------- */

static plc_status set_sum(const char *key, uint16_t name, const uint16_t tags[4], uint64_t sum) {
    const plc_part part = {"v", 1};
    plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .name = name, .sum = sum};
    memcpy(e.tags, tags, sizeof e.tags);
    return AGAIN(c, plc_store(c, PLC_SET, &e, NULL));
}

static const uint16_t no_tags[4] = {0, 0, 0, 0};

static void flush(void) {
    uint64_t sum = 0;
    begin();
    CHECK_STATUS(set("a", "1"), PLC_OK);
    CHECK_STATUS(plc_sum(c, 0, no_tags, &sum), PLC_OK);
    CHECK_STATUS(plc_flush(c, 0), PLC_OK);
    CHECK(absent(c, "a") && count_of(c, 0) == 0);
    CHECK_STATUS(store(c, PLC_REPLACE, "a", "x", 1), PLC_MISS);
    CHECK_STATUS(delete("a"), PLC_MISS);
    CHECK_STATUS(set_sum("b", 0, no_tags, sum), PLC_OK); /* begun before the flush: born dead */
    CHECK(absent(c, "b"));
    CHECK_STATUS(set("a", "2"), PLC_OK); /* even in the same tenth of a second */
    CHECK(holds(c, "a", "2"));

    /* Creation counts in tenths of a second from the region's own: entries of the moment's tenth are later. */
    uint64_t hour = 3600 * 1000;
    CHECK_STATUS(plc_flush(c, info_of(c).created_ms - hour), PLC_OK); /* a moment before all entries */
    CHECK(holds(c, "a", "2"));
    CHECK_STATUS(plc_flush(c, now_ms() + hour), PLC_OK); /* not come yet */
    CHECK(holds(c, "a", "2"));
    CHECK_STATUS(plc_flush(c, now_ms() + 2 * hour), PLC_OK); /* in its place */
    CHECK(holds(c, "a", "2"));
    CHECK_STATUS(set("b", "3"), PLC_OK);
    CHECK(holds(c, "b", "3"));
    CHECK_SOON(now_ms() / 100 > found_of("b").created_ms / 100 + 1); /* the clock goes on */
    CHECK_STATUS(plc_flush(c, found_of("b").created_ms + 101), PLC_OK);
    CHECK(absent(c, "a") && absent(c, "b") && count_of(c, 0) == 0);
    CHECK_STATUS(set("b", "4"), PLC_OK);
    CHECK(holds(c, "b", "4"));
    CHECK_STATUS(plc_flush(c, now_ms() + hour), PLC_OK);
    CHECK(absent(c, "a") && holds(c, "b", "4"));
    end();
}

static void flush_later(void) {
    begin();
    CHECK_STATUS(set("a", "1"), PLC_OK);
    uint64_t at = found_of("a").created_ms + 300;
    CHECK_STATUS(plc_flush(c, at), PLC_OK);
    CHECK_SOON(absent(c, "a")); /* once that moment has come, and not before */
    CHECK(now_ms() + 1 >= at);
    CHECK_STATUS(set("a", "2"), PLC_OK);
    CHECK(holds(c, "a", "2"));
    CHECK_STATUS(plc_flush(c, now_ms() + 3600 * 1000), PLC_OK); /* the passed moment is not forgotten */
    CHECK(holds(c, "a", "2"));
    end();
}

/* ---- names and tags ----------------------------------------------------------------------------- */

static void names_and_tags(void) {
    uint16_t f = 0, g = 0, again = 0, t1 = 0, t2 = 0;
    uint64_t sum = 0, gone = 0;
    plc_name_counts counts;
    plc_found found;
    begin();
    CHECK_STATUS(plc_name(c, "f", 1, &f), PLC_OK);
    CHECK_STATUS(plc_name(c, "g", 1, &g), PLC_OK);
    CHECK_STATUS(plc_name(c, "f", 1, &again), PLC_OK);
    CHECK_STATUS(plc_name(c, "t1", 2, &t1), PLC_OK);
    CHECK_STATUS(plc_name(c, "t2", 2, &t2), PLC_OK);
    CHECK(f != 0 && g != 0 && f == again && f != g && t1 != t2 && t1 != f && t2 != g);
    CHECK_STATUS(plc_name(c, "", 0, &again), PLC_INVALID);
    const uint16_t tag1[4] = {t1, 0, 0, 0}, both[4] = {t1, t2, 0, 0}, last[4] = {0, 0, 0, t2};
    CHECK_STATUS(set_sum("none", 0, no_tags, 0), PLC_OK);
    CHECK_STATUS(set_sum("f", f, no_tags, 0), PLC_OK);
    CHECK_STATUS(set_sum("g", g, no_tags, 0), PLC_OK);
    CHECK_STATUS(set_sum("f1", f, tag1, 0), PLC_OK);
    CHECK_STATUS(set_sum("12", 0, both, 0), PLC_OK);
    CHECK_STATUS(set_sum("g2", g, last, 0), PLC_OK);
    CHECK(count_of(c, 0) == 6 && count_of(c, f) == 2 && count_of(c, g) == 2 && count_of(c, t1) == 0);
    CHECK(found_of("f1").name == f);
    CHECK_STATUS(plc_sum(c, f, both, &sum), PLC_OK);
    CHECK_STATUS(plc_name_invalidate(c, t1), PLC_OK);
    CHECK(holds(c, "none", "v") && holds(c, "f", "v") && holds(c, "g", "v") && holds(c, "g2", "v"));
    CHECK(absent(c, "f1") && absent(c, "12"));
    CHECK_STATUS(set_sum("f1", f, both, sum), PLC_OK); /* its sum was captured before: born dead */
    CHECK(absent(c, "f1"));
    CHECK_STATUS(plc_name_invalidate(c, g), PLC_OK);
    CHECK(absent(c, "g") && absent(c, "g2") && holds(c, "f", "v"));
    CHECK_STATUS(plc_name_invalidate(c, f), PLC_OK);
    CHECK(absent(c, "f") && holds(c, "none", "v") && count_of(c, 0) == 1);
    CHECK_STATUS(set_sum("f", f, tag1, 0), PLC_OK);
    CHECK(holds(c, "f", "v"));
    CHECK_STATUS(store(c, PLC_APPEND, "f", "w", 1), PLC_OK); /* an extended value depends on the same names */
    CHECK_STATUS(touch("f", now_ms() + 3600 * 1000), PLC_OK);
    CHECK_STATUS(plc_name_invalidate(c, t1), PLC_OK);
    CHECK(absent(c, "f"));

    CHECK_STATUS(plc_name_reset(c, f), PLC_OK);
    CHECK_STATUS(set_sum("f", f, no_tags, 0), PLC_OK);
    MUST(c, plc_get(c, "f", 1, f, buffer, BUFFER, &found), PLC_OK);
    MUST(c, plc_get(c, "gone", 4, f, buffer, BUFFER, &found), PLC_MISS);
    CHECK_STATUS(plc_name_count(c, f, 10, 20, 30), PLC_OK);
    CHECK_STATUS(plc_name_read(c, f, &counts), PLC_OK);
    CHECK(counts.hits == 11 && counts.misses == 21 && counts.saved_us == 30);
    gone = counts.generation;
    CHECK_STATUS(plc_name_invalidate(c, f), PLC_OK);
    CHECK_STATUS(plc_name_reset(c, f), PLC_OK);
    CHECK_STATUS(plc_name_read(c, f, &counts), PLC_OK);
    CHECK(counts.hits == 0 && counts.misses == 0 && counts.saved_us == 0 && counts.generation == gone + 1);
    end();
}

static const struct check_test tests[] = {
    {"set_and_get", set_and_get},
    {"add_and_replace", add_and_replace},
    {"compare_and_swap", compare_and_swap},
    {"extend", extend},
    {"numbers", numbers},
    {"expiry", expiry},
    {"flush", flush},
    {"flush_later", flush_later},
    {"names_and_tags", names_and_tags},
};

int main(void) {
    return RUN_TESTS(tests);
}
