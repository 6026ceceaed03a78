/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_stopped.c: readers and writers that are stopped in the middle of a call while others recycle the whole
 * pool, in emulation: calls are entered and left half way with the core's own functions, and the pool is recycled
 * by other calls of the same thread.  Whatever a stopped reader then accepts must be, byte for byte, what it found;
 * what it has pinned must not change at all; what a stopped writer publishes must be its own bytes.
 * Threatens I2, I6 and the orders of `store` and `evict` in layout.h.  SOAK=1: fifty times as many.
 */
#include "soak.h"
#include "find.h"
#include "store.h"

#define HELD 24u /* calls that are stopped at once */
#define CHURN_KEYS 300u
#define LARGEST 300000u

static plc_cache *c;
static uint8_t bytes[2 * LARGEST], copy[2 * LARGEST];
static uint64_t serials, accepted, refused, limbo_seen, kept;

struct held { /* a stopped reader */
    struct call k;
    struct hit hit;
    char key[32];
    uint64_t number, serial;
    size_t length;
    bool pinned, there;
};
static struct held held[HELD];

static size_t some_size(void) {
    switch (below(6)) {
    case 0: return 8 + below(20);
    case 1: return 4000 + below(8000); /* around the threshold of 8 KiB */
    case 2: return 8 + below(LARGEST);
    case 3: return 8 + below(60000);
    default: return 8 + below(1500);
    }
}

static plc_status put(const char *key, uint64_t number, size_t n, uint64_t serial) {
    value_make(bytes, n, number, serial);
    return store(c, PLC_SET, key, bytes, n);
}

/* Others write about so many bytes, in runs of all kinds, so that heads become tails and the reverse. */
static void recycle(uint64_t amount) {
    char key[32];
    while (amount > 0) {
        uint64_t number = 1000000 + below(CHURN_KEYS);
        size_t n = some_size();
        (void)snprintf(key, sizeof key, "churn-%" PRIu64, number);
        uint64_t what = below(8);
        if (what == 0) {
            plc_status s = AGAIN(c, plc_delete(c, key, strlen(key)));
            CHECK(s == PLC_OK || s == PLC_MISS);
        } else if (what == 1) {
            plc_found found;
            plc_status s = get(c, key, copy, sizeof copy, &found);
            CHECK(s == PLC_MISS || (s == PLC_OK && value_serial(copy, found.length, number) != UINT64_MAX));
        } else {
            plc_status s = put(key, number, n, ++serials);
            CHECK(s == PLC_OK || s == PLC_FULL); /* full: the held ones are in the way of a large value */
            amount -= n < amount ? n : amount;
        }
        amount -= amount > 64 ? 64 : amount;
    }
}

static uint64_t pool_bytes(void) {
    return (uint64_t)(c->geo.end_page - c->geo.first_page) << PAGE_SHIFT;
}

/* A part of the pool, or three times all of it. */
static void recycle_some(void) {
    recycle(below(3) == 0 ? 3 * pool_bytes() : below(pool_bytes()));
}

/* ---- readers ------------------------------------------------------------------------------------ */

static void stop_reader(struct held *h, unsigned i, bool pinned) {
    h->number = i;
    h->serial = ++serials;
    h->length = some_size();
    h->pinned = pinned;
    (void)snprintf(h->key, sizeof h->key, "held-%u", i);
    plc_status stored = put(h->key, h->number, h->length, h->serial);
    CHECK(stored == PLC_OK || stored == PLC_FULL);
    CHECK_STATUS(call_enter(&h->k, c), PLC_OK);
    CHECK_STATUS(index_key(&h->k, h->key, strlen(h->key)), PLC_OK);
    fence_full();
    struct glance g = {0};
    plc_status found = pinned ? index_look(&h->k, &h->hit) : find_entry(&h->k, &g);
    CHECK_STATUS(found, stored == PLC_OK ? PLC_OK : PLC_MISS);
    h->there = found == PLC_OK;
    if (!h->there) {
        return;
    }
    CHECK(pinned || entry_read(c, g.slot, g.word, &h->hit.e));
    CHECK(h->hit.e.spec.length == h->length);
    CHECK(value_serial(h->hit.e.value, h->length, h->number) == h->serial);
    if (below(4) == 0) { /* its key is given another value, or goes */
        if (below(2) == 0) {
            stored = put(h->key, h->number, some_size(), ++serials);
            CHECK(stored == PLC_OK || stored == PLC_FULL);
        } else {
            MUST(c, plc_delete(c, h->key, strlen(h->key)), PLC_OK);
        }
    }
}

