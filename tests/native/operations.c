/* SPDX-License-Identifier: BSD-3-Clause */
/* operations.c: see operations.h. */
#include "operations.h"

#include "acts.h"
#include "process.h"
#include "stepper.h"

static uint8_t value[FILL_BYTES];

/* ---- settings --------------------------------------------------------------------------------------- */

static void nothing_there(void) {
    scene_everybody_finds_parked();
}

static void small_there(void) {
    scene_subject(SMALL_BYTES, SERIAL_OLD, 0);
    scene_everybody_finds_parked();
}

static void large_there(void) {
    scene_subject(LARGE_BYTES, SERIAL_OLD, scene_deadline_ms - 1000);
    scene_everybody_finds_parked();
}

static void number_there(void) {
    CHECK_STATUS(store(scene, PLC_SET, SUBJECT, "41", 2), PLC_OK);
    scene_everybody_finds_parked();
}

/* It is alone in its run, which is sealed: who takes it out frees the run. */
static void alone_there(void) {
    scene_nobody_finds_parked();
    for (unsigned i = 0; i < TICKETS; i++) {
        word_put_rlx(&scene->last_run[i], 0);
    }
    scene_subject(FILL_BYTES, SERIAL_OLD, 0);
    struct call k;
    CHECK_STATUS(call_enter(&k, scene), PLC_OK);
    for (unsigned i = 0; i < TICKETS; i++) {
        uint64_t run = word_rlx(&scene->last_run[i]);
        if (run != 0) {
            run_seal_parked(&k, (uint32_t)run);
        }
    }
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    scene_nobody_finds_parked();
}

static void named_there(void) {
    MUST(scene, plc_name(scene, "namespace", 9, &act_name), PLC_OK);
    value_make(value, SMALL_BYTES, 0, SERIAL_OLD);
    const plc_part part = {value, SMALL_BYTES};
    const plc_entry e = {
        .key = SUBJECT, .key_length = strlen(SUBJECT), .parts = &part, .part_count = 1, .name = act_name};
    MUST(scene, plc_store(scene, PLC_SET, &e, NULL), PLC_OK);
    scene_everybody_finds_parked();
}

/* All 14 ways of the subject's buckets are taken. */
static void buckets_full(void) {
    struct call subject, k;
    scene_find(SUBJECT, &subject);
    for (unsigned i = 0, found = 0; found < INDEX_WAYS; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "neighbour-%u", i);
        scene_find(key, &k);
        bool same = k.buckets[0] == subject.buckets[0] && k.buckets[1] == subject.buckets[1];
        bool crossed = k.buckets[0] == subject.buckets[1] && k.buckets[1] == subject.buckets[0];
        if ((same || crossed) && absent(scene, key)) {
            scene_other(key, 20 + found);
            found++;
        }
    }
    scene_everybody_finds_parked();
}

/* Every segment is taken and nothing in it is dead.  The others were read: they are copied, not dropped. */
void operations_fill_pool(void) {
    char key[24];
    struct looks unused;
    scene_look(&unused);
    for (unsigned i = 0; counter_of(scene, "evictions") == 0; i++) {
        CHECK(i < 10000);
        (void)snprintf(key, sizeof key, "fill-%u", i);
        value_make(value, FILL_BYTES, 500, i);
        CHECK_STATUS(store(scene, PLC_SET, key, value, FILL_BYTES), PLC_OK);
    }
    scene_nobody_finds_parked();
}

/* Most of what the segments hold is dead. */
static void pool_dead(void) {
    char key[24];
    operations_fill_pool();
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(key, sizeof key, "fill-%u", i);
        if (i % 4 != 0) {
            plc_status s = AGAIN(scene, plc_delete(scene, key, strlen(key)));
            CHECK(s == PLC_OK || s == PLC_MISS);
        }
    }
    scene_nobody_finds_parked();
}

/* The run that is parked has no room for what comes, and no place is left to park another: what is taken for it is
 * sealed, and its unused pages are given back. */
static void no_place_to_park(void) {
    char key[24];
    uint64_t room = UINT64_MAX;
    scene_everybody_finds_parked();
    for (unsigned i = 0; room > FILL_BYTES; i++) {
        (void)snprintf(key, sizeof key, "pad-%u", i);
        scene_other(key, FILL_BYTES - 500);
        uint64_t a = word_acq(page_side_a(scene, some_parked(scene)));
        room = ((uint64_t)side_a_pages(a) << PAGE_SHIFT) - side_a_mark(a);
    }
}

