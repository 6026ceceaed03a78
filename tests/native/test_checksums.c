/* SPDX-License-Identifier: BSD-3-Clause */
/* test_checksums.c: entries of persistent regions carry checksums (G10).  The sums themselves, against published ones
 * and by table; a flipped bit anywhere in an entry makes it a miss for every operation that reads it, never another
 * value, and nothing is built from it; it is named by check() as I11, and gives way to the next `add`.  Regions in
 * memory pay for none of it. */
#include "fixture.h"

#include "call.h"
#include "crc32c.h"
#include "evict.h"
#include "store.h"

#define VALUE_MOST 100000u

static plc_cache *c;
static uint8_t value[VALUE_MOST], copy[VALUE_MOST];

/* ---- the sums -------------------------------------------------------------------------------- */

static void published_sums(void) {
    uint8_t bytes[32];
    CHECK(crc32c(0, "123456789", 9) == 0xe3069283u);
    CHECK(crc32c_by_table(0, "123456789", 9) == 0xe3069283u);
    memset(bytes, 0, sizeof bytes);
    CHECK(crc32c(0, bytes, 32) == 0x8a9136aau); /* RFC 3720, B.4 */
    memset(bytes, 0xff, sizeof bytes);
    CHECK(crc32c(0, bytes, 32) == 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    CHECK(crc32c(0, bytes, 32) == 0x46dd794eu && crc32c_by_table(0, bytes, 32) == 0x46dd794eu);
}

static void random_bytes(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)check_random();
    }
}

static void table_is_instruction(void) {
    for (unsigned round = 0; round < 2000; round++) {
        size_t n = below(300), at = below(16), part = below(n + 1);
        random_bytes(value + at, n);
        uint32_t sum = crc32c(0, value + at, n);
        CHECK(sum == crc32c_by_table(0, value + at, n));
        CHECK(sum == crc32c(crc32c(0, value + at, part), value + at + part, n - part));
    }
}

/* What is one of three thirds is summed up like any other byte. */
static void long_values(void) {
    for (unsigned round = 0; round < 300; round++) {
        size_t n = 1 + below(round % 2 ? 3000 : 60000), bit;
        random_bytes(value, n);
        uint32_t sum = crc32c_value(value, n);
        bit = below(n * 8);
        value[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(crc32c_value(value, n) != sum);
        value[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(crc32c_value(value, n) == sum);
        if (n >= 48) { /* exchanged parts */
            uint64_t x;
            memcpy(&x, value, 8);
            memcpy(value, value + n - 8, 8);
            memcpy(value + n - 8, &x, 8);
            CHECK(crc32c_value(value, n) != sum);
        }
    }
}

/* ---- flipped bits ---------------------------------------------------------------------------- */

struct subject {
    char key[40];
    uint64_t number;
    plc_entry e;
    plc_part part;
};

static size_t some_length(void) {
    static const size_t most[] = {64, 500, 3000, 7000, 30000, VALUE_MOST};
    return VALUE_MIN + below(most[below(6)] - VALUE_MIN);
}

static void store_subject(struct subject *s, uint64_t number, size_t length) {
    memset(s, 0, sizeof *s);
    s->number = number;
    (void)snprintf(s->key, sizeof s->key, "subject-%" PRIu64, number);
    value_make(value, length, number, number);
    s->part = (plc_part){value, length};
    s->e = (plc_entry){.key = s->key, .key_length = strlen(s->key), .parts = &s->part, .part_count = 1};
    s->e.deadline_ms = below(3) == 0 ? now_ms() + 1000000 : 0;
    s->e.tags[0] = below(3) == 0 ? 5 : 0;
    s->e.name = below(2) == 0 ? 3 : 0;
    s->e.client_flags = (uint32_t)below(1u << 30);
    MUST(c, plc_store(c, PLC_SET, &s->e, NULL), PLC_OK);
}

/* The entry of the key, found as a writer does; what is pinned is let go: nobody else is there. */
static struct hit found_entry(const char *key) {
    struct call k;
    struct hit hit;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, key, strlen(key)), PLC_OK);
    fence_full();
    CHECK_STATUS(index_look(&k, &hit), PLC_OK);
    index_unpin(&k);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    return hit;
}