/* The reader goes on: copies, perhaps in two parts with more recycling in between, and asks whether that counts. */
static void resume_reader(struct held *h, bool last) {
    const struct entry *e = &h->hit.e;
    if (h->there) {
        size_t first = below(h->length + 1);
        copy_racing(copy, e->value, first);
        if (last && below(4) == 0) {
            uint8_t *mine = malloc(h->length + 1); /* recycling uses the other buffers */
            CHECK(mine != NULL);
            memcpy(mine, copy, first);
            recycle_some();
            memcpy(copy, mine, first);
            free(mine);
        }
        copy_racing(copy + first, e->value + first, h->length - first);
        bool key_same = e->spec.key_length == strlen(h->key) && memcmp(e->spec.key, h->key, strlen(h->key)) == 0;
        bool same = value_serial(copy, h->length, h->number) == h->serial && key_same;
        bool still = index_still(&h->k, e);
        CHECK(!still || same);
        CHECK(!h->pinned || (still && same));
        accepted += still ? 1 : 0;
        refused += still ? 0 : 1;
        limbo_seen += page_state(word_acq(page_word(c, e->head))) == PAGE_LIMBO ? 1 : 0;
    }
    if (last) {
        index_unpin(&h->k);
        CHECK_STATUS(call_leave(&h->k, PLC_OK), PLC_OK);
    }
}

static void readers(void) {
    c = region_new(4 * MIB);
    uint64_t n = soak_rounds(6000, 120, 10);
    for (uint64_t round = 0; round < n; round++) {
        (void)alarm(HANG_SECONDS); /* for each */
        unsigned count_of_held = 1 + (unsigned)below(HELD), pins = (unsigned)below(5);
        for (unsigned i = 0; i < count_of_held; i++) {
            stop_reader(&held[i], i, i < pins);
            if (below(3) == 0) {
                recycle(below(100000));
            }
        }
        for (unsigned pass = 0; pass < 3; pass++) {
            recycle_some();
            for (unsigned i = 0; i < count_of_held; i++) {
                resume_reader(&held[i], pass == 2);
            }
        }
        CHECK(round % 16 != 0 || findings_of(c) == 0);
    }
    soak_line("readers stopped in a call, in emulation",
              "%" PRIu64 " times as they were left, %" PRIu64 " times refused, %" PRIu64 " times in limbo", accepted,
              refused, limbo_seen);
    CHECK(accepted > 0 && refused > 0 && limbo_seen > 0);
    region_end(c, false);
}

/* Stopped earlier: between slot and head's word, and between that and the slot again. */
static void readers_at_the_slot(void) {
    struct call k;
    uint64_t read = 0, n = soak_rounds(60000, 1200, 100);
    c = region_new(4 * MIB);
    for (uint64_t round = 0; round < n; round++) {
        (void)alarm(HANG_SECONDS); /* for each */
        struct entry e;
        plc_status s = put("slot", 7, some_size(), ++serials);
        CHECK(s == PLC_OK || s == PLC_FULL);
        CHECK_STATUS(call_enter(&k, c), PLC_OK);
        CHECK_STATUS(index_key(&k, "slot", 4), PLC_OK);
        for (unsigned way = 0; way < INDEX_WAYS; way++) {
            uint64_t v = word_acq(index_slot(&k, way));
            if (v == 0 || slot_tag(v) != k.tag) {
                continue;
            }
            recycle(below(pool_bytes() / 8));
            if (below(2) == 0) { /* the same key, perhaps at the same place */
                s = put("slot", 7, some_size(), ++serials);
                CHECK(s == PLC_OK || s == PLC_FULL);
            }
            uint64_t w = word_acq(page_word(c, slot_head(v)));
            recycle(below(pool_bytes() / 8));
            if (!page_readable(w) || word_acq(index_slot(&k, way)) != v || !entry_read(c, v, w, &e) ||
                !entry_has_key(&e, &k)) {
                continue;
            }
            recycle(below(pool_bytes() / 8));
            size_t length = e.spec.length < sizeof copy ? e.spec.length : sizeof copy;
            copy_racing(copy, e.value, length);
            if (index_still(&k, &e)) {
                CHECK(value_serial(copy, e.spec.length, 7) != UINT64_MAX);
                read++;
            }
        }
        CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    }
    CHECK(read > 0);
    region_end(c, false);
}

