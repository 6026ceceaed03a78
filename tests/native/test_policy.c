/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_policy: what stays when not everything can: what is used, under scans and overwriting; that dead bytes make
 * room before living entries do; that a large value does not cost the small ones that lie where it is put; that
 * nothing used is dropped; and that what happened is counted by its cause.  Counts, not times.
 */
#include "fixture.h"
#include "call.h"
#include "spare.h"

#include <pthread.h>
#include <sys/mman.h>

#define VALUE 1000u
#define ENTRY 1056u

static uint8_t block[2 * MIB], buffer[2 * MIB];

static void put(plc_cache *c, char kind, uint64_t number, size_t n) {
    char key[24];
    (void)snprintf(key, sizeof key, "%c%015" PRIu64, kind, number);
    MUST(c, store(c, PLC_SET, key, block, n), PLC_OK);
}

static bool read_one(plc_cache *c, char kind, uint64_t number) {
    char key[24];
    plc_found found;
    (void)snprintf(key, sizeof key, "%c%015" PRIu64, kind, number);
    plc_status s = get(c, key, buffer, sizeof buffer, &found);
    CHECK(s == PLC_OK || s == PLC_MISS);
    return s == PLC_OK;
}

/* Is it there?  Asked without reading it: that would be use. */
static bool there_is(plc_cache *c, char kind, uint64_t number) {
    char key[24];
    plc_found found;
    (void)snprintf(key, sizeof key, "%c%015" PRIu64, kind, number);
    return get(c, key, NULL, 0, &found) == PLC_TOO_SMALL;
}

static uint64_t entries_in(plc_cache *c) {
    return info_of(c).pool_bytes / ENTRY;
}

/* One number of 1 to n, the small ones more often: about as Zipf's law with exponent 1. */
static uint64_t skewed(uint64_t n) {
    uint64_t wide = 1;
    while (wide < n && below(12) != 0) {
        wide *= 2;
    }
    return below(wide < n ? wide : n);
}

/* ---- who stays ------------------------------------------------------------------------------ */

/* Hits of a FIFO with room for `most` of n keys, on what skewed() gives. */
struct fifo {
    uint64_t *keys, most, at;
    bool *there;
};

static bool fifo_get(struct fifo *f, uint64_t key) {
    if (f->there[key]) {
        return true;
    }
    uint64_t *place = &f->keys[f->at++ % f->most];
    if (f->at > f->most) {
        f->there[*place] = false;
    }
    *place = key;
    f->there[key] = true;
    return false;
}

static void test_better_than_fifo(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t most = entries_in(c), n = 8 * most, ours = 0, theirs = 0, rounds_of = 40 * most;
    struct fifo f = {.keys = calloc(most, sizeof(uint64_t)), .most = most, .there = calloc(n, sizeof(bool))};
    CHECK(f.keys != NULL && f.there != NULL);
    for (uint64_t i = 0; i < rounds_of; i++) {
        uint64_t key = skewed(n);
        bool hit = read_one(c, 'k', key);
        if (!hit) {
            put(c, 'k', key, VALUE);
        }
        bool theirs_too = fifo_get(&f, key);
        if (i >= rounds_of / 2) { /* both are full by then */
            ours += hit ? 1 : 0;
            theirs += theirs_too ? 1 : 0;
        }
    }
    (void)fprintf(stderr, "  hits %.3f, of a FIFO %.3f\n", 2 * (double)ours / (double)rounds_of,
                  2 * (double)theirs / (double)rounds_of);
    CHECK(ours > theirs + rounds_of / 2 / 50);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    CHECK(counter_of(c, "evicted_small") > counter_of(c, "evicted_main"));
    free(f.keys);
    free(f.there);
    region_end(c, false);
}

/* A fifth of the pool is read now and then while ten pools go through once: it stays. */
static void test_scan(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), hot = all / 5, scanned = 10 * all;
    for (uint64_t i = 0; i < hot; i++) {
        put(c, 'h', i, VALUE);
        CHECK(read_one(c, 'h', i));
    }
    for (uint64_t i = 0; i < scanned; i++) {
        put(c, 's', i, VALUE);
        CHECK(i % 4 != 0 || read_one(c, 'h', i / 4 % hot));
    }
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    CHECK(counter_of(c, "evicted_small") >= scanned - all);
    CHECK(counter_of(c, "evicted_main") == 0);
    region_end(c, false);
}

