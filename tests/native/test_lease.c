/* SPDX-License-Identifier: BSD-3-Clause */
/* test_lease.c: values that are read where they lie: they stay what they are, for as long as anybody reads them, and then
 * their pages are free. */
#include "inplace.h"

#define LARGE 300000u

static plc_cache *c;

static void in_place(void) {
    plc_view view, again;
    plc_found found;
    c = region_new(32 * MIB);
    put_value(c, 1, 7, LARGE);
    CHECK_STATUS(AGAIN(c, plc_lease(c, "k1", 2, 0, &view, &found)), PLC_OK);
    CHECK(view.length == LARGE && found.length == LARGE && found.token != 0 && shows(&view, 1, 7));
    CHECK((const uint8_t *)view.bytes > c->view && (const uint8_t *)view.bytes < c->view + c->geo.size_bytes);
    CHECK((uintptr_t)view.bytes % 64 == 0);
    CHECK(store_faults(view.bytes));
    CHECK_STATUS(lease(c, "k1", &again), PLC_OK);
    CHECK(again.bytes == view.bytes && c->holding->used == 1 && c->holding->leases == 2);
    plc_release(c, &again);
    plc_release(c, &again); /* a second time does nothing */
    CHECK(c->holding->leases == 1 && view.ticket != 0);
    CHECK_STATUS(lease(c, "none", &again), PLC_MISS);
    CHECK_STATUS(plc_lease(c, NULL, 2, 0, &again, &found), PLC_INVALID);
    CHECK_STATUS(plc_lease(c, c->base, 2, 0, &again, &found), PLC_INVALID);
    CHECK(counter_of(c, "hits") == 2 && counter_of(c, "misses") == 1 && counter_of(c, "leases") == 2);
    put_value(c, 2, 1, 2 * MIB); /* values of a MiB and more begin at a page */
    CHECK_STATUS(lease(c, "k2", &again), PLC_OK);
    CHECK((uintptr_t)again.bytes % PAGE_BYTES == 0 && shows(&again, 2, 1));
    plc_release(c, &again);
    plc_release(c, &view);
    CHECK(c->holding->used == 0 && word_rlx(&process_row(c, my_slot(c))->leased) == 0);
    CHECK(word_rlx(&process_row(c, my_slot(c))->pins_high) == 0);
    region_end(c, true); /* the child that faulted had its part of the lease */
}

static void small_ones_are_copied(void) {
    plc_view view;
    plc_found found;
    c = region_new(16 * MIB);
    uint32_t own = info_of(c).own_run_bytes;
    put_value(c, 1, 1, own - 1);
    put_value(c, 2, 1, own);
    CHECK_STATUS(lease_value(c, 1, &view), PLC_COPY);
    CHECK(counter_of(c, "leases_copied") == 0 && counter_of(c, "hits") == 0);
    CHECK_STATUS(plc_get(c, "k1", 2, 0, &(uint8_t[1]){0}, 0, &found), PLC_TOO_SMALL);
    CHECK_STATUS(lease_value(c, 2, &view), PLC_OK);
    plc_release(c, &view);
    region_end(c, false);
}

/* ---- what happens to its key ---------------------------------------------------------------- */

static const struct {
    void (*happens)(plc_cache *c, size_t n);
    bool leaves_limbo; /* at once: else whoever comes by */
} fates[] = {{replace_k1, true}, {delete_k1, true}, {flush_k1, false}, {expire_k1, false}, {drain_k1, true}};

/* Its bytes stay, however much is stored meanwhile; the last lease gives its pages back. */
static void outlives_its_key(void) {
    for (unsigned i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        plc_view view, other;
        c = region_new(16 * MIB);
        put_value(c, 1, 1, LARGE);
        CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
        CHECK_STATUS(lease(c, "k1", &other), PLC_OK);
        fates[i].happens(c, LARGE);
        CHECK(!fates[i].leaves_limbo || page_state(run_of(c, &view)) == PAGE_LIMBO);
        overwrite_all(c, 3);
        CHECK(shows(&view, 1, 1) && shows(&other, 1, 1));
        plc_release(c, &view);
        overwrite_all(c, 1);
        (void)drain(c);
        CHECK(shows(&other, 1, 1) && page_state(run_of(c, &other)) == PAGE_LIMBO && usage_of(c).limbo_pages != 0);
        plc_release(c, &other);
        CHECK(usage_of(c).limbo_pages == 0); /* without anybody else's coming by */
        region_end(c, false);
    }
}