/* ---- writers ------------------------------------------------------------------------------------ */

struct writer {
    struct call k;
    struct spec spec;
    struct fill fill;
    struct hit old;
    char key[32];
    uint64_t number, serial;
    bool replaces, open;
};
static struct writer writers[8];

static void write_prepared(struct writer *w, unsigned i) {
    memset(&w->spec, 0, sizeof w->spec);
    w->number = 500 + i;
    w->serial = ++serials;
    w->replaces = false;
    (void)snprintf(w->key, sizeof w->key, "writer-%u-%" PRIu64, i, serials);
    size_t old_length = some_size();
    bool with_old = below(2) == 0 && put(w->key, w->number, old_length, ++serials) == PLC_OK;
    CHECK_STATUS(call_enter(&w->k, c), PLC_OK);
    CHECK_STATUS(index_key(&w->k, w->key, strlen(w->key)), PLC_OK);
    w->spec = (struct spec){.key = w->k.key,
                            .key_length = w->k.key_length,
                            .kind = ENTRY_VALUE,
                            .length = some_size(),
                            .options = c->persistent ? ENTRY_CHECKSUM : 0,
                            .sum = name_sum(c, 0, (const uint16_t[4]){0}),
                            .token = call_token(&w->k),
                            .created = entry_created_now(&w->k)};
    w->open = space_prepare(&w->k, &w->spec, &w->fill) == PLC_OK;
    if (!w->open) { /* large, and the others are in the way */
        return;
    }
    uint8_t *to = run_write(&w->k, &w->fill, &w->spec);
    if (below(2) == 0) { /* stopped before its bytes are written */
        recycle_some();
    }
    value_make(bytes, w->spec.length, w->number, w->serial);
    fill_racing(to, bytes, w->spec.length);
    run_sign(&w->k, &w->fill);
    if (with_old) {
        fence_full();
        w->replaces = index_look(&w->k, &w->old) == PLC_OK;
    }
}

static void write_published(struct writer *w) {
    struct call *k = &w->k;
    run_commit(k, &w->fill);
    if (below(3) == 0) {
        recycle_some();
    }
    int way = w->replaces ? (int)w->old.way : index_empty(k);
    uint64_t from = w->replaces ? w->old.e.slot : 0;
    w->fill.published = way >= 0 && word_swap(index_slot(k, (unsigned)way), from, run_place(k, &w->fill));
    if (w->fill.published && w->replaces) {
        run_dead(k, w->old.e.head, page_gen(w->old.e.head_word), w->old.e.bytes);
    }
    index_unpin(k);
}

/* What it has published is found, while its run is open even whatever the others do. */
static void written(const struct writer *w, bool surely) {
    plc_found found;
    plc_status s = get(c, w->key, copy, sizeof copy, &found);
    if (s == PLC_OK) {
        CHECK(found.token == w->spec.token && found.length == w->spec.length);
        CHECK(value_serial(copy, found.length, w->number) == w->serial);
        kept++;
    } else {
        CHECK_STATUS(s, PLC_MISS);
        CHECK(!surely || counter_of(c, "displaced") > 0);
    }
}

