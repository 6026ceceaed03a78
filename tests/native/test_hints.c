/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hints.c: garbage costs entries, never the service.  All that is a hint (rings, reserve, parked runs, cursors,
 * ghosts, visited bytes, wait words, the hint of the file's size) and all counters are overwritten at once; then also
 * side words, and page words here and there.  Afterwards, what is stored is found, at once and while others come, the
 * pool goes round, and behind hints every page is given back by a drain.
 * And runs that no queue names are queued again by the sweep.
 * Threatens I8 and the rule that hints may be wrong in any way.
 */
#include "fixture.h"
#include "call.h"
#include "process.h"
#include "sweep.h"

#define SIZE (8u * MIB)
#define BEFORE 3000u
#define RECENT 50u

static plc_cache *c;
static uint8_t bytes[9000], copy[9000];
static uint64_t number, kind;

static uint64_t garbage(void) {
    switch (kind) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return check_random();
    case 3: return c->geo.first_page + below(c->geo.end_page - c->geo.first_page); /* one page, everywhere */
    default: return check_random() >> below(64);
    }
}

static void overwrite(uint64_t from, uint64_t to) {
    for (word *w = (word *)(void *)(c->base + from); w < (word *)(void *)(c->base + to); w++) {
        word_put_rlx(w, garbage());
    }
}

static void overwrite_hints(void) {
    const struct geometry *g = &c->geo;
    struct shm_superblock *s = c->super;
    word *const words[] = {
        &s->taken_pages,        &s->growth_stopped,     &s->frontier.value,     &s->ring_head[0].value,
        &s->ring_head[1].value, &s->ring_tail[0].value, &s->ring_tail[1].value, &s->clock.value,
        &s->free_head.value,    &s->free_tail.value,    &s->hand.value,         &s->sweep.value,
    };
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        word_put_rlx(words[i], garbage());
    }
    overwrite(offsetof(struct shm_superblock, reserve), offsetof(struct shm_superblock, baseline) + 8 * COUNTERS_MAX);
    overwrite(g->wait_at, g->locks_at);
    overwrite(g->ring_at, g->pages_at); /* both queues, the free ring, ghosts */
    struct shm_process *me = process_row(c, my_slot(c));
    for (unsigned i = 0; i < COUNTERS_MAX; i++) {
        word_put_rlx(&me->counters[i], garbage());
    }
    for (uint64_t b = 0; b < (uint64_t)g->shards * g->shard_buckets; b++) {
        for (unsigned i = 0; i < 8; i++) {
            atomic_store_explicit(&c->buckets[b].visited[i], (uint8_t)garbage(), memory_order_relaxed);
        }
    }
}

/* Some of the page words: all of them would be all entries, and of those that name a living owner none come back. */
static void overwrite_words(void) {
    for (uint32_t page = c->geo.first_page; page < c->geo.end_page; page++) {
        word_put_rlx(page_side_a(c, page), garbage());
        word_put_rlx(page_side_b(c, page), garbage());
        if (below(8) == 0) {
            word_put_rlx(page_word(c, page), garbage());
        }
    }
}

static size_t length_of(uint64_t n) {
    return VALUE_MIN + (size_t)(value_mix(n) % (value_mix(n + 1) % 20 == 0 ? sizeof bytes - VALUE_MIN : 900));
}

static void put(uint64_t n) {
    char key[32];
    (void)snprintf(key, sizeof key, "key %" PRIu64, n);
    value_make(bytes, length_of(n), n, n);
    CHECK_STATUS(store(c, PLC_SET, key, bytes, length_of(n)), PLC_OK);
}

/* Whole, or not there. */
static bool there(uint64_t n) {
    char key[32];
    plc_found found;
    (void)snprintf(key, sizeof key, "key %" PRIu64, n);
    plc_status s = get(c, key, copy, sizeof copy, &found);
    CHECK(s == PLC_OK || s == PLC_MISS);
    CHECK(s != PLC_OK || (found.length == length_of(n) && value_serial(copy, found.length, n) == n));
    return s == PLC_OK;
}

/* The pool goes round; how many of those stored a moment ago are there, in percent. */
static uint64_t go_round(void) {
    uint64_t asked = 0, had = 0, from = number;
    for (uint64_t stored = 0; stored < 3 * SIZE; stored += length_of(number++)) {
        put(number);
        CHECK(there(number));
        if (number % 16 == 0 && number > from + RECENT) {
            asked++;
            had += there(number - RECENT) ? 1 : 0;
        }
    }
    return 100 * had / asked;
}