/* Who makes room leaves alone what is read in place: without its key it would take as much. */
static void no_victim(void) {
    plc_view view, again;
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
    overwrite_all(c, 5);
    CHECK_STATUS(lease(c, "k1", &again), PLC_OK);
    CHECK(again.bytes == view.bytes && shows(&view, 1, 1));
    plc_release(c, &again);
    plc_release(c, &view);
    overwrite_all(c, 5);
    CHECK_STATUS(lease(c, "k1", &again), PLC_MISS);
    region_end(c, false);
}

/* Of several values that are held one is let go: the others stay, also where the first of them lay in a lower cell. */
static void each_by_itself(void) {
    plc_view views[4];
    c = region_new(16 * MIB);
    for (uint64_t i = 0; i < 4; i++) {
        put_value(c, i, 1, LARGE);
        CHECK_STATUS(lease_value(c, i, &views[i]), PLC_OK);
    }
    for (uint64_t gone = 0; gone < 3; gone++) {
        plc_release(c, &views[gone]);
        MUST(c, plc_flush(c, 0), PLC_OK);
        (void)drain(c);
        overwrite_all(c, 2);
        for (uint64_t i = gone + 1; i < 4; i++) {
            CHECK(shows(&views[i], i, 1));
        }
    }
    plc_release(c, &views[3]);
    region_end(c, false);
}

/* What was let go and came again is held as it was the first time. */
static void again_and_again(void) {
    plc_view view, other;
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    put_value(c, 2, 1, LARGE);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_STATUS(lease_value(c, 1 + i % 2, &view), PLC_OK);
        CHECK_STATUS(lease_value(c, 2 - i % 2, &other), PLC_OK);
        plc_release(c, i < 2 ? &view : &other);
        plc_release(c, i < 2 ? &other : &view);
    }
    CHECK_STATUS(lease_value(c, 1, &view), PLC_OK);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    overwrite_all(c, 3);
    CHECK(shows(&view, 1, 1));
    plc_release(c, &view);
    region_end(c, false);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void as_many_as_cells(void) {
    static plc_view views[COUNTED_PINS_SMALL + 1];
    c = region_new(64 * MIB);
    for (uint64_t i = 0; i <= COUNTED_PINS_SMALL; i++) {
        put_value(c, i, 1, 10000);
    }
    for (uint64_t i = 0; i < COUNTED_PINS_SMALL; i++) {
        CHECK_STATUS(lease_value(c, i, &views[i]), PLC_OK);
    }
    CHECK_STATUS(lease_value(c, COUNTED_PINS_SMALL, &views[COUNTED_PINS_SMALL]), PLC_COPY);
    CHECK(counter_of(c, "leases_copied") == 1);
    plc_release(c, &views[5]);
    CHECK_STATUS(lease_value(c, COUNTED_PINS_SMALL, &views[5]), PLC_OK);
    for (uint64_t i = 0; i < COUNTED_PINS_SMALL; i++) {
        CHECK(shows(&views[i], i == 5 ? COUNTED_PINS_SMALL : i, 1));
        plc_release(c, &views[i]);
    }
    region_end(c, false);
}

static void a_hundred_thousand(void) {
    plc_view *views = calloc(HELD_MOST + 1, sizeof *views);
    CHECK(views != NULL);
    c = region_new(300 * MIB);
    for (uint64_t i = 0; i < 1000; i++) {
        put_value(c, i, 1, 40000);
    }
    for (uint64_t i = 0; i < HELD_MOST; i++) {
        CHECK_STATUS(lease_value(c, i % 1000, &views[i]), PLC_OK);
    }
    CHECK(c->holding->used == 1000);
    CHECK_STATUS(lease_value(c, 1, &views[HELD_MOST]), PLC_COPY);
    for (uint64_t i = 0; i < HELD_MOST; i++) {
        CHECK(i % 100 != 0 || shows(&views[i], i % 1000, 1));
        plc_release(c, &views[i]);
    }
    region_end(c, false);
    free(views);
}

static void holds_all(struct peer_ends ends) {
    plc_view views[16];
    for (uint64_t i = 0; i < await(ends.in); i++) {
        CHECK_STATUS(lease_value(c, i, &views[i]), PLC_OK);
    }
    tell(ends.out, 1);
    (void)await(ends.in);
}