/* All of the pool was used, and lies in the main queue; what then passes through unused has a twentieth of it. */
static void test_small_is_a_twentieth(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t all = entries_in(c), there = 0;
    for (uint64_t i = 0; i < 2 * all; i++) {
        put(c, 'h', i, VALUE);
        CHECK(read_one(c, 'h', i));
    }
    for (uint64_t i = 0; i < all; i++) {
        put(c, 's', i, VALUE);
    }
    for (uint64_t i = 0; i < all; i++) {
        there += there_is(c, 's', i) ? 1 : 0;
    }
    (void)fprintf(stderr, "  %.3f of the pool\n", (double)there / (double)all);
    CHECK(there > all / 40 && there < all * 3 / 40);
    region_end(c, false);
}

/* What comes back soon after it was evicted unread comes into the main queue: the next scan does not push it out,
 * though it is not read again. */
static void test_ghosts(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c), few = all / 10, there = 0;
    for (uint64_t i = 0; i < few; i++) {
        put(c, 'g', i, VALUE);
    }
    uint64_t scanned = 0;
    while (there_is(c, 'g', few - 1) && scanned < 4 * all) {
        for (uint64_t i = 0; i < all / 2; i++) {
            put(c, 's', scanned++, VALUE);
        }
    }
    CHECK(counter_of(c, "ghosts_known") == 0);
    for (uint64_t i = 0; i < few; i++) {
        put(c, 'g', i, VALUE);
    }
    uint64_t known = counter_of(c, "ghosts_known");
    CHECK(known > few / 2);
    for (uint64_t i = 0; i < 2 * all; i++) {
        put(c, 's', scanned++, VALUE);
    }
    for (uint64_t i = 0; i < few; i++) {
        there += read_one(c, 'g', i) ? 1 : 0;
    }
    CHECK(there >= known - known / 10);
    region_end(c, false);
}

/* ---- dead bytes ----------------------------------------------------------------------------- */

/* Overwriting a part of the pool at random, again and again: every key stays. */
static void overwrite(unsigned percent) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t keys = entries_in(c) * percent / 100, times = keys * rounds(8, 3);
    for (uint64_t i = 0; i < keys; i++) {
        put(c, 'k', i, VALUE);
    }
    for (uint64_t i = 0; i < times; i++) {
        put(c, 'k', below(keys), VALUE);
    }
    CHECK(counter_of(c, "evictions") == 0);
    CHECK(counter_of(c, "runs_cleaned") > 0);
    uint64_t written = counter_of(c, "bytes_written");
    CHECK(counter_of(c, "bytes_cleaned") <= counter_of(c, "bytes_reinserted"));
    (void)fprintf(stderr, "  %u percent: written %.2f times\n", percent,
                  1 + (double)counter_of(c, "bytes_reinserted") / (double)written);
    CHECK(counter_of(c, "bytes_reinserted") < 2 * written);
    for (uint64_t i = 0; i < keys; i++) {
        CHECK(read_one(c, 'k', i));
    }
    region_end(c, false);
}

static void test_overwriting(void) {
    overwrite(50);
    overwrite(70);
}

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

/* ---- small and large ------------------------------------------------------------------------ */

/* Small values that are in use, a third of the pool, and large ones that pass through: the small ones stay. */
static void test_large_pass_through(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t hot = entries_in(c) / 3, there = 0;
    for (unsigned turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < hot; i++) {
            if (!read_one(c, 'h', i)) {
                put(c, 'h', i, VALUE);
            }
        }
    }
    uint64_t larges = rounds(400, 100);
    for (uint64_t i = 0; i < larges; i++) {
        put(c, 'l', i, 64 * 1024 + below(192 * 1024));
        for (uint64_t j = 0; j < hot / 20; j++) {
            (void)read_one(c, 'h', below(hot));
        }
    }
    for (uint64_t i = 0; i < hot; i++) {
        there += read_one(c, 'h', i) ? 1 : 0;
    }
    (void)fprintf(stderr, "  %" PRIu64 " of %" PRIu64 " small ones are there\n", there, hot);
    CHECK(there >= hot - hot / 20);
    CHECK(counter_of(c, "stores_refused_full") == 0);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0 && counter_of(c, "bytes_visited_dropped") == 0);
    region_end(c, false);
}

/* A large value that is read is stepped over by the hand, one that is not gives way. */
static void test_large_second_chance(void) {
    plc_cache *c = region_new(16 * MIB);
    uint64_t pool = info_of(c).pool_bytes, n = pool / 32 - 8192;
    for (uint64_t i = 0; i < 200; i++) {
        if (!read_one(c, 'r', i % 4)) {
            CHECK(i < 8); /* never again after it has come */
            put(c, 'r', i % 4, n);
        }
        put(c, 'l', i, n);
    }
    CHECK(counter_of(c, "evicted_hand") > 100);
    region_end(c, false);
}

