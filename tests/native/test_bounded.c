/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_bounded.c: how much one call does at most, where everything is against it: seen from how far it moves the
 * cursors of the region and how much it counts, never from time.  A pool of which all was read, a pool in which a
 * large value can be placed nowhere, walks over the index, and entries whose length lies.
 * Threatens G4 and G9.
 */
#include "fixture.h"
#include "call.h"
#include "space.h"

#define POOL (64 * MIB)
#define VICTIMS_MOST 32u   /* runs evicted by one call */
#define RUNS_MOST 576u     /* judged by one call: for each of 16 victims 32 that go round */
#define SWEPT_MOST 1200u   /* pages looked at by the sweep: 64 for each victim */
#define CONFLICTS_MOST 40u /* windows that one placement finds taken */
#define BUCKETS_MOST 1024u /* walked by one call */

static plc_cache *c;
static uint8_t bytes[8 * MIB];

static plc_status put_once(const char *key, size_t n) {
    const plc_part part = {bytes, n};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    return plc_store(c, PLC_SET, &e, NULL);
}

static void put(uint64_t number, size_t n) {
    char key[24];
    (void)snprintf(key, sizeof key, "key %" PRIu64, number);
    CHECK_STATUS(store(c, PLC_SET, key, bytes, n), PLC_OK);
}

/* Until everything has been taken, and evictions are what makes room. */
static void fill(size_t n) {
    c = region_new(POOL);
    for (uint64_t i = 0; counter_of(c, "evictions") < 1000; i++) {
        put(i, n);
    }
}

/* All that is there was read. */
static void read_all(void) {
    size_t buckets = (size_t)c->geo.shards * c->geo.shard_buckets;
    for (size_t i = 0; i < buckets; i++) {
        for (unsigned j = 0; j < BUCKET_SLOTS; j++) {
            atomic_store_explicit(&c->buckets[i].visited[j], 1, memory_order_relaxed);
        }
    }
}

static uint64_t taken_from_rings(void) {
    return word_acq(&c->super->ring_head[0].value) + word_acq(&c->super->ring_head[1].value);
}

/* What a call did: from `before` on. */
struct effects {
    uint64_t judged, swept, conflicts, evicted;
};

static struct effects effects(void) {
    return (struct effects){taken_from_rings(), word_acq(&c->super->sweep.value), counter_of(c, "large_conflicts"),
                            counter_of(c, "runs_evicted")};
}

static struct effects since(struct effects before) {
    struct effects now = effects();
    return (struct effects){now.judged - before.judged, now.swept - before.swept, now.conflicts - before.conflicts,
                            now.evicted - before.evicted};
}

/* Thousands of sets into a pool of which all was read: none looks at more than a few runs, however many there are. */
static void all_was_read(void) {
    uint64_t most = 0, forms = 0;
    fill(1000);
    CHECK(POOL / (c->geo.segment_pages * 4096ull) > RUNS_MOST * 3 / 2);
    for (uint64_t i = 0; i < rounds(4000, 1000); i++) {
        if (i % 500 == 0) {
            read_all();
        }
        char key[24];
        struct effects before = effects();
        (void)snprintf(key, sizeof key, "new %" PRIu64, i);
        plc_status s = put_once(key, 1000);
        CHECK(s == PLC_OK || s == PLC_BUSY || s == PLC_FULL);
        struct effects done = since(before);
        CHECK(done.judged <= RUNS_MOST);
        CHECK(done.evicted <= VICTIMS_MOST);
        CHECK(done.swept <= SWEPT_MOST);
        most = done.judged > most ? done.judged : most;
        forms += done.swept != 0 ? 1 : 0;
    }
    CHECK(most > 8 && forms > 0); /* it did have to look for a victim */
    (void)printf("  at most %" PRIu64 " runs judged by one set\n", most);
    region_end(c, false);
}

