/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_runs: runs of small entries: what cleaning one carries to another, when one is gone on with and when it is
 * sealed, whose run a writer takes, and that reading stores nothing into any.
 */
#include "numbered.h"
#include "call.h"
#include "spare.h"

#include <sys/mman.h>

/* Cleaning moves what is live as it is: values, deadlines, tokens and flags. */
static void test_cleaning_carries(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t keys = entries_in(c) / 2, deadline = now_ms() + 3600 * 1000;
    plc_found before, after;
    const plc_part part = {"carried", 7};
    const plc_entry e = {.key = "K",
                         .key_length = 1,
                         .parts = &part,
                         .part_count = 1,
                         .deadline_ms = deadline,
                         .client_flags = 77,
                         .cost = 9,
                         .type = 5};
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    CHECK_STATUS(get(c, "K", buffer, sizeof buffer, &before), PLC_OK);
    for (uint64_t i = 0; i < keys * 20; i++) {
        put(c, 'k', below(keys), VALUE);
    }
    CHECK(counter_of(c, "runs_cleaned") > 0 && counter_of(c, "evictions") == 0);
    CHECK_STATUS(get(c, "K", buffer, sizeof buffer, &after), PLC_OK);
    CHECK(after.token == before.token && after.deadline_ms == deadline && after.client_flags == 77);
    CHECK(after.cost == 9 && after.type == 5 && after.length == 7 && memcmp(buffer, "carried", 7) == 0);
    region_end(c, false);
}

/* Is the mark set of the entry under this key?  *run: where it lies. */
static bool marked(plc_cache *c, char kind, uint64_t number, uint32_t *run) {
    struct call k;
    char key[24];
    (void)snprintf(key, sizeof key, "%c%015" PRIu64, kind, number);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, key, strlen(key)), PLC_OK);
    index_ask_entry(&k);
    int way = index_where(&k, k.likely);
    CHECK(k.likely != 0 && way >= 0);
    *run = slot_head(k.likely);
    bool set = index_marks(&k, (unsigned)way) & VISITED_USED;
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    return set;
}

/* What was read before its run was cleaned has still been read afterwards. */
static void test_cleaning_keeps_marks(void) {
    struct call k;
    uint32_t run, now;
    plc_cache *c = region_new(4 * MIB);
    for (uint64_t i = 0; i < 40; i++) {
        put(c, 'm', i, VALUE);
        CHECK(read_one(c, 'm', i));
    }
    CHECK(marked(c, 'm', 0, &run));
    for (uint64_t i = 0; i < 40; i += 2) {
        char key[24];
        (void)snprintf(key, sizeof key, "m%015" PRIu64, i);
        MUST(c, plc_delete(c, key, strlen(key)), PLC_OK);
    }
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    run_seal_parked(&k, run);
    CHECK(evict_run(&k, run, EVICT_CLEAN) == EVICT_FREED);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    for (uint64_t i = 1; i < 40; i += 2) {
        CHECK(marked(c, 'm', i, &now) && now != run);
    }
    region_end(c, false);
}

/* The run that was filled last, and is too full for what comes, is sealed, although it is short and has more than a
 * quarter of itself left. */
static void test_too_full_is_sealed(void) {
    struct call k;
    struct fill f;
    plc_cache *c = region_new(4 * MIB);
    put(c, 'f', 0, VALUE);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, "k", 1), PLC_OK);
    uint32_t head = spare_form_reserve(&k), short_pages = 4;
    CHECK(head != 0);
    run_begin(&k, head, false, &f);
    f.pages = pages_trim(&k, head, f.gen, f.pages, short_pages);
    f.last = &c->last_run[k.ticket];
    const struct spec spec = {.key = k.key, .key_length = 1, .kind = ENTRY_VALUE, .length = 2500};
    for (unsigned i = 0; i < 4; i++) {
        fill_racing(run_write(&k, &f, &spec), block, spec.length);
        run_commit(&k, &f);
        run_next(&f);
    }
    f.published = true;
    run_finish(&k, &f);
    CHECK(page_state(word_acq(page_word(c, head))) == PAGE_PARKED);
    for (unsigned i = 0; i < PARKED_PLACES; i++) { /* nobody else has a run to be continued */
        if (word_acq(&c->super->parked[i]) != head) {
            word_put_rlx(&c->super->parked[i], 0);
        }
    }
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    put(c, 'f', 1, 7000);
    domain_open(c);
    enum page_state state = page_state(word_acq(page_word(c, head)));
    domain_close(c);
    CHECK(state != PAGE_PARKED);
    region_end(c, false);
}

/* A parked run of another writer's, with room. */
static uint32_t park_one(struct call *k, unsigned entries) {
    struct fill f;
    uint32_t head = spare_form_reserve(k);
    CHECK(head != 0);
    run_begin(k, head, false, &f);
    const struct spec spec = {.key = k->key, .key_length = 1, .kind = ENTRY_VALUE, .length = VALUE};
    for (unsigned i = 0; i < entries; i++) {
        fill_racing(run_write(k, &f, &spec), block, spec.length);
        run_commit(k, &f);
        run_next(&f);
    }
    f.published = true;
    run_finish(k, &f);
    return head;
}

static unsigned named(const plc_cache *c, uint32_t head) {
    unsigned places = 0;
    for (unsigned i = 0; i < PARKED_PLACES; i++) {
        places += word_acq(&c->super->parked[i]) == head ? 1 : 0;
    }
    return places;
}

/* A writer goes on with its own run, which has one place in the list, and leaves alone those of others. */
static void test_own_run_first(void) {
    struct call k;
    plc_cache *c = region_new(4 * MIB);
    put(c, 'a', 0, VALUE);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, "k", 1), PLC_OK);
    uint32_t own = (uint32_t)word_acq(&c->last_run[k.ticket]), other = park_one(&k, 1);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    CHECK(own != 0 && own != other && named(c, own) == 1 && named(c, other) == 1);
    uint64_t side = word_acq(page_side_a(c, other)), mark = side_a_mark(word_acq(page_side_a(c, own)));
    for (unsigned i = 1; i < 20; i++) {
        put(c, 'a', i, VALUE);
    }
    CHECK(word_acq(page_side_a(c, other)) == side && side_a_mark(word_acq(page_side_a(c, own))) > mark);
    CHECK(named(c, own) == 1 && named(c, other) == 1);
    region_end(c, false);
}

/* What was read once is read again without a store to pool, index, page words or rings. */
static void test_hot_read_stores_nothing(void) {
    plc_cache *c = region_new(4 * MIB);
    put(c, 'h', 0, 100);
    CHECK(read_one(c, 'h', 0));
    uint64_t from = c->geo.ring_at & ~(uint64_t)(PAGE_BYTES - 1);
    from = from < c->geo.ring_at ? from + PAGE_BYTES : from;
    CHECK(from < c->geo.pages_at && mprotect(c->base + from, c->geo.size_bytes - from, PROT_READ) == 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(read_one(c, 'h', 0) && !read_one(c, 'n', i));
    }
    CHECK(mprotect(c->base + from, c->geo.size_bytes - from, PROT_READ | PROT_WRITE) == 0);
    region_end(c, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"cleaning carries", test_cleaning_carries},
        {"cleaning keeps marks", test_cleaning_keeps_marks},
        {"too full is sealed", test_too_full_is_sealed},
        {"own run first", test_own_run_first},
        {"a hot read stores nothing", test_hot_read_stores_nothing},
    };
    return RUN_TESTS(tests);
}