/* ---- what is said of it --------------------------------------------------------------------- */

/* Evictions are the sum of their causes, and what is dead is known. */
static void test_counted(void) {
    plc_cache *c = region_new(8 * MIB);
    uint64_t all = entries_in(c);
    for (uint64_t i = 0; i < 6 * all; i++) {
        uint64_t key = skewed(4 * all);
        if (!read_one(c, 'k', key)) {
            put(c, 'k', key, below(200) == 0 ? 100000 : VALUE);
        } else if (below(3) == 0) {
            put(c, 'k', key, VALUE);
        }
    }
    uint64_t causes = counter_of(c, "evicted_small") + counter_of(c, "evicted_main") + counter_of(c, "evicted_hand");
    CHECK(causes > 0 && counter_of(c, "evictions") == causes);
    CHECK(counter_of(c, "evicted_visited_dropped") == 0);
    plc_usage usage = usage_of(c);
    CHECK(usage.dead_bytes > 0 && usage.dead_bytes < info_of(c).pool_bytes / 2);
    CHECK(usage.parked_runs > 0 && usage.parked_runs < 16);
    region_end(c, false);
}

/* ---- all at once ---------------------------------------------------------------------------- */

#define THREADS 3u

struct worker {
    plc_cache *c;
    uint64_t state, times, wrong;
    uint8_t *bytes;
};

static uint64_t next(struct worker *w) {
    w->state += 0x9e3779b97f4a7c15ull;
    return value_mix(w->state);
}

/* Reads of what is there, sets of what is not and of some that is: small values, and now and then a large one. */
static void *work(void *given) {
    struct worker *w = given;
    for (uint64_t i = 0; i < w->times; i++) {
        uint64_t key = next(w) % 16 == 0 ? next(w) % 30000 : next(w) % 3000;
        char text[24];
        plc_found found;
        (void)snprintf(text, sizeof text, "k%08" PRIu64, key);
        plc_status s = get(w->c, text, w->bytes, 2 * MIB, &found);
        w->wrong += s == PLC_OK && value_serial(w->bytes, found.length, key) == UINT64_MAX ? 1 : 0;
        if (s == PLC_MISS || next(w) % 3 == 0) {
            size_t n = key % 64 == 0 ? 20000 + next(w) % 150000 : 600 + next(w) % 600;
            value_make(w->bytes, n, key, next(w) >> 1);
            s = store(w->c, PLC_SET, text, w->bytes, n);
            w->wrong += s != PLC_OK && s != PLC_FULL && s != PLC_BUSY ? 1 : 0;
        }
    }
    return NULL;
}

static void test_all_at_once(void) {
    plc_cache *c = region_new(8 * MIB);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.c = c, .state = check_random(), .times = rounds(60000, 12000), .bytes = malloc(2 * MIB)};
        CHECK(workers[i].bytes != NULL && pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(workers[i].wrong == 0);
        free(workers[i].bytes);
    }
    (void)fprintf(stderr,
                  "  %" PRIu64 " cleaned, %" PRIu64 " by the hand, %" PRIu64 " ghosts, %" PRIu64 " dropped, %" PRIu64
                  " refused\n",
                  counter_of(c, "runs_cleaned"), counter_of(c, "evicted_hand"), counter_of(c, "ghosts_known"),
                  counter_of(c, "evicted_visited_dropped"), counter_of(c, "stores_refused_full"));
    CHECK(counter_of(c, "runs_cleaned") > 0 && counter_of(c, "evicted_hand") > 0 && counter_of(c, "ghosts_known") > 0);
    CHECK(counter_of(c, "evicted_small") > 0 && counter_of(c, "corrupt_seen") == 0);
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
        {"better than fifo", test_better_than_fifo},
        {"scan", test_scan},
        {"small is a twentieth", test_small_is_a_twentieth},
        {"ghosts", test_ghosts},
        {"overwriting", test_overwriting},
        {"cleaning carries", test_cleaning_carries},
        {"cleaning keeps marks", test_cleaning_keeps_marks},
        {"too full is sealed", test_too_full_is_sealed},
        {"own run first", test_own_run_first},
        {"a hot read stores nothing", test_hot_read_stores_nothing},
        {"large pass through", test_large_pass_through},
        {"large second chance", test_large_second_chance},
        {"counted", test_counted},
        {"all at once", test_all_at_once},
    };
#if defined(__SANITIZE_THREAD__)
    return run_tests(tests + sizeof tests / sizeof *tests - 1, 1); /* the one with threads */
#else
    return RUN_TESTS(tests);
#endif
}