/* Half of the pool, each value once, however many processes read it: and then it is copied, and stored all the same. */
static void at_most_half_of_the_pool(void) {
    plc_view views[16];
    c = region_new(32 * MIB);
    uint64_t pool = info_of(c).pool_bytes, size = pool / 10;
    CHECK(info_of(c).in_place == 1 && info_of(c).leased_pages_most == pool / PAGE_BYTES / 2);
    for (uint64_t i = 0; i < 6; i++) {
        put_value(c, i, 1, size);
    }
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_STATUS(lease_value(c, i, &views[i]), PLC_OK);
    }
    struct peer p = peer_start(holds_all);
    for (uint64_t i = 0; i < 5; i++) {
        tell(p.to, 4);
    }
    (void)hear(p.from);
    CHECK_STATUS(lease_value(c, 4, &views[4]), PLC_COPY);
    CHECK(counter_of(c, "leases_copied") == 1);
    plc_release(c, &views[3]);
    CHECK_STATUS(lease_value(c, 4, &views[4]), PLC_COPY); /* the other process has it still */
    peer_kill(&p);
    CHECK_SOON(process_reap(c, 2));
    CHECK_STATUS(lease_value(c, 4, &views[4]), PLC_OK);
    CHECK_STATUS(lease_value(c, 5, &views[5]), PLC_COPY);
    overwrite_all(c, 3);
    for (uint64_t i = 0; i < 5; i++) {
        CHECK(i == 3 || shows(&views[i], i, 1));
        plc_release(c, &views[i]);
    }
    region_end(c, true);
}

/* A value counts once, however many processes hold it. */
static void each_once(void) {
    plc_view views[4];
    c = region_new(32 * MIB);
    uint64_t size = info_of(c).pool_bytes / 10;
    for (uint64_t i = 0; i < 4; i++) {
        put_value(c, i, 1, size);
    }
    CHECK_STATUS(lease_value(c, 0, &views[0]), PLC_OK);
    CHECK_STATUS(lease_value(c, 1, &views[1]), PLC_OK);
    struct peer p = peer_start(holds_all);
    for (unsigned i = 0; i < 3; i++) {
        tell(p.to, 2);
    }
    (void)hear(p.from);
    CHECK_STATUS(lease_value(c, 2, &views[2]), PLC_OK);
    CHECK_STATUS(lease_value(c, 3, &views[3]), PLC_OK);
    peer_kill(&p);
    for (uint64_t i = 0; i < 4; i++) {
        plc_release(c, &views[i]);
    }
    region_end(c, true);
}

/* A value of which two would be too much is held by all. */
static void a_large_one_counts_once(void) {
    plc_view view;
    c = region_new(32 * MIB);
    put_value(c, 0, 1, info_of(c).pool_bytes * 3 / 10);
    struct peer p = peer_start(holds_all); /* it inherits no lease */
    CHECK_STATUS(lease_value(c, 0, &view), PLC_OK);
    tell(p.to, 1);
    tell(p.to, 1);
    CHECK(hear(p.from) == 1);
    CHECK(counter_of(c, "leases") == 2 && counter_of(c, "leases_copied") == 0);
    peer_kill(&p);
    CHECK_SOON(process_reap(c, 2));
    plc_release(c, &view);
    region_end(c, true);
}

/* A region of which nearly all is leased refuses what finds no room, and goes on with what does. */
static void full_of_leases(void) {
    plc_view views[64];
    unsigned n = 0;
    check_folder_make(NULL);
    const plc_options options = {.path = check_path("r"), .size_bytes = 32 * MIB, .create = 1, .leased_share = 100};
    plc_report report;
    CHECK_STATUS(plc_open(&options, &c, &report), PLC_OK);
    uint64_t size = info_of(c).pool_bytes / 40;
    uint8_t *bytes = calloc(1, 11 * size);
    CHECK(bytes != NULL);
    for (uint64_t i = 0; i < 64; i++) {
        put_value(c, i, 1, size);
        n += lease_value(c, i, &views[n]) == PLC_OK ? 1 : 0;
        if (n >= 30) {
            break;
        }
    }
    CHECK(n == 30);
    CHECK_STATUS(store(c, PLC_SET, "large", bytes, 11 * size), PLC_FULL);
    CHECK_STATUS(store(c, PLC_SET, "small", bytes, 10), PLC_OK);
    for (unsigned i = 0; i < n; i++) {
        CHECK(shows(&views[i], i, 1));
        plc_release(c, &views[i]);
    }
    CHECK_STATUS(store(c, PLC_SET, "large", bytes, 11 * size), PLC_OK);
    free(bytes);
    region_end(c, false);
}