static void begin(void) {
    c = region_new(SIZE);
    number = 0;
    while (number < BEFORE) {
        put(number++);
    }
    (void)go_round();
}

static void hints(void) {
    for (kind = 0; kind < rounds(5, 3); kind++) {
        uint64_t before = 0, after = 0;
        begin();
        for (uint64_t i = 0; i < number; i++) {
            before += there(i) ? 1 : 0;
        }
        overwrite_hints();
        for (uint64_t i = 0; i < number; i++) {
            after += there(i) ? 1 : 0;
        }
        CHECK(after == before && findings_of(c) == 0);
        uint64_t percent = go_round();
        (void)printf("  kind %" PRIu64 ": %" PRIu64 " entries stay; behind it %" PRIu64 " %% of the latest are there\n",
                     kind, after, percent);
        CHECK(percent >= 90);
        CHECK(go_round() >= 95);
        region_end(c, false);
    }
}

static void words(void) {
    for (kind = 0; kind < rounds(5, 3); kind++) {
        begin();
        overwrite_hints();
        overwrite_words();
        (void)go_round();
        uint64_t percent = go_round();
        (void)printf("  kind %" PRIu64 ": %" PRIu64 " %% of the latest are there\n", kind, percent);
        CHECK(percent >= 90);
        struct drained d = drain(c);
        CHECK(d.free_pages > (c->geo.end_page - c->geo.first_page) / 2);
        plc_close(c);
    }
}

/* ---- runs that no queue names ------------------------------------------------------------------ */

/* How many sealed runs are in no queue. */
static uint32_t lost_runs(struct call *k) {
    uint32_t lost = 0;
    for (uint32_t page = c->geo.first_page; page < c->geo.end_page; page++) {
        lost += page_state(word_acq(page_word(c, page))) == PAGE_SEALED && !queue_has(k, page) ? 1 : 0;
    }
    return lost;
}

/* Each is queued again when the sweep comes by, once, and nothing that is in it goes. */
static void queued_again(void) {
    struct call k;
    uint64_t before = 0, after = 0;
    kind = 0;
    begin();
    for (uint64_t i = 0; i < number; i++) {
        before += there(i) ? 1 : 0;
    }
    overwrite(c->geo.ring_at, c->geo.pages_at);
    for (unsigned queue = 0; queue < 2; queue++) { /* who looks for a victim steps over so many stale hints, no more */
        word_put_rlx(&c->super->ring_head[queue].value, word_rlx(&c->super->ring_tail[queue].value));
    }
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    uint32_t lost = lost_runs(&k);
    CHECK(lost > 10);
    word_put_rlx(&c->super->frontier.value, 0); /* as if nobody had ever claimed a page */
    for (unsigned round = 0; round < 2; round++) { /* nobody is queued twice */
        sweep_some(&k, c->geo.end_page - c->geo.first_page);
        CHECK(lost_runs(&k) == 0);
    }
    for (uint32_t taken = 0; taken < lost; taken++) {
        uint32_t head = queue_take(&k, QUEUE_SMALL);
        head = head != 0 ? head : queue_take(&k, QUEUE_MAIN);
        CHECK(head != 0 && lost_runs(&k) == taken + 1);
    }
    CHECK(queue_take(&k, QUEUE_SMALL) == 0 && queue_take(&k, QUEUE_MAIN) == 0);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    for (uint64_t i = 0; i < number; i++) {
        after += there(i) ? 1 : 0;
    }
    CHECK(after == before);
    (void)printf("  %" PRIu32 " runs queued again\n", lost);
    region_end(c, false);
}

/* ---- a parked run that is longer than slots can name ------------------------------------------- */

/* It says so itself: nobody goes on with it, for a slot has no place for what lies behind a segment. */
static void no_place_for_a_slot(void) {
    c = region_new(SIZE);
    number = 0;
    put(number++);
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    uint32_t head = (uint32_t)word_acq(&c->last_run[k.ticket]);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    CHECK(head != 0 && page_state(word_acq(page_word(c, head))) == PAGE_PARKED);
    word_put_rlx(page_side_a(c, head), side_a_make(200, 1u << 18, false));
    for (; number < 100; number++) {
        put(number);
        CHECK(there(number));
    }
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"no_place_for_a_slot", no_place_for_a_slot},
    {"hints", hints},
    {"words", words},
    {"queued_again", queued_again},
};

int main(void) {
    return RUN_TESTS(tests);
}