static uint8_t *entry_at(const struct hit *hit) {
    return page_bytes(c, hit->e.head) + hit->e.offset;
}

/* What this process has verified it does not look at again: forgotten, as in the next process. */
static void forget_verified(void) {
    if (c->verified != NULL) {
        memset((void *)c->verified, 0, VERIFIED_PLACES * sizeof(word));
    }
}

/* Bytes of the entry that mean something: not the padding before a value and behind it. */
static uint8_t *some_byte(const struct hit *hit) {
    uint8_t *at = entry_at(hit);
    uint8_t *key_end = at + ((const uint8_t *)hit->e.spec.key - at) + hit->e.spec.key_length;
    uint8_t *begin = at + (hit->e.value - at);
    size_t head = (size_t)(key_end - at);
    return below(2) == 0 ? at + below(head) : begin + below(hit->e.spec.length);
}

static bool misses(const char *key) {
    plc_found found;
    return get(c, key, copy, sizeof copy, &found) == PLC_MISS;
}

static void flipped_bits_are_misses(void) {
    region_always_persistent = true;
    c = region_new(16 * MIB);
    CHECK(c->persistent);
    uint64_t dropped = 0, n = rounds(6000, 800);
    for (uint64_t i = 0; i < n; i++) {
        struct subject s;
        plc_found found;
        store_subject(&s, i % 50, some_length());
        if (below(2) == 0) {
            CHECK_STATUS(get(c, s.key, copy, sizeof copy, &found), PLC_OK);
            CHECK(value_serial(copy, found.length, s.number) == s.number);
        }
        struct hit hit = found_entry(s.key);
        uint8_t *byte = some_byte(&hit), bit = (uint8_t)(1u << below(8));
        uint64_t seen = counter_of(c, "corrupt_seen");
        *byte ^= bit;
        forget_verified();
        CHECK(misses(s.key));
        dropped += counter_of(c, "corrupt_seen") > seen ? 1 : 0;
        CHECK(misses(s.key));
        MUST(c, plc_store(c, PLC_ADD, &s.e, NULL), PLC_OK); /* it is in nobody's way */
        CHECK_STATUS(get(c, s.key, copy, sizeof copy, &found), PLC_OK);
        CHECK(value_serial(copy, found.length, s.number) == s.number);
    }
    CHECK(dropped > n / 2); /* the rest has become another key's, or an expired one */
    (void)printf("  %" PRIu64 " flipped bits, %" PRIu64 " counted as damage\n", n, dropped);
    (void)drain(c);
    plc_close(c);
}

/* The head alone is looked at when the value does not fit; and a value that was verified is not summed up again. */
static void what_is_looked_at_when(void) {
    region_always_persistent = true;
    c = region_new(4 * MIB);
    struct subject s;
    plc_found found;
    store_subject(&s, 1, 50000);
    struct hit hit = found_entry(s.key);
    CHECK_STATUS(get(c, s.key, copy, 10, &found), PLC_TOO_SMALL);
    CHECK_STATUS(get(c, s.key, copy, sizeof copy, &found), PLC_OK);
    entry_at(&hit)[1000] ^= 1;
    CHECK_STATUS(get(c, s.key, copy, sizeof copy, &found), PLC_OK); /* as the page cache would not change it */
    CHECK(findings_of(c) == 1);                                       /* check() looks again */
    forget_verified();
    CHECK(misses(s.key) && counter_of(c, "corrupt_seen") == 1);
    store_subject(&s, 2, 50000);
    hit = found_entry(s.key);
    CHECK_STATUS(get(c, s.key, copy, sizeof copy, &found), PLC_OK);
    entry_at(&hit)[9] ^= 1; /* its length */
    CHECK_STATUS(get(c, s.key, copy, 10, &found), PLC_MISS);
    plc_close(c);
}

/* ---- what is built from an entry ------------------------------------------------------------- */