/* The file's end is reached, and it may grow. */
static void growing(void) {
    operations_fill_pool();
    word_put_rlx(&scene->growth_retry_ms, 0);
}

/* The survivor reads the subject in place; so does each victim, which has inherited it, until it lets go of it. */
static void large_held(void) {
    scene_subject(LARGE_BYTES, SERIAL_OLD, 0);
    scene_hold();
    scene_everybody_finds_parked();
}

/* ---- earlier deaths --------------------------------------------------------------------------------- */

static bool holds_lock(const struct victim *v) {
    for (uint32_t i = 0; i < scene->geo.shards; i++) {
        if (lock_slot(word_acq(&scene->locks[i])) == v->slot) {
            return true;
        }
    }
    return false;
}

/* The first of its pages in that state, which becomes the act_page; *n: how many there are. */
static bool owns(const struct victim *v, enum page_state state, unsigned *n) {
    *n = 0;
    for (uint32_t page = scene->geo.first_page; page < pages_limit(scene); page++) {
        uint64_t w = word_acq(page_word(scene, page));
        if (page_state(w) == state && owner_slot(w) == v->slot) {
            act_page = *n == 0 ? page : act_page;
            *n += 1;
        }
    }
    return *n != 0;
}

static bool claims_pages(const struct victim *v) {
    unsigned n;
    return owns(v, PAGE_CLAIM, &n) && n >= 2;
}

static bool forms_run(const struct victim *v) {
    unsigned claimed, open;
    return owns(v, PAGE_CLAIM, &claimed) && owns(v, PAGE_OPEN, &open) && claimed == 1;
}

static bool has_published(const struct victim *v) {
    unsigned open;
    return owns(v, PAGE_OPEN, &open) && !absent(scene, SUBJECT);
}

/* Some of the run's entries are out of the index, or elsewhere. */
static bool evicts(const struct victim *v) {
    unsigned n;
    static uint64_t before;
    uint64_t now = counter_of(scene, "evictions") + counter_of(scene, "reinserted");
    bool is = owns(v, PAGE_EVICT, &n);
    if (!is) {
        before = now;
    }
    return is && now >= before + 3;
}

/* Its open run has given some of its tails back, and says still that it has them. */
static bool trims(const struct victim *v) {
    unsigned n;
    if (!owns(v, PAGE_OPEN, &n)) {
        return false;
    }
    uint32_t pages = side_a_pages(word_acq(page_side_a(scene, act_page)));
    return pages > 8 && page_state(word_acq(page_word(scene, act_page + pages - 4))) == PAGE_FREE;
}

/* Some of the run's tails are free. */
static bool frees(const struct victim *v) {
    unsigned n;
    if (!owns(v, PAGE_FREEING, &n)) {
        return false;
    }
    uint32_t pages = side_a_pages(word_acq(page_side_a(scene, act_page)));
    return pages > 1 && page_state(word_acq(page_word(scene, act_page + pages - 1))) == PAGE_FREE;
}

/* Not before it has returned. */
static bool at_the_end(const struct victim *v) {
    (void)v;
    return false;
}

/* Another victim is killed at its act, as soon as it is so, or when it has returned. */
static void somebody_died(uint32_t (*ready)(void), plc_status (*act)(void), bool (*at)(const struct victim *)) {
    struct victim v = stepper_start(ready, act);
    bool more = true;
    while (more && !at(&v)) {
        more = stepper_step(&v);
    }
    CHECK(more || at == at_the_end);
    stepper_kill(&v);
}

static void died_locking(void) {
    nothing_there();
    somebody_died(ready_small, act_set_small, holds_lock);
}

static void died_claiming_pages(void) {
    nothing_there();
    somebody_died(ready_large, act_set_large, claims_pages);
}

static void died_forming(void) {
    nothing_there();
    somebody_died(ready_large, act_set_large, forms_run);
}

static void died_publishing(void) {
    nothing_there();
    somebody_died(ready_small, act_set_small, has_published);
}

static void died_publishing_large(void) {
    nothing_there();
    somebody_died(ready_large, act_set_large, has_published);
}

/* The death is established already: its open run is continued by the next one who wants to fill one. */
static void target_is_continued(void) {
    for (uint32_t slot = 1; slot <= scene->geo.slots; slot++) {
        (void)process_reap(scene, slot);
    }
    for (unsigned i = 0; i < PARKED_PLACES; i++) {
        word_put_rlx(&scene->super->parked[i], act_page);
    }
}