static void stopped_writers(void) {
    c = region_new(4 * MIB);
    uint64_t n = soak_rounds(6000, 150, 12);
    for (uint64_t round = 0; round < n; round++) {
        (void)alarm(HANG_SECONDS); /* for each */
        unsigned count_of_writers = 1 + (unsigned)below(sizeof writers / sizeof writers[0]);
        for (unsigned i = 0; i < count_of_writers; i++) {
            write_prepared(&writers[i], i);
        }
        recycle_some();
        for (unsigned i = 0; i < count_of_writers; i++) {
            struct writer *w = &writers[i];
            if (w->open) {
                write_published(w);
                if (w->fill.published) {
                    written(w, true);
                    if (below(3) == 0) { /* stopped before it parks or seals: nobody may take its run */
                        recycle_some();
                        written(w, true);
                    }
                }
                run_finish(&w->k, &w->fill);
            }
            CHECK_STATUS(call_leave(&w->k, PLC_OK), PLC_OK);
            if (w->open && w->fill.published) {
                written(w, false);
            }
        }
        CHECK(round % 16 != 0 || findings_of(c) == 0);
    }
    CHECK(kept > 0);
    soak_line("writers stopped in a call, in emulation",
              "%" PRIu64 " rounds; what was published is found %" PRIu64 " times", n, kept);
    region_end(c, false);
}

/* Nowhere among them are so many pages free of both writers, wherever all else goes. */
static bool leaves_no_gap(const struct fill *f, const struct fill *g, uint32_t pages) {
    const struct fill *low = f->head < g->head ? f : g, *high = low == f ? g : f;
    return low->head - c->geo.first_page < pages && high->head - (low->head + low->pages) < pages &&
           c->geo.end_page - (high->head + high->pages) < pages;
}

/* Two writers stop before they have written: between them and around them is no room for so many pages.  Where a run
 * comes to lie is chance, so mostly the second goes on and another stops in its stead, now and then the first; what
 * ends this if it comes to nothing is the alarm. */
static void stop_in_the_way(struct call k[2], struct fill fill[2], uint32_t pages) {
    struct spec spec = {.key_length = 1, .kind = ENTRY_VALUE, .length = 100};
    unsigned stopped = 0, i = 0;
    (void)alarm(HANG_SECONDS);
    do {
        if (stopped == 2) {
            i = below(8) == 0 ? 0 : 1;
            run_finish(&k[i], &fill[i]);
            CHECK_STATUS(call_leave(&k[i], PLC_OK), PLC_OK);
            stopped--;
        }
        recycle(20000);
        CHECK_STATUS(call_enter(&k[i], c), PLC_OK);
        CHECK_STATUS(index_key(&k[i], i == 0 ? "m" : "n", 1), PLC_OK);
        spec.key = k[i].key;
        CHECK_STATUS(space_prepare(&k[i], &spec, &fill[i]), PLC_OK);
        stopped++;
        i = 1;
    } while (stopped < 2 || !leaves_no_gap(&fill[0], &fill[1], pages));
}

/* A value that can be placed nowhere, because stopped writers sit in the pool, is refused after a while: also in
 * a batch. */
static void in_the_way(void) {
    struct call k[2];
    struct fill fill[2];
    uint32_t status = 99;
    c = region_new(4 * MIB);
    size_t most = info_of(c).value_max;
    uint8_t *large = calloc(1, most);
    CHECK(large != NULL);
    CHECK_STATUS(store(c, PLC_SET, "a", large, most), PLC_OK);
    MUST(c, plc_delete(c, "a", 1), PLC_OK);
    recycle(3 * pool_bytes());
    stop_in_the_way(k, fill, (uint32_t)((most + PAGE_BYTES) >> PAGE_SHIFT));
    const plc_part part = {large, most};
    const plc_entry e = {.key = "a", .key_length = 1, .parts = &part, .part_count = 1};
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_FULL);
    CHECK(AGAIN(c, plc_store_many(c, 1, &e, &status)) == PLC_OK && status == PLC_FULL);
    CHECK_STATUS(store(c, PLC_SET, "b", "small", 5), PLC_OK);
    for (unsigned i = 0; i < 2; i++) {
        run_finish(&k[i], &fill[i]);
        CHECK_STATUS(call_leave(&k[i], PLC_OK), PLC_OK);
    }
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    free(large);
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"readers", readers},
    {"readers_at_the_slot", readers_at_the_slot},
    {"stopped_writers", stopped_writers},
    {"in_the_way", in_the_way},
};

int main(void) {
    return RUN_TESTS(tests);
}