static void flip_value(const char *key) {
    struct hit hit = found_entry(key);
    entry_at(&hit)[hit.e.value - entry_at(&hit) + (ptrdiff_t)below(hit.e.spec.length)] ^= 1;
    forget_verified();
}

static void nothing_is_built_from_it(void) {
    region_always_persistent = true;
    c = region_new(4 * MIB);
    static const size_t lengths[] = {40, 6000, 20000};
    uint64_t number = 0;
    for (unsigned i = 0; i < 3; i++) {
        plc_found found;
        struct subject s;
        const plc_part more = {"more", 4};
        for (plc_verb verb = PLC_APPEND; verb <= PLC_PREPEND; verb++) {
            store_subject(&s, 10 + i, lengths[i]);
            flip_value(s.key);
            s.e.parts = &more;
            MUST(c, plc_store(c, verb, &s.e, NULL), PLC_MISS);
            CHECK(misses(s.key));
        }
        store_subject(&s, 10 + i, lengths[i]);
        flip_value(s.key);
        plc_status touched = AGAIN(c, plc_touch(c, s.key, strlen(s.key), now_ms() + 5000));
        CHECK(touched == (lengths[i] >= c->geo.own_bytes ? PLC_OK : PLC_MISS)); /* in place: nothing is built */
        CHECK_STATUS(AGAIN(c, plc_get_touch(c, s.key, strlen(s.key), 0, copy, sizeof copy, &found)), PLC_MISS);
    }
    CHECK_STATUS(store(c, PLC_SET, "n", "41", 2), PLC_OK);
    MUST(c, plc_incr(c, "n", 1, 1, 0, &number), PLC_OK);
    CHECK(number == 42);
    struct hit hit = found_entry("n");
    entry_at(&hit)[hit.e.value - entry_at(&hit)] ^= 1; /* 42 -> 52 */
    MUST(c, plc_incr(c, "n", 1, 1, 0, &number), PLC_MISS);
    CHECK(misses("n"));
    CHECK_STATUS(store(c, PLC_ADD, "n", "7", 1), PLC_OK);
    plc_close(c);
}

/* Copies that an eviction makes: a damaged entry is left behind, the others come along with sums that hold. */
static void no_copy_is_made_of_it(void) {
    enum { MANY = 60 };
    region_always_persistent = true;
    c = region_new(4 * MIB);
    struct subject s;
    struct call k;
    for (uint64_t i = 0; i < MANY; i++) {
        store_subject(&s, i, 300);
    }
    flip_value("subject-7");
    CHECK(findings_of(c) == 1);
    struct hit hit = found_entry("subject-7");
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK(evict_run(&k, hit.e.head, EVICT_MOVE) == EVICT_FREED);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    CHECK(misses("subject-7") && counter_of(c, "corrupt_seen") == 1);
    for (uint64_t i = 0; i < MANY; i++) {
        (void)snprintf(s.key, sizeof s.key, "subject-%" PRIu64, i);
        CHECK(i == 7 || found_entry(s.key).e.head != hit.e.head);
        CHECK(misses(s.key) == (i == 7));
    }
    CHECK(findings_of(c) == 0);
    region_end(c, false);
}

/* An entry that is whole, but of another place, generation or region. */
static void of_another_place(void) {
    region_always_persistent = true;
    c = region_new(4 * MIB);
    struct subject s;
    store_subject(&s, 1, 200);
    struct hit hit = found_entry(s.key);
    struct entry_place place = {hit.e.head, page_gen(hit.e.head_word), hit.e.offset};
    uint64_t words[5];
    uint32_t check = 0;
    memcpy(words, entry_at(&hit), sizeof words);
    CHECK(entry_head_holds(c, words, entry_at(&hit), place, hit.e.spec.key, &check) && check == hit.e.value_check);
    for (unsigned i = 0; i < 3; i++) {
        struct entry_place other = place;
        *(i == 0 ? &other.head : i == 1 ? &other.gen : &other.offset) += 16;
        CHECK(!entry_head_holds(c, words, entry_at(&hit), other, hit.e.spec.key, &check));
    }
    c->region_id ^= 1;
    CHECK(!entry_head_holds(c, words, entry_at(&hit), place, hit.e.spec.key, &check));
    c->region_id ^= 1;
    plc_close(c);
}