static void died_filling(void) {
    died_publishing();
    target_is_continued();
}

static void died_trimming(void) {
    no_place_to_park();
    somebody_died(ready_filling, act_set_filling, trims);
    target_is_continued();
}

static void died_evicting(void) {
    operations_fill_pool();
    somebody_died(ready_filling, act_set_filling, evicts);
}

static void died_freeing(void) {
    operations_fill_pool();
    somebody_died(ready_filling, act_set_filling, frees);
}

static void died_computing(void) {
    nothing_there();
    somebody_died(ready_placed, act_claim, at_the_end);
}

/* ---- the table -------------------------------------------------------------------------------------- */

#define INSERTS {.inserts = true}
#define EVICTS {.loses = LOSES_ANY}
#define HOLDS {.holds = true}
#define INSERTS_AND_HOLDS {.inserts = true, .holds = true}
#define INSERTS_AND_EVICTS {.inserts = true, .loses = LOSES_ANY}

const struct operation operations[] = {
    {"set-new", nothing_there, ready_small, act_set_small, INSERTS},
    {"set-replace", small_there, ready_small, act_set_small, INSERTS},
    {"set-full-bucket", buckets_full, ready_small, act_set_small, {.inserts = true, .loses = 1}},
    {"set-evict", operations_fill_pool, ready_filling, act_set_filling, INSERTS_AND_EVICTS},
    {"set-clean", pool_dead, ready_filling, act_set_filling, INSERTS},
    {"set-trim", no_place_to_park, ready_filling, act_set_filling, INSERTS},
    {"set-large", nothing_there, ready_large, act_set_large, INSERTS},
    {"set-large-replace", large_there, ready_large, act_set_large, INSERTS},
    {"set-large-evict", operations_fill_pool, ready_long, act_set_long, INSERTS_AND_EVICTS},
    {"set-small-over-large", large_there, ready_small, act_set_small, INSERTS},
    {"set-grow", growing, ready_filling, act_set_filling, INSERTS_AND_EVICTS},
    {"delete", small_there, ready_placed, act_take_out, {0}},
    {"delete-large", large_there, ready_placed, act_take_out, {0}},
    {"delete-last-of-run", alone_there, ready_placed, act_take_out, {0}},
    {"add", nothing_there, ready_small, act_add, INSERTS},
    {"replace", small_there, ready_small, act_replace, {0}},
    {"cas", small_there, ready_swap, act_swap, {0}},
    {"remake", small_there, ready_swap, act_remake, {0}},
    {"remake-large", large_there, ready_swap_large, act_remake_large, {0}},
    {"remake-small-over-large", large_there, ready_swap, act_remake, {0}},
    {"remake-large-over-small", small_there, ready_swap_large, act_remake_large, {0}},
    {"set-own-token", small_there, ready_small, act_set_own, INSERTS},
    {"append", small_there, ready_placed, act_append, {0}},
    {"append-large", large_there, ready_placed, act_append, {0}},
    {"prepend", small_there, ready_placed, act_prepend, {0}},
    {"incr", number_there, ready_placed, act_incr, {0}},
    {"touch", small_there, ready_placed, act_touch, {0}},
    {"touch-large", large_there, ready_placed, act_touch, {0}},
    {"get", small_there, ready_placed, act_look, {0}},
    {"peek", large_there, ready_placed, act_peek, {0}},
    {"was-read", small_there, ready_placed, act_was_read, {0}},
    {"flush", small_there, ready_placed, act_flush, {.together = true}},
    {"flush-later", small_there, ready_placed, act_flush_later, {0}},
    {"invalidate", named_there, ready_placed, act_invalidate, {0}},
    {"name", named_there, ready_placed, act_make_name, {0}},
    {"claim", nothing_there, ready_placed, act_claim, {0}},
    {"publish", nothing_there, ready_publish, act_publish, {0}},
    {"abandon", nothing_there, ready_claimed, act_abandon, {0}},
    {"attach", nothing_there, ready_closed, act_attach, {0}},
    {"adopt", nothing_there, ready_not, act_adopt, {0}},
    {"detach", nothing_there, ready_placed, act_detach, {0}},
    {"create", nothing_there, ready_placed, act_create, {.created = true}},
    {"attach-disk", nothing_there, ready_closed, act_attach, {.on_disk = true}},
    {"adopt-disk", nothing_there, ready_not, act_adopt, {.on_disk = true}},
    {"detach-disk", nothing_there, ready_placed, act_detach, {.on_disk = true}},
    {"create-disk", nothing_there, ready_placed, act_create, {.created = true, .on_disk = true}},
    {"set-grow-disk", growing, ready_filling, act_set_filling, {.inserts = true, .loses = LOSES_ANY, .on_disk = true}},
    {"takeover-lock", died_locking, ready_small, act_set_small, INSERTS},
    {"takeover-claimed-pages", died_claiming_pages, ready_placed, act_mend, {0}},
    {"takeover-half-formed", died_forming, ready_placed, act_mend, {0}},
    {"takeover-open", died_publishing, ready_placed, act_mend, {0}},
    {"takeover-open-large", died_publishing_large, ready_placed, act_mend, {0}},
    {"takeover-filling", died_filling, ready_small, act_set_small, INSERTS},
    {"takeover-trimming", died_trimming, ready_filling, act_set_filling, INSERTS},
    {"takeover-evicting", died_evicting, ready_placed, act_mend, EVICTS},
    {"takeover-freeing", died_freeing, ready_placed, act_mend, EVICTS},
    {"takeover-claim", died_computing, ready_placed, act_claim, {0}},
    {"lease", large_there, ready_placed, act_lease, HOLDS},
    {"lease-again", large_there, ready_leased, act_lease, HOLDS},
    {"lease-told", large_held, ready_told, act_lease_told, HOLDS},
    {"lease-told-limbo", large_held, ready_told_limbo, act_lease_told, HOLDS},
    {"release-one-of-two", large_there, ready_leased_twice, act_release, HOLDS},
    {"release", large_there, ready_leased, act_release, {0}},
    {"release-limbo", large_there, ready_limbo, act_release, {0}},
    {"release-shared", large_held, ready_limbo_shared, act_release, {0}},
    {"replace-leased", large_held, ready_let_go_large, act_set_large, INSERTS},
    {"replace-own-lease", large_there, ready_leased_large, act_set_large, INSERTS_AND_HOLDS},
    {"delete-leased", large_held, ready_let_go, act_take_out, {0}},
    {"delete-own-lease", large_there, ready_leased, act_take_out, HOLDS},
    {"evict-leased", large_held, ready_let_go, act_evict_subject, {0}},
    {"reserve", large_there, ready_placed, act_reserve, HOLDS},
    {"reserve-evict", operations_fill_pool, ready_placed, act_reserve_long, {.loses = LOSES_ANY, .holds = true}},
    {"seal", nothing_there, ready_reserved, act_seal, INSERTS_AND_HOLDS},
    {"seal-replace", large_there, ready_reserved, act_seal, INSERTS_AND_HOLDS},
    {"seal-over-leased", large_held, ready_let_go_reserved, act_seal, INSERTS_AND_HOLDS},
    {"abort", large_there, ready_reserved, act_abort, {0}},
    {"end-unsealed", large_there, ready_reserved, act_end, {0}},
    {"end-sealed", large_there, ready_sealed, act_end, {0}},
    {"fill", nothing_there, ready_placed, act_fill, INSERTS},
    {"fork", large_there, ready_leased, act_fork, HOLDS},
    {"fork-in-child", large_held, ready_not, act_fork, HOLDS},
    {"first-call", large_held, ready_not, act_first_call, {.holds = true, .inherits = true}},
    {"close-leased", large_there, ready_leased, act_detach, HOLDS},
    {"release-closed", large_there, ready_leased_closed, act_release, {0}},
};
const unsigned operations_there = sizeof operations / sizeof *operations;

const struct operation chained[] = {
    {"set-filling", NULL, ready_filling, act_set_filling, {0}},
    {"set-small", NULL, ready_small, act_set_small, {0}},
    {"set-long", NULL, ready_long, act_set_long, {0}},
    {"set-large", NULL, ready_large, act_set_large, {0}},
    {"delete", NULL, ready_placed, act_take_out, {0}},
    {"claim", NULL, ready_placed, act_claim, {0}},
    {"lease", NULL, ready_placed, act_lease, {0}},
    {"reserve", NULL, ready_placed, act_reserve_long, {0}},
    {"fill", NULL, ready_placed, act_fill, {0}},
};
const unsigned chained_there = sizeof chained / sizeof *chained;