static void copies_only(void) {
    plc_view view;
    plc_reservation *r;
    uint8_t *bytes;
    plc_report report;
    check_folder_make(NULL);
    plc_options options = {.path = check_path("r"), .size_bytes = 32 * MIB, .create = 1, .leased_share = 101};
    CHECK_STATUS(plc_open(&options, &c, &report), PLC_INVALID);
    options.leased_share = PLC_COPIES_ONLY;
    CHECK_STATUS(plc_open(&options, &c, &report), PLC_OK);
    put_value(c, 1, 1, LARGE);
    CHECK(info_of(c).in_place == 0 && c->view == NULL);
    CHECK_STATUS(lease(c, "k1", &view), PLC_COPY);
    CHECK_STATUS(reserve(c, "k2", 10, &r, &bytes), PLC_UNSUPPORTED);
    region_end(c, false);
}

/* ---- private views -------------------------------------------------------------------------- */

static void private_view(void) {
    plc_view view, other;
    c = region_new(32 * MIB);
    put_value(c, 1, 1, LARGE);
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
    CHECK_STATUS(plc_view_private(c, &view), PLC_OK);
    CHECK_STATUS(plc_view_private(c, &view), PLC_INVALID);
    CHECK(shows(&view, 1, 1) && view.length == LARGE);
    ((uint8_t *)(uintptr_t)view.bytes)[LARGE / 2] ^= 1;
    ((uint8_t *)(uintptr_t)view.bytes)[0] ^= 1;
    CHECK_STATUS(lease(c, "k1", &other), PLC_OK);
    CHECK(shows(&other, 1, 1) && !shows(&view, 1, 1));
    plc_release(c, &other);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    overwrite_all(c, 2);
    ((uint8_t *)(uintptr_t)view.bytes)[LARGE / 2] ^= 1;
    ((uint8_t *)(uintptr_t)view.bytes)[0] ^= 1;
    CHECK(shows(&view, 1, 1)); /* also the pages that were not written to */
    plc_release(c, &view);
    CHECK(view.bytes == NULL && c->holding->parts == NULL);
    region_end(c, false);
}

/* ---- the handle's end ----------------------------------------------------------------------- */

static void outlives_its_handle(void) {
    plc_view view, other;
    plc_found found;
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
    CHECK_STATUS(lease(c, "k1", &other), PLC_OK);
    plc_close(c);
    CHECK_STATUS(plc_lease(c, "k1", 2, 0, &other, &found), PLC_CLOSED);
    CHECK(shows(&view, 1, 1) && c->base != NULL && my_slot(c) != 0);
    plc_release(c, &view);
    CHECK(shows(&other, 1, 1) && c->base != NULL);
    plc_cache *again = region_named("r", 0, 0); /* taken into use again */
    CHECK(again == c);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    plc_close(c);
    CHECK(c->base != NULL && shows(&other, 1, 1));
    plc_release(c, &other);
    CHECK(c->base == NULL && c->view == NULL && c->holding == NULL && my_slot(c) == 0);
    again = region_named("r", 0, 0);
    CHECK(again == c && usage_of(again).limbo_pages == 0);
    region_end(again, false);
}

/* ---- death ---------------------------------------------------------------------------------- */

static void holds_one(struct peer_ends ends) {
    plc_view view;
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
    tell(ends.out, 1);
    (void)await(ends.in);
    CHECK(shows(&view, 1, 1));
    tell(ends.out, 2);
    (void)await(ends.in);
}

/* A process that is stopped keeps what it reads; one that is killed gives it back. */
static void stopped_and_killed(void) {
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    struct peer p = peer_start(holds_one);
    (void)hear(p.from);
    CHECK(kill(p.pid, SIGSTOP) == 0);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    overwrite_all(c, 3);
    CHECK(usage_of(c).limbo_pages != 0);
    CHECK(kill(p.pid, SIGCONT) == 0);
    tell(p.to, 1);
    CHECK(hear(p.from) == 2);
    peer_kill(&p);
    CHECK_SOON((overwrite_all(c, 1), usage_of(c).limbo_pages == 0));
    region_end(c, true);
}

int main(void) {
    static const struct check_test tests[] = {
        {"in_place", in_place},
        {"small_ones_are_copied", small_ones_are_copied},
        {"outlives_its_key", outlives_its_key},
        {"no_victim", no_victim},
        {"each_by_itself", each_by_itself},
        {"again_and_again", again_and_again},
        {"as_many_as_cells", as_many_as_cells},
        {"a_hundred_thousand", a_hundred_thousand},
        {"at_most_half_of_the_pool", at_most_half_of_the_pool},
        {"each_once", each_once},
        {"a_large_one_counts_once", a_large_one_counts_once},
        {"full_of_leases", full_of_leases},
        {"copies_only", copies_only},
        {"private_view", private_view},
        {"outlives_its_handle", outlives_its_handle},
        {"stopped_and_killed", stopped_and_killed},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