/* ---- check() names what is wrong by its number ------------------------------------------------- */

static bool finds(uint32_t invariant) {
    plc_finding findings[64];
    uint64_t cursor = 0;
    size_t n = 0;
    bool found = false;
    for (plc_status s = PLC_OK; s != PLC_DONE;) {
        s = AGAIN(c, plc_check(c, &cursor, findings, 64, &n));
        for (size_t i = 0; i < n; i++) {
            found = found || findings[i].invariant == invariant;
        }
    }
    return found;
}

/* Puts the wrong word there, looks, and puts the right one back. */
static bool named(word *at, uint64_t wrong, uint32_t invariant) {
    uint64_t right = word_acq(at);
    CHECK(findings_of(c) == 0);
    word_put_rel(at, wrong);
    bool found = finds(invariant);
    word_put_rel(at, right);
    return found;
}

static void problems_by_number(void) {
    region_always_persistent = true;
    c = region_new(4 * MIB);
    struct subject s;
    struct call k;
    store_subject(&s, 1, 20000);
    struct hit hit = found_entry(s.key);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, s.key, strlen(s.key)), PLC_OK);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    word *slot = index_slot(&k, hit.way), *head = page_word(c, hit.e.head), *at = (word *)(void *)entry_at(&hit);
    uint64_t w = word_acq(head), v = word_acq(slot), a = word_acq(page_side_a(c, hit.e.head));
    CHECK(named(slot, slot_make(slot_tag(v), pages_limit(c) - 1, 0), 1)); /* a free page */
    CHECK(named(at, word_acq(at) ^ 1, 2));
    CHECK(named(slot, slot_make(slot_tag(v) ^ 1, hit.e.head, hit.e.offset), 3));
    CHECK(index_empty(&k) >= 0 && named(index_slot(&k, (unsigned)index_empty(&k)), v, 4));
    CHECK(named(page_word(c, hit.e.head + 1), page_cont(hit.e.head, page_gen(w) + 1), 5));
    CHECK(named(page_side_a(c, hit.e.head), side_a_make(0, side_a_mark(a), true), 7));
    CHECK(named((word *)(void *)&c->super->region_id, c->region_id ^ 1, 9));
    CHECK(named(&process_row(c, my_slot(c))->transient[TICKETS - 1], pin_make(1, 1), 10));
    CHECK(named(at + 3, word_acq(at + 3) ^ 1, 11)); /* its token */
    uint64_t last = (hit.e.spec.length - 8) & ~7ull;
    CHECK(named((word *)(void *)(entry_at(&hit) + (hit.e.value - entry_at(&hit)) + last), 0, 11));
    region_end(c, false);
}

static void none_in_memory(void) {
    region_always_persistent = false;
    check_folder_make(access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
    c = region_named("r", 4 * MIB, 0);
    if (!c->in_memory) {
        check_skip("regions in memory: there is no tmpfs to write to");
        return;
    }
    struct subject s;
    CHECK(!c->persistent && c->verified == NULL);
    store_subject(&s, 1, 200);
    struct hit hit = found_entry(s.key);
    CHECK(!(hit.e.spec.options & ENTRY_CHECKSUM));
    flip_value(s.key);
    CHECK(!misses(s.key));
    plc_close(c);
}

int main(void) {
    static const struct check_test tests[] = {
        {"published sums", published_sums},
        {"table is instruction", table_is_instruction},
        {"long values", long_values},
        {"flipped bits are misses", flipped_bits_are_misses},
        {"what is looked at when", what_is_looked_at_when},
        {"nothing is built from it", nothing_is_built_from_it},
        {"no copy is made of it", no_copy_is_made_of_it},
        {"of another place", of_another_place},
        {"problems by number", problems_by_number},
        {"none in memory", none_in_memory},
    };
    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