/* Somebody fills a run in the middle of every place: a large value is refused after a few windows. */
static void nowhere(void) {
    struct call k[24];
    struct fill held[24];
    unsigned n = 0;
    fill(2000);
    struct spec spec = {.key = (const uint8_t *)"m", .key_length = 1, .kind = ENTRY_VALUE, .length = 100};
    size_t large = space_value_max(c);
    uint64_t pages = c->geo.end_page - c->geo.first_page;
    for (uint64_t i = 0; n < 24 && i < 4000; i++) { /* runs that lie apart */
        CHECK_STATUS(call_enter(&k[n], c), PLC_OK);
        CHECK_STATUS(index_key(&k[n], "m", 1), PLC_OK);
        CHECK_STATUS(space_prepare(&k[n], &spec, &held[n]), PLC_OK);
        uint64_t at = held[n].head - c->geo.first_page;
        if (at > pages / 3 && at < pages * 2 / 3) {
            n++;
            continue;
        }
        run_finish(&k[n], &held[n]);
        CHECK_STATUS(call_leave(&k[n], PLC_OK), PLC_OK);
        for (unsigned j = 0; j < 30; j++) {
            put(below(20000), 2000);
        }
    }
    CHECK(n > 0);
    struct effects before = effects();
    CHECK_STATUS(put_once("large", large), PLC_AGAIN); /* others are in its way */
    struct effects done = since(before);
    CHECK(done.conflicts > 0 && done.conflicts <= CONFLICTS_MOST);
    CHECK(done.swept <= SWEPT_MOST);
    (void)printf("  %" PRIu64 " windows tried, %u runs in the way\n", done.conflicts, n);
    while (n-- > 0) {
        run_finish(&k[n], &held[n]);
        CHECK_STATUS(call_leave(&k[n], PLC_OK), PLC_OK);
    }
    region_end(c, false);
}

/* What walks everything does so in slices. */
static void slices(void) {
    fill(2000);
    uint64_t least = (uint64_t)c->geo.shards * c->geo.shard_buckets / BUCKETS_MOST;
    CHECK(least > 4);
    uint64_t counts = 0, checks = 0, usages = 0, drains = 0, cursor = 0, n = 0, longest = 0;
    plc_finding findings[64];
    plc_usage usage = {0};
    size_t found = 0;
    for (plc_status s = PLC_OK; s != PLC_DONE; counts++) {
        CHECK((s = plc_count(c, &cursor, 0, &n)) == PLC_OK || s == PLC_DONE);
    }
    cursor = 0;
    for (plc_status s = PLC_OK; s != PLC_DONE; checks++) {
        CHECK((s = plc_check(c, &cursor, findings, 64, &found)) == PLC_OK || s == PLC_DONE);
    }
    cursor = 0;
    for (plc_status s = PLC_OK; s != PLC_DONE; usages++) {
        CHECK((s = plc_usage_read(c, &cursor, &usage)) == PLC_OK || s == PLC_DONE);
    }
    cursor = 0;
    for (plc_status s = PLC_OK; s != PLC_DONE; drains++) {
        CHECK((s = plc_drain(c, &cursor, &n, &longest)) == PLC_OK || s == PLC_DONE);
    }
    (void)printf("  %" PRIu64 " slices to count, %" PRIu64 " to check, %" PRIu64 " for the usage, %" PRIu64
                 " to drain\n",
                 counts, checks, usages, drains);
    CHECK(counts >= least && checks >= least && usages >= 2 && drains >= 2);
    region_end(c, false);
}

/* The length of the entry under "key", where it lies. */
static word *length_of_key(void) {
    struct entry e;
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, "key", 3), PLC_OK);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    index_ask_entry(&k);
    uint64_t w = k.likely;
    CHECK(w != 0 && entry_read(c, w, word_acq(page_word(c, slot_head(w))), &e));
    return (word *)(void *)(page_bytes(c, e.head) + e.offset + offsetof(struct shm_entry, size));
}

/* An entry whose length leads out of its run, out of the file, or nearly around the world: no byte of it is read, and
 * who looks for it under a pin takes it out of the index. */
static void lengths_that_lie(void) {
    c = region_new(4 * MIB);
    plc_found found;
    uint64_t result = 0, run = (uint64_t)c->geo.segment_pages << PAGE_SHIFT, file = c->geo.size_bytes;
    const uint64_t lengths[] = {run, run + 1, file - 4096, file, 2 * file - 1, (1ull << 40) - 1, (1ull << 40) - 4096};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        CHECK_STATUS(AGAIN(c, store(c, PLC_SET, "key", "1", 1)), PLC_OK);
        word_put_rlx(length_of_key(), lengths[i]);
        plc_status s = plc_get(c, "key", 3, 0, bytes, sizeof bytes, &found);
        CHECK(s == PLC_MISS || (s == PLC_OK && found.length < file));
        CHECK_STATUS(AGAIN(c, plc_touch(c, "key", 3, 1ull << 44)), PLC_MISS);
        CHECK_STATUS(AGAIN(c, plc_incr(c, "key", 3, 1, 0, &result)), PLC_MISS);
        CHECK(findings_of(c) == 0);
    }
    CHECK_STATUS(AGAIN(c, store(c, PLC_SET, "key", "1", 1)), PLC_OK);
    CHECK(holds(c, "key", "1"));
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"lengths_that_lie", lengths_that_lie},
    {"all_was_read", all_was_read},
    {"nowhere", nowhere},
    {"slices", slices},
};

int main(void) {
    return RUN_TESTS(tests);
}
